"""Masks of a live source, as PNGs and as arrays: there as soon as they can be, whole whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.mask_arrays import MaskArraysSink
from edgeseg.runtime.sinks.masks import LiveMasksSink
from PIL import Image

WRITER = """
import resource, signal, sys, time
from pathlib import Path
import numpy as np
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.mask_arrays import MaskArraysSink
from edgeseg.runtime.sinks.masks import LiveMasksSink

def output(number, noise=False):
    frame = np.zeros((64, 96, 3), np.uint8)
    rng = np.random.Generator(np.random.PCG64(number))
    classes = rng.integers(0, 3, (64, 96), np.uint8) if noise else np.full((64, 96), number % 3, np.uint8)
    return Output(frame, Segmentation(classes, number, number / 10), "", lambda: frame)

folder, labels = Path(sys.argv[2]), LabelMap.generic(3)
sink = LiveMasksSink(folder, labels) if sys.argv[1] == "png" else MaskArraysSink(folder, labels, 0.5)
"""
FOR_EVER = """
for number in range(10**6):
    sink.write(output(number))
    time.sleep(0.002)
"""
UNTIL_FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
try:
    for number in range(100):
        sink.write(output(number, noise=number >= 10))
except OutputError as error:
    print(error)
sink.close(commit=False)
"""


def test_pngs_are_there_at_once_and_numbers_go_on(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    folder = tmp_path / "m"
    for run in range(2):
        sink = LiveMasksSink(folder, labels)
        for number in range(3):
            output = make_output(number, reason="dark" if number == 2 else "")
            sink.write(output)
            mask = Image.open(folder / f"{3 * run + number:06d}.png")
            assert mask.mode == "P"
            np.testing.assert_array_equal(np.asarray(mask), output.result.classes)
        sink.close(commit=False)
    assert len(list(folder.iterdir())) == 7
    assert LabelMap.read(folder / "labelmap.txt") == labels
    assert np.all(np.asarray(Image.open(folder / "000005.png")) == 255)


@pytest.mark.parametrize("sink", [LiveMasksSink, MaskArraysSink])
def test_masks_of_other_classes_are_not_mixed(
    tmp_path: Path, labels: LabelMap, sink: Callable[[Path, LabelMap], object]
) -> None:
    sink(tmp_path / "m", LabelMap.generic(2))
    with pytest.raises(
        OutputError, match=r"holds masks of other classes \(class_0, class_1\); give the masks another"
    ):
        sink(tmp_path / "m", labels)
    (tmp_path / "m" / "labelmap.txt").write_text("nonsense")
    with pytest.raises(OutputError, match=r"cannot be added to: .*line 1: 'nonsense'"):
        sink(tmp_path / "m", labels)
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "holiday.jpg").touch()
    with pytest.raises(OutputError, match=r"holds other things and no labelmap\.txt"):
        sink(tmp_path / "n", labels)


def test_arrays_hold_everything(tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output]) -> None:
    sink = MaskArraysSink(tmp_path / "m", labels, segment_seconds=1)
    outputs = [replace(make_output(number, at=50 + number / 5), name=f"f{number}") for number in range(7)]
    outputs[3] = make_output(3, reason="not-finite", at=50.6)
    outputs += [make_output(7, size_hw=(20, 30), at=51.5)]
    for output in outputs:
        sink.write(output)
    sink.close(commit=True)
    files = [np.load(tmp_path / "m" / f"masks-{number:06d}.npz", allow_pickle=False) for number in (1, 2, 3)]
    assert [file["classes"].shape for file in files] == [(5, 40, 60), (2, 40, 60), (1, 20, 30)]
    assert [file["classes"].dtype for file in files] == [np.uint8] * 3
    together = {
        name: np.concatenate([file[name] for file in files]) for name in files[0].files if name != "classes"
    }
    assert together["frame_id"].tolist() == list(range(8))
    assert together["captured_at"].tolist() == [output.result.captured_at for output in outputs]
    assert together["valid"].tolist() == [True] * 3 + [False] + [True] * 4
    assert together["reason"].tolist() == [""] * 3 + ["not-finite"] + [""] * 4
    assert together["name"].tolist() == ["f0", "f1", "f2", "", "f4", "f5", "f6", ""]
    maps = [classes for file in files for classes in file["classes"]]
    for classes, output in zip(maps, outputs, strict=True):
        np.testing.assert_array_equal(classes, output.result.classes)


def test_arrays_take_bounded_memory(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.runtime.sinks.mask_arrays._MOST_BYTES", 3 * 40 * 60)
    sink = MaskArraysSink(tmp_path / "m", labels, segment_seconds=3600)
    for number in range(8):
        sink.write(make_output(number))
    sink.close(commit=True)
    sizes = [len(np.load(path)["frame_id"]) for path in sorted((tmp_path / "m").glob("*.npz"))]
    assert sizes == [3, 3, 2]


def whole(form: str, folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png" if form == "png" else "masks-*.npz"))


@pytest.mark.parametrize("form", ["png", "npz"])
def test_a_kill_leaves_whole_masks_alone(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "m"
    child = subprocess.Popen([sys.executable, "-c", WRITER + FOR_EVER, form, str(folder)])
    try:
        deadline = time.monotonic() + 60
        while len(whole(form, folder)) < 5:
            assert time.monotonic() < deadline, "the child writes nothing"
            assert child.poll() is None
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    files = whole(form, folder)
    for number, path in enumerate(files):
        if form == "png":
            assert np.unique(np.asarray(Image.open(path))).tolist() == [number % 3]
        else:
            arrays = np.load(path, allow_pickle=False)
            assert arrays["frame_id"].tolist() == list(range(5 * number, 5 * number + 5))
            assert arrays["classes"].shape == (5, 64, 96)
    (LiveMasksSink if form == "png" else MaskArraysSink)(folder, LabelMap.generic(3)).close(commit=True)
    assert {path.name for path in folder.iterdir()} == {*(path.name for path in files), "labelmap.txt"}


@pytest.mark.parametrize("form", ["png", "npz"])
def test_a_full_disk_stops_the_masks_and_keeps_what_was_whole(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "m"
    done = subprocess.run(
        [sys.executable, "-c", WRITER + UNTIL_FULL, form, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "cannot write masks to" in done.stdout
    assert "File too large" in done.stdout
    assert done.returncode == 0, done.stderr
    assert len(whole(form, folder)) == (10 if form == "png" else 2)
    assert not [path for path in folder.iterdir() if "partial" in path.name]
