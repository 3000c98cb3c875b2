"""The contact sheet: its layout, with and without truth."""

from __future__ import annotations

import numpy as np
from edgeseg.core.labels import LabelMap
from edgeseg.export.report.contact_sheet import ContactRow, draw_contact_sheet
from edgeseg.export.verification.frames import LabelledFrame

LABELS = LabelMap.from_pairs([("ground", (10, 200, 30)), ("water", (20, 40, 220))])


def row(*, truth: bool) -> ContactRow:
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 1
    frame = LabelledFrame("one", np.full((64, 96, 3), 127, np.uint8), mask)
    return ContactRow(frame, 1 - mask, truth)


def colours(sheet: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(sheet.reshape(-1, 3), axis=0).tolist()}


def test_the_column_of_the_truth_is_there_where_there_is_truth() -> None:
    with_truth = draw_contact_sheet([row(truth=True)], LABELS, "title", "note")
    without = draw_contact_sheet([row(truth=False)], LABELS, "title", "note")
    assert with_truth.shape[1] > without.shape[1]
    assert with_truth.shape[0] == without.shape[0]


def test_classes_have_the_label_maps_colours() -> None:
    assert {(10, 200, 30), (20, 40, 220), (127, 127, 127)} <= colours(
        draw_contact_sheet([row(truth=True)], LABELS, "title", "note")
    )


def test_each_frame_adds_a_row() -> None:
    one, three = (draw_contact_sheet([row(truth=True)] * n, LABELS, "title", "note") for n in (1, 3))
    assert three.shape[1] == one.shape[1]
    assert (three.shape[0] - one.shape[0]) % 2 == 0
    assert three.shape[0] > one.shape[0]


def test_many_classes_wrap_into_several_lines() -> None:
    many = LabelMap.generic(21)
    few = draw_contact_sheet([row(truth=True)], LABELS, "title", "note")
    assert draw_contact_sheet([row(truth=True)], many, "title", "note").shape[0] > few.shape[0]
