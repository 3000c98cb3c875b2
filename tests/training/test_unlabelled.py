"""Images without masks, on which a network learns from a teacher alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from edgeseg.core.labels import VOID
from edgeseg.data.augment import Augmentation
from edgeseg.data.voc import VocDataset
from edgeseg.models.checkpoint import load_checkpoint
from edgeseg.training.batches import EpochBatches, EpochOf, training_batches
from edgeseg.training.draw import Draw
from edgeseg.training.images import TrainingImages
from edgeseg.training.losses import SegmentationLoss

Train = Callable[..., int]


@pytest.fixture
def more(data: Path, tmp_path: Path) -> Path:
    """A folder of images without masks."""
    folder = tmp_path / "more"
    folder.mkdir()
    for number, path in enumerate(sorted((data / "JPEGImages").iterdir())):
        shutil.copy(path, folder / f"{number}.png")
    return folder


@pytest.fixture
def teacher(trained: Path, tmp_path: Path) -> tuple[str, str]:
    return "--teacher", str(trained.rename(tmp_path / "teacher") / "last.safetensors")


def test_their_part_of_a_batch_is_void(data: Path, more: Path) -> None:
    images = TrainingImages(
        VocDataset(data, "train"), Augmentation(crop_hw=(16, 16)), unlabelled=sorted(more.iterdir())
    )
    loader = training_batches(images, EpochBatches(Draw(4, 4, 0, None, 6, 0.5), 0, 1), 0)
    batches = list(EpochOf(loader))
    assert len(batches) == 2
    for image, truth in batches:
        assert image.shape == (4, 3, 16, 16)
        assert [bool((mask == VOID).all()) for mask in truth] == [False, False, True, True]
        assert image[2:].float().std() > 1


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0])])
def test_a_batch_without_a_label_has_no_loss_and_no_gradient(weights: torch.Tensor | None) -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = SegmentationLoss(weights, 0.5, 0.5)({"out": logits, "aux": logits}, torch.full((2, 4, 4), VOID))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_void_images_beside_labelled_ones_change_no_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 4, 4, generator=generator)
    truth = torch.randint(0, 3, (4, 4, 4), generator=generator)
    truth[2:] = VOID
    loss = SegmentationLoss(torch.tensor([0.5, 1.0, 2.0]), 0.5, 0.5)
    torch.testing.assert_close(loss({"out": logits}, truth), loss({"out": logits[:2]}, truth[:2]))


def test_a_run_learns_from_them_and_resumes(
    data: Path,
    more: Path,
    tmp_path: Path,
    train: Train,
    teacher: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    free = (*teacher, "--unlabelled", str(more), "--unlabelled-share", "0.5", "--batch-size", "4")
    assert train(data, out, "--epochs", "2", *free) == 0
    assert f"6 images without masks from {more}\n" in capsys.readouterr().out
    recipe = load_checkpoint(out / "last.safetensors").info.recipe
    assert (recipe["unlabelled"], recipe["unlabelled_share"], recipe["teacher_weight"]) == (6, 0.5, 0.5)
    (more / "0.png").unlink()
    assert train(data, out, "--epochs", "3", "--resume", *free) == 0
    assert (
        "continuing after epoch 2 with unlabelled 5 instead of 6, epochs 3 instead of 2"
        in capsys.readouterr().out
    )
    assert len((out / "log.jsonl").read_text().splitlines()) == 3


def test_images_of_the_splits_are_left_out(
    data: Path,
    more: Path,
    tmp_path: Path,
    train: Train,
    teacher: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (more / "again.png").symlink_to(data / "JPEGImages/val_0.png")
    (more / "same.png").hardlink_to(data / "JPEGImages/train_0.png")
    assert train(data, tmp_path / "run", "--epochs", "1", *teacher, "--unlabelled", f"{more}/*.png") == 0
    assert (
        f"6 images without masks from {more}/*.png; 2 of the splits are left out" in capsys.readouterr().out
    )
    inside = ("--unlabelled", str(data / "JPEGImages"))
    assert train(data, tmp_path / "other", "--epochs", "1", *teacher, *inside) == 2
    assert "names only images of the splits; name others" in capsys.readouterr().err


def write_video(path: Path, count: int) -> Path:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (32, 32))
    for number in range(count):
        video.write(np.full((32, 32, 3), 20 * number, np.uint8))
    video.release()
    return path


def test_frames_of_a_video_are_taken(
    data: Path, tmp_path: Path, train: Train, teacher: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, video = tmp_path / "run", write_video(tmp_path / "flight.mp4", 10)
    free = (*teacher, "--unlabelled", str(video), "--unlabelled-every", "3")
    assert train(data, out, "--epochs", "1", *free) == 0
    assert f"4 images without masks from {video}\n" in capsys.readouterr().out
    frames = sorted((out / "unlabelled").glob("*.jpg"))
    assert [path.name for path in frames] == ["0000000.jpg", "0000003.jpg", "0000006.jpg", "0000009.jpg"]
    assert [round(float(cv2.imread(str(path)).mean()), -1) for path in frames] == [0, 60, 120, 180]
    before = {path: path.stat().st_mtime_ns for path in frames}
    assert train(data, out, "--epochs", "2", "--resume", *free) == 0
    assert {path: path.stat().st_mtime_ns for path in frames} == before
    assert train(data, out, "--epochs", "1", "--force", *teacher, "--unlabelled", str(video)) == 0
    assert json.loads((out / "unlabelled/frames.json").read_text())["frames"] == ["0000000.jpg"]
    assert train(data, out, "--epochs", "1", "--force") == 0
    assert not (out / "unlabelled").exists()


@pytest.mark.parametrize(
    ("unlabelled", "message"),
    [
        ("nowhere", "--unlabelled nowhere names no image; expected a folder, a glob in quotes"),
        ("*.nothing", "names no image"),
        ("labelmap.txt", "cannot read labelmap.txt as a video"),
        ("broken.png", "broken.png is damaged or truncated"),
    ],
)
def test_what_is_no_image_is_one_line(
    data: Path, tmp_path: Path, train: Train, teacher: tuple[str, str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, unlabelled: str, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(data)
    whole = (data / "JPEGImages/train_0.png").read_bytes()
    (data / "broken.png").write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    assert train(data, tmp_path / "other", "--epochs", "1", *teacher, "--unlabelled", unlabelled) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--unlabelled", "."), "--unlabelled images are learnt from a teacher: add --teacher CHECKPOINT"),
        (
            ("--unlabelled-share", "0.5"),
            "--unlabelled-share is for images without masks: add --unlabelled DIR",
        ),
        (("--unlabelled-every", "0"), "--unlabelled-every 0: expected a whole number from 1"),
        (
            ("--unlabelled", ".", "--teacher", "t.safetensors", "--unlabelled-share", "0"),
            "--unlabelled images would not count: give --unlabelled-share and --teacher-weight above 0",
        ),
    ],
)
def test_what_has_no_effect_is_refused(
    refusal: Callable[..., str], more: tuple[str, ...], message: str
) -> None:
    assert message in refusal(*more)


def test_a_batch_of_one_has_no_room_for_both(
    data: Path,
    more: Path,
    tmp_path: Path,
    train: Train,
    teacher: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    free = (*teacher, "--unlabelled", str(more), "--batch-size", "1")
    assert train(data, tmp_path / "other", "--epochs", "1", *free) == 2
    assert (
        "a batch of 1 has no room for a labelled image beside one without a mask" in capsys.readouterr().err
    )
