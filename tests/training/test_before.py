"""Mistakes that are reported in one line before a training starts, not after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeseg.cli.main import main
from edgeseg.core.errors import ModelError, OutputError, UsageError
from edgeseg.core.reads import NOTHING
from edgeseg.models import registry
from edgeseg.models.base import SegmentationNetwork
from edgeseg.training import folder
from edgeseg.training.probe import TrainingStep, _try, check_training_step
from edgeseg.training.recipe import Recipe
from PIL import Image

Train = Callable[..., int]


def paint(root: Path, split: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Writes a split's masks anew, without a palette."""
    for path in (root / "SegmentationClass").glob(f"{split}_*.png"):
        with Image.open(path) as image:
            mask = np.asarray(image)
        Image.fromarray(change(mask).astype(np.uint8)).save(path)


def refused(
    train: Train, data: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str, status: int = 2
) -> str:
    """Trains, sees that it is refused in one line and leaves nothing, and returns the line."""
    assert train(data, out, "--epochs", "1", *more) == status
    explained_failures = capsys.readouterr()
    assert explained_failures.err.count("\n") == 1
    assert "epoch" not in explained_failures.out
    assert not out.exists()
    return explained_failures.err


def test_a_validation_split_that_is_all_void(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(data, "val", lambda mask: np.full_like(mask, 255))
    line = refused(train, data, tmp_path / "run", capsys)
    assert "nothing can be measured on the split 'val'" in line
    assert "name another one with --val-split" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda mask: np.where(mask > 0, 255, 0),
            "hold only 0 (ground) and 255, which is void: where 255 marks",
        ),
        (lambda mask: np.full_like(mask, 255), "every pixel is void (255)"),
        (
            lambda mask: np.full_like(mask, 1),
            "the masks show one class alone, road; label pixels of a second one",
        ),
    ],
)
def test_masks_that_nothing_can_be_learnt_from(
    data: Path,
    tmp_path: Path,
    train: Train,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    paint(data, "*", change)
    line = refused(train, data, tmp_path / "run", capsys)
    assert "nothing can be learnt from the split 'train'" in line
    assert message in line
    assert main(["data", "check", str(data)]) == 1
    shown = capsys.readouterr().out
    assert "problem: nothing can be learnt from this set: " in shown
    assert message in shown


def test_a_label_map_of_one_class(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(data, "*", lambda mask: np.zeros_like(mask))
    (data / "labelmap.txt").write_text("thing:9,9,9::\n")
    line = refused(train, data, tmp_path / "run", capsys)
    assert "the label map has one class alone, thing" in line
    assert "add a line for what surrounds it, such as background:0,0,0::" in line


def test_a_split_that_is_not_there_is_told_first_and_only_what_is_there_last(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "ImageSets/Segmentation/val.txt").rename(data / "ImageSets/Segmentation/test.txt")
    assert train(data, tmp_path / "run", "--epochs", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("no split 'val' in ")
    assert "(there are test, train): nothing is measured, and best is last" in lines[0]
    assert lines[1].startswith("epoch 1/1")
    assert lines[-1].startswith("wrote ")
    named = [
        Path(word.strip(",;")) for word in lines[-1].split() if word.strip(",;").endswith(".safetensors")
    ]
    assert len(named) == 2
    assert all(path.is_file() for path in named)


def test_measuring_on_the_training_images_is_said(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "1", "--val-split", "train") == 0
    assert "measured on the images it is trained on" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("network", "options", "batch_size", "size_hw", "ways"),
    [
        (
            "fcn_resnet18",
            {},
            1,
            (32, 32),
            "use --batch-size 2 or more (of as many images), or a larger --crop",
        ),
        ("deeplabv3", {}, 1, (64, 64), "use --batch-size 2 or more (of as many images)$"),
        ("unet", {"width": 4, "depth": 2}, 1, (4, 4), "use --batch-size 2 or more"),
    ],
)
def test_batch_normalization_needs_more_than_one_value(
    network: str, options: dict[str, object], batch_size: int, size_hw: tuple[int, int], ways: str
) -> None:
    pattern = ways.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(
        UsageError, match=f"cannot be trained on 1 image of .*single value a channel.*{pattern}"
    ):
        check_training_step(TrainingStep(network, 3, options, batch_size, size_hw, (64, 64)))


@pytest.mark.parametrize("crop_hw", [(32, 32), (64, 96)])
@pytest.mark.parametrize("network", registry.names())
def test_of_every_network_one_image_a_step_is_refused_where_a_norm_has_one_value(
    network: str, crop_hw: tuple[int, int]
) -> None:
    values: list[int] = []

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        values.append(inputs[0].numel() // inputs[0].shape[1])

    with torch.device("meta"):
        built = registry.build(network, 3).eval()
    for layer in built.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.register_forward_pre_hook(count)
    built.training_outputs(torch.empty(1, 3, *crop_hw, device="meta"))
    recipe = Recipe(batch_size=1, accumulate=4)
    if 1 in values:
        with pytest.raises(
            UsageError, match="a single value a channel to normalize, and --accumulate adds none"
        ):
            check_training_step(TrainingStep(network, 3, {}, 1, crop_hw, (64, 64), recipe))
    else:
        check_training_step(TrainingStep(network, 3, {}, 1, crop_hw, (64, 64), recipe))


@pytest.mark.parametrize(("network", "size_hw"), [("lraspp", (64, 64)), ("fcn_resnet18", (64, 64))])
def test_one_image_a_step_is_taken_where_it_works(network: str, size_hw: tuple[int, int]) -> None:
    check_training_step(TrainingStep(network, 3, {}, 1, size_hw, (64, 64)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 20_000}, "GiB for its weights alone"),
        ({"width": 1 << 24, "depth": 8}, "cannot be built with these options|GiB for its weights alone"),
        ({"width": 10**30}, "expected a whole number of at least 1"),
    ],
)
def test_a_network_that_no_memory_holds(options: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, ModelError), match=message) as caught:
        check_training_step(TrainingStep("unet", 3, options, 2, (24, 24), (64, 64)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("fcn_resnet18", {}, "both sides must be multiples of 32; use 64x64 or 96x96; --size names the size"),
        ("unet", {"width": 2, "padding": "valid"}, "each pooling needs an even side"),
    ],
)
def test_a_size_that_could_not_be_deployed(network: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_training_step(TrainingStep(network, 3, options, 2, (188, 188), (65, 64)))


def test_logits_of_another_size_than_the_image() -> None:
    class Middle(SegmentationNetwork):
        num_classes, stride = 3, 1

        def coarse(self, x: torch.Tensor) -> torch.Tensor:
            return x[..., 1:-1, 1:-1]

        def upsampled(self, logits: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
            return logits

    assert _try(Middle(), 1, (8, 8)) == "it gives logits of 6x6 for them"


def test_what_a_run_starts_from_is_not_removed_by_its_force(
    data: Path, trained: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    out = trained
    before = (out / "last.safetensors").read_bytes()
    capsys.readouterr()
    assert train(data, out, "--epochs", "1", "--force", "--init", str(out / "last.safetensors")) == 2
    assert "which --force would empty; name another --out" in capsys.readouterr().err
    # A refusal leaves what --force would have replaced.
    paint(data, "*", lambda mask: np.full_like(mask, 255))
    assert train(data, out, "--epochs", "1", "--force") == 2
    assert (out / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["file", "file/below", "x\0y"])
def test_a_folder_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    held = folder.held(tmp_path / name, resume=False, force=True, needed={}, reads=NOTHING)
    with pytest.raises(OutputError, match=r"is a file; name a folder|cannot write into"), held:
        pytest.fail("the folder was taken")
