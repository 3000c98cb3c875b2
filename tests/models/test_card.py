"""A checkpoint's card says what the file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeseg.cli.main import main
from edgeseg.core.labels import LabelMap
from edgeseg.models import registry
from edgeseg.models.checkpoint import CheckpointInfo, save_checkpoint


def test_the_card_shows_both_stages_and_every_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = CheckpointInfo(
        "unet",
        LabelMap.generic(2),
        (64, 96),
        {"width": 4},
        recipe={
            "command": "edgeseg train --second",
            "epochs": 2,
            "augmentation": {"scale": [0.5, 2.0]},
            "started_from": {"command": "edgeseg train --first", "epochs": 9},
        },
        metrics={"set/val": {"miou": 0.61234, "per_class_iou": {"class_0": 0.5, "class_1": None}}},
    )
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, registry.build("unet", 2, {"width": 4}), info)
    assert main(["models", "--card", str(path), "--curves", "curves.png"]) == 0
    card = capsys.readouterr().out
    assert card.index("edgeseg train --first") < card.index("edgeseg train --second")
    for line in (
        "# mine",
        "- input: 64 x 96, RGB mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225 of 0..1",
        "| augmentation: scale | 0.5, 2 |",
        "![Loss and validation figures against epochs](curves.png)",
        "## Measured on set/val",
        "| mean IoU | 0.612 |",
        "| class_0 | 0.500 |",
        "| class_1 | absent |",
    ):
        assert line in card.splitlines()


def test_an_unknown_checkpoint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--card", "nothing"]) == 2
    assert "cannot read the checkpoint nothing" in capsys.readouterr().err


def test_a_card_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = CheckpointInfo(
        architecture="unet",
        labels=LabelMap.generic(2),
        input_size_hw=(64, 96),
        recipe={"data": "\x1b[2Jgone"},
        metrics={"val": {"miou": "high", "per_class_iou": {"class_0": "high"}}},
    )
    save_checkpoint(tmp_path / "odd.safetensors", registry.build("unet", 2, {"width": 4}), info)
    assert main(["models", "--card", str(tmp_path / "odd.safetensors")]) == 0
    card = capsys.readouterr().out
    assert r"| data | \x1b[2Jgone |" in card
    assert "\x1b" not in card
    assert "| class_0 | absent |" in card


def test_a_name_that_no_file_can_have_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--card", "a" * 300]) == 2
    assert capsys.readouterr().err.count("\n") == 1
