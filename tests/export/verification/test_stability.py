"""The measure of flicker: known motions and known flicker give known figures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError, UsageError
from edgeseg.core.labels import VOID, LabelMap
from edgeseg.export.verification.film_frames import FilmFrames, is_film
from edgeseg.export.verification.frames import class_note
from edgeseg.export.verification.stability import SequenceStability, StabilityMeter, flow_warp

LABELS = LabelMap.from_pairs([("grass", (0, 128, 0)), ("road", (128, 128, 128)), ("person", (255, 0, 0))])
SIZE_HW = (200, 260)


def texture() -> np.ndarray:
    rng = np.random.default_rng(3)
    grey = np.zeros((300, 400), np.float32)
    for scale in (5, 12, 40):
        coarse = rng.standard_normal((300 // scale + 2, 400 // scale + 2)).astype(np.float32)
        grey += cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)
    return np.dstack([np.clip(128 + 30 * grey, 20, 235).astype(np.uint8)] * 3)


PICTURE = texture()


def seen(shift: int) -> np.ndarray:
    return np.ascontiguousarray(PICTURE[20 : 20 + SIZE_HW[0], 20 + shift : 20 + shift + SIZE_HW[1]])


def stripes(shift: int) -> np.ndarray:
    columns = (np.arange(SIZE_HW[1]) + shift) % 100 < 60
    return np.where(columns, 0, 1).astype(np.uint8)[None].repeat(SIZE_HW[0], 0)


def unmoved(classes: np.ndarray) -> np.ndarray:
    return classes


def test_a_known_change_by_class() -> None:
    before = np.zeros((10, 10), np.uint8)
    before[:, 5:] = 1
    now = before.copy()
    now[0, 5:] = 2
    meter = StabilityMeter(len(LABELS))
    meter.add(before, now, unmoved)
    summary = meter.summary(LABELS.names)
    assert (summary.pairs, summary.compared) == (1, 1.0)
    assert summary.raw_change == summary.warped_change == meter.warped_change == pytest.approx(0.05)
    grass, road, person = summary.classes
    assert (grass.raw_change, grass.consistency) == (0, 1)
    assert road.warped_change == pytest.approx(0.1)
    assert road.consistency == pytest.approx(0.9)
    assert (person.raw_change, person.consistency) == (None, 0)
    assert summary.consistency == pytest.approx((1 + 0.9 + 0) / 3)
    assert summary.as_json()["classes"]["road"]["temporal_consistency"] == pytest.approx(0.9)


def test_what_cannot_be_compared_does_not_count() -> None:
    before, now = np.zeros((10, 10), np.uint8), np.ones((10, 10), np.uint8)
    now[:2] = VOID

    def warp(classes: np.ndarray) -> np.ndarray:
        moved = classes.copy()
        moved[-3:] = VOID
        return moved

    meter = StabilityMeter(2)
    meter.add(before, now, warp)
    summary = meter.summary(("a", "b"))
    assert summary.compared == pytest.approx(0.5)
    assert summary.warped_change == 1


def test_flow_takes_a_known_motion_out() -> None:
    meter = StabilityMeter(2)
    meter.add(stripes(0), stripes(4), flow_warp(seen(0), seen(4)))
    summary = meter.summary(("a", "b"))
    assert summary.raw_change > 0.05
    assert summary.warped_change < 0.01
    assert summary.compared > 0.9


def test_a_place_that_looks_different_is_not_compared() -> None:
    changed = seen(0)
    changed[50:150, 50:150] = 0
    moved = flow_warp(seen(0), changed)(np.zeros(SIZE_HW, np.uint8))
    assert (moved[60:140, 60:140] == VOID).mean() > 0.9
    assert (moved[:, 160:] == 0).mean() > 0.95


@pytest.mark.parametrize("size_hw", [(1, 1), (17, 900), (900, 40)])
def test_frames_of_any_shape_are_compared(size_hw: tuple[int, int]) -> None:
    frame = cv2.resize(PICTURE, size_hw[::-1])
    moved = flow_warp(frame, frame)(np.zeros(size_hw, np.uint8))
    assert (moved == 0).mean() > 0.9


def test_networks_are_compared_on_the_same_frames() -> None:
    sequence = SequenceStability(LABELS)
    assert sequence.summaries() == {}
    for shift in (0, 3, 6):
        steady = stripes(shift)
        flickering = steady.copy()
        if shift == 3:
            flickering[80:120, 80:120] = 2
        sequence.add(seen(shift), {"steady": steady, "flickering": flickering})
    sequence.add(seen(0)[:100], {"steady": steady[:100], "flickering": steady[:100]})
    found = sequence.summaries()
    assert {summary.pairs for summary in found.values()} == {2}
    assert found["steady"].warped_change < 0.01 < found["flickering"].warped_change


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE_HW[::-1])
    for number in range(6):
        writer.write(seen(2 * number))
    writer.release()
    return path


def test_a_film_s_frames_come_in_a_row_and_without_truth(film: Path) -> None:
    frames = FilmFrames(str(film), 4)
    assert (frames.name, len(frames), frames.in_sequence) == ("film.avi", 4, True)
    ids = [frame.id for frame in frames]
    assert ids == ["frame-0000", "frame-0001", "frame-0002", "frame-0003"]
    assert next(iter(frames)).frame_bgr.shape == (*SIZE_HW, 3)
    assert class_note(frames, LABELS).startswith("a video has no labels, so there is no truth")
    assert len(FilmFrames(str(film))) == 6


def test_what_is_a_film(film: Path) -> None:
    assert is_film(str(film))
    assert not is_film("aerial:7")
    assert not is_film(None)
    assert not is_film("nowhere.mp4")
    with pytest.raises(
        UsageError, match="--frames is 1; expected 2 to 1000000 of a video, because frames in a row"
    ):
        FilmFrames(str(film), 1)
    film.write_bytes(b"no film")
    with pytest.raises(SourceError, match=r"film\.avi"):
        FilmFrames(str(film))
