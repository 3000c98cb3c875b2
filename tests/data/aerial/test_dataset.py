from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.claims import claimed
from edgeseg.core.errors import OutputError, UsageError
from edgeseg.core.labels import LabelMap
from edgeseg.data.aerial import AERIAL_LABELS, AerialFlight, AerialRequest, write_dataset


class Flights:
    """Stands in for ``AerialFlight``: same views for every seed, and remembers the seeds asked for."""

    def __init__(self, flight: AerialFlight, fail_at: int = -1) -> None:
        self.flight, self.fail_at, self.seeds = flight, fail_at, list[int]()

    def __call__(self, seed: int, size_hw: tuple[int, int]) -> Flights:
        self.seeds.append(seed)
        return self

    def still(self, i: int, heights_m: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        self.heights_m = heights_m
        if i == self.fail_at:
            raise OSError(28, "No space left on device")
        return self.flight.still(i, heights_m)


@pytest.fixture
def flights(flight: AerialFlight, monkeypatch: pytest.MonkeyPatch) -> Flights:
    stand_in = Flights(flight)
    monkeypatch.setattr("edgeseg.data.aerial.dataset.AerialFlight", stand_in)
    return stand_in


def test_writes_the_voc_layout(tmp_path: Path, flights: Flights) -> None:
    out, seen = tmp_path / "deep" / "set", []
    write_dataset(
        out, AerialRequest(30, 4, (128, 160), 0.1), progress=lambda done, of: seen.append((done, of))
    )
    sets = out / "ImageSets" / "Segmentation"
    train, val = ((sets / f"{split}.txt").read_text().split() for split in ("train", "val"))
    assert (len(train), len(val)) == (27, 3)
    assert len(set(flights.seeds)) == len(flights.seeds) == 3  # 25 + 2 train views and 3 val: three places
    assert LabelMap.read(out / "labelmap.txt") == AERIAL_LABELS
    assert sorted(p.stem for p in (out / "JPEGImages").iterdir()) == sorted(train + val)
    frame, mask = flights.flight.still(1)
    np.testing.assert_array_equal(
        cv2.imread(str(out / "SegmentationClass" / f"{train[1]}.png"))[..., ::-1],
        AERIAL_LABELS.palette_rgb()[mask],
    )
    jpeg = cv2.imread(str(out / "JPEGImages" / f"{train[1]}.jpg"))
    assert np.abs(jpeg.astype(np.int16) - frame).mean() < 6  # JPEG at quality 95 over sensor noise
    assert seen[0] == (1, 30)
    assert seen[-1] == (30, 30)
    assert [p.name for p in out.parent.iterdir()] == ["set"]


def test_an_existing_folder_is_kept_unless_forced(tmp_path: Path, flights: Flights) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists; give --force to replace it, or another name"):
        write_dataset(tmp_path / "set", AerialRequest(2, 0, (128, 160)))
    assert (tmp_path / "set" / "mine.txt").exists()
    with pytest.raises(OutputError, match="holds files and is no data set; --force replaces data sets only"):
        write_dataset(tmp_path / "set", AerialRequest(2, 0, (128, 160)), force=True)
    assert os.listdir(tmp_path / "set") == ["mine.txt"]
    (tmp_path / "set" / "ImageSets").mkdir()
    write_dataset(tmp_path / "set", AerialRequest(2, 0, (128, 160)), force=True)
    assert not (tmp_path / "set" / "mine.txt").exists()
    assert (tmp_path / "set" / "labelmap.txt").exists()


def test_nothing_stays_of_a_set_that_could_not_be_finished(tmp_path: Path, flights: Flights) -> None:
    flights.fail_at = 3
    with pytest.raises(OutputError, match="No space left on device; nothing was kept"):
        write_dataset(tmp_path / "set", AerialRequest(8, 0, (128, 160)))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_either(tmp_path: Path, flights: Flights) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", AerialRequest(8, 0, (128, 160)), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_dataset(tmp_path / "file" / "set", AerialRequest(4, 0))


@pytest.mark.parametrize(("count", "seed", "fraction"), [(1, 0, 0.1), (4, -1, 0.1), (4, 0, 0.0), (4, 0, 1.0)])
def test_counts_that_cannot_work(tmp_path: Path, count: int, seed: int, fraction: float) -> None:
    with pytest.raises(UsageError, match="expected 2 views or more"):
        write_dataset(tmp_path / "set", AerialRequest(count, seed, (128, 160), fraction))


@pytest.mark.parametrize("heights", [(62.0, 22.0), (0.0, 30.0), (10.0, 1e9), (float("nan"), 30.0)])
def test_heights_that_cannot_work(heights: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="the lower height first"):
        AerialRequest(4, 0, heights_m=heights)


def test_views_from_lower_cameras(tmp_path: Path, flights: Flights) -> None:
    write_dataset(tmp_path / "set", AerialRequest(2, 0, (128, 160), heights_m=(5.0, 8.0)))
    assert flights.heights_m == (5.0, 8.0)
    low, usual = (flights.flight.still(1, heights)[1] for heights in ((5.0, 8.0), (22.0, 62.0)))
    borders = [np.count_nonzero(mask[1:] != mask[:-1]) for mask in (low, usual)]
    assert borders[0] < borders[1]  # it shows less of the ground


@pytest.mark.parametrize("force", [False, True])
def test_of_two_at_once_the_second_is_told_and_leaves_nothing(
    tmp_path: Path, flights: Flights, force: bool
) -> None:
    out = tmp_path / "set"
    with claimed(out):
        with pytest.raises(OutputError, match=r"set is being written by another process \(PID \d+\)"):
            write_dataset(out, AerialRequest(2, 4, (128, 160)), force=force)
        assert [path.name for path in tmp_path.iterdir()] == [".set.lock"]
    write_dataset(out, AerialRequest(2, 4, (128, 160)), force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
