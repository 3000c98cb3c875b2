"""The files of a training to look at: sheets of validation images, and TensorBoard's files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.data.voc import Sample
from edgeseg.training.board import TensorBoardLog, scalars
from edgeseg.training.sheet import error_map
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Train = Callable[..., int]
ENTRY = {"epoch": 1, "loss": 0.5, "learning_rate": 0.01, "train_seconds": 2.0, "data_share": 0.25}
VAL = {"miou": 0.6, "pixel_accuracy": 0.9, "per_class_iou": {"road": 0.6, "car": None}}


def read(folder: Path) -> EventAccumulator:
    board = EventAccumulator(str(folder))
    board.Reload()
    return board


def points(board: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 4)) for event in board.Scalars(name)]


def test_every_figure_has_a_curve_and_an_absent_class_none() -> None:
    assert scalars({**ENTRY, "val": VAL}) == {
        "train/loss": 0.5,
        "train/learning_rate": 0.01,
        "train/train_seconds": 2.0,
        "train/data_share": 0.25,
        "val/mIoU": 0.6,
        "val/pixel accuracy": 0.9,
        "IoU/road": 0.6,
    }


def test_a_resumed_run_replaces_what_came_after_its_state(tmp_path: Path) -> None:
    first = TensorBoardLog(tmp_path, 0)
    for epoch in (1, 2, 3):
        first.add({**ENTRY, "epoch": epoch, "val": VAL}, np.zeros((4, 6, 3), np.uint8))
    first.close()
    resumed = TensorBoardLog(tmp_path, 1)
    resumed.add({**ENTRY, "epoch": 2, "loss": 0.25}, None)
    resumed.close()
    board = read(tmp_path)
    assert points(board, "train/loss") == [(1, 0.5), (2, 0.25)]
    assert points(board, "IoU/road") == [(1, 0.6)]
    assert [event.step for event in board.Images("val/sheet")] == [1]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"cannot write {tmp_path}/file"):
        TensorBoardLog(tmp_path / "file", 0)


def test_a_run_writes_both(data: Path, tmp_path: Path, train: Train) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "3", "--sheet-every", "2", "--tensorboard") == 0
    # The last epoch always has one.
    assert sorted(path.name for path in (out / "sheets").iterdir()) == ["epoch-002.jpg", "epoch-003.jpg"]
    assert cv2.imread(str(out / "sheets/epoch-002.jpg")).shape[1] == 1302
    board = read(out / "tensorboard")
    assert [step for step, _ in points(board, "val/mIoU")] == [1, 2, 3]
    assert {"IoU/ground", "IoU/road", "IoU/car", "train/loss", "train/learning_rate"} <= set(
        board.Tags()["scalars"]
    )
    assert [event.step for event in board.Images("val/sheet")] == [2, 3]
    assert train(data, out, "--epochs", "4", "--tensorboard", "--sheet-every", "0", "--resume") == 0
    assert [step for step, _ in points(read(out / "tensorboard"), "train/loss")] == [1, 2, 3, 4]
    assert len(list((out / "sheets").iterdir())) == 2
    assert train(data, out, "--epochs", "1", "--force", "--sheet-every", "0") == 0
    assert not (out / "sheets").exists()
    assert not (out / "tensorboard").exists()


def test_tensorboard_that_is_missing_is_told_before_the_start(
    data: Path,
    tmp_path: Path,
    train: Train,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train(data, tmp_path / "run", "--epochs", "1", "--tensorboard") == 2
    assert capsys.readouterr().err.endswith(
        '--tensorboard needs tensorboard, which is not installed: pip install "edgeseg[tensorboard]"\n'
    )
    assert not (tmp_path / "run").exists()


def test_a_sheet_needs_validation_images(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "ImageSets/Segmentation/val.txt").unlink()
    assert train(data, tmp_path / "run", "--epochs", "1", "--sheet-every", "1") == 2
    assert "--sheet-every draws validation images, and there is no split" in capsys.readouterr().err


def test_errors_are_painted_and_void_is_none() -> None:
    mask = np.array([[0, 1, 255]], np.uint8)
    sample = Sample("one", np.full((1, 3, 3), 90, np.uint8), mask)
    assert error_map(sample, np.array([[0, 0, 0]], np.uint8)).tolist() == [
        [[54, 54, 54], [255, 40, 110], [54, 54, 54]]
    ]
