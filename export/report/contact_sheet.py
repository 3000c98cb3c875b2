"""A contact sheet: one image with a row for each labelled frame: frame, truth, mask and overlay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ...core.labels import LabelMap
from ...core.outputs import write_atomically
from ...data.contact_sheet import SheetRow, draw_sheet, score
from ...runtime.bundle import Bundle
from ...runtime.overlay import Overlay
from ...runtime.segmenter import Segmenter
from ..verification.frames import LabelledFrame, LabelledFrames

_Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ContactRow:
    """The row of one frame.

    Attributes:
        frame: with its mask.
        classes: uint8 [H, W], the bundle's class map.
        truth: whether the frame's mask has the network's classes.
    """

    frame: LabelledFrame
    classes: npt.NDArray[np.uint8]
    truth: bool


def write_contact_sheet(path: Path, bundle: Bundle, frames: LabelledFrames, rows: int = 5) -> None:
    """Runs a bundle's default variant on a few evenly spaced frames, and writes the sheet as a PNG.

    Args:
        path: the file; an existing one is replaced.
        bundle: checked and open.
        frames: if their classes are not the network's, the column of the truth is left out.
        rows: the largest number of frames.

    Raises:
        OutputError: the file cannot be written.
    """
    truth = frames.truth_fits(bundle.labels)
    with Segmenter(bundle) as segmenter:
        shown = [
            ContactRow(frame, segmenter(frame.frame_bgr).classes, truth) for frame in _spread(frames, rows)
        ]
    variant = bundle.variant()
    title = f"{bundle.name}, {bundle.manifest['weights']['name']} weights"
    note = f"{variant.precision} on {frames.name}"
    sheet = draw_contact_sheet(shown, bundle.labels, title, note)
    done, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert done
    write_atomically(path, encoded.tobytes(), force=True)


def draw_contact_sheet(rows: Sequence[ContactRow], labels: LabelMap, title: str, note: str) -> _Image:
    """Draws the sheet.

    Args:
        rows: at least one; only rows like the first, with or without truth, are drawn.
        labels: the classes, for the colours and the legend.
        title: the heading.
        note: a line below the heading.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    headings = ("frame", "truth", "mask", "overlay") if rows[0].truth else ("frame", "mask", "overlay")
    drawn = [SheetRow(_tiles(row, labels), _caption(row, len(labels))) for row in rows]
    return draw_sheet(drawn, headings, labels, title, note)


def _spread(frames: LabelledFrames, count: int) -> Iterator[LabelledFrame]:
    total = len(frames)
    wanted = {position * total // min(count, total) for position in range(min(count, total))}
    for index, frame in enumerate(frames):
        if index in wanted:
            yield frame
        if index >= max(wanted):
            return


def _tiles(row: ContactRow, labels: LabelMap) -> list[_Image]:
    """Returns the row's images at the frame's own size, RGB."""
    palette_rgb = labels.palette_rgb()
    frame = row.frame.frame_bgr
    overlay = Overlay(labels).blend(frame, row.classes)
    tiles = [frame[..., ::-1], palette_rgb[row.classes], overlay[..., ::-1]]
    if row.truth:
        tiles.insert(1, palette_rgb[row.frame.mask])
    return tiles


def _caption(row: ContactRow, num_classes: int) -> str:
    if not row.truth:
        return row.frame.id
    return f"{row.frame.id}: {score(row.frame.mask, row.classes, num_classes)}"
