"""The choices of ``edgeseg train`` that need no training: the device and the preset."""

from __future__ import annotations

import argparse
import importlib

import pytest
import torch
from edgeseg.cli.parser import VerbParser
from edgeseg.cli.train import _sheet_every
from edgeseg.cli.train_device import choose_device
from edgeseg.cli.train_recipe import preset_of, recipe_of
from edgeseg.core.errors import UsageError
from edgeseg.data.voc import VocDataset
from edgeseg.models import registry
from edgeseg.training.recipe import Recipe, default_preset, preset


def parsed(*words: str) -> argparse.Namespace:
    parser = VerbParser(prog="train")
    importlib.import_module("edgeseg.cli.train").configure(parser)
    return parser.parse_args(["--data", "set", "--out", "run", *words])


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {'AB'[number]}")
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_short_options() -> None:
    args = parsed("-m", "unet", "-g", "1")
    assert (args.model, args.gpu, args.device) == ("unet", 1, None)


@pytest.mark.usefixtures("two_gpus")
class TestTwoGpus:
    @pytest.mark.parametrize(
        ("name", "gpu", "device"),
        [
            (None, None, "cuda"),
            ("auto", None, "cuda"),
            ("cuda", None, "cuda"),
            ("cuda:1", None, "cuda:1"),
            ("cpu", None, "cpu"),
            (None, 0, "cuda:0"),
            (None, 1, "cuda:1"),
        ],
    )
    def test_the_named_one_is_taken(self, name: str | None, gpu: int | None, device: str) -> None:
        assert str(choose_device(name, gpu)) == device

    @pytest.mark.parametrize(
        ("name", "gpu", "message"),
        [
            ("cuda", 1, "--gpu 1 and --device cuda both name the device; give one of them"),
            ("cpu", 0, "--gpu 0 and --device cpu both name the device"),
            (None, 2, r"--gpu 2: there is no such GPU; torch finds 0 \(GPU A\), 1 \(GPU B\)$"),
            ("cuda:7", None, r"--device cuda:7: there is no such GPU; torch finds 0 \(GPU A\), 1 \(GPU B\)$"),
            (None, -1, "--gpu -1: expected the number of a GPU, from 0"),
            ("cuda:x", None, "--device cuda:x: expected cpu, cuda, cuda:N or auto"),
        ],
    )
    def test_others_are_refused(self, name: str | None, gpu: int | None, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            choose_device(name, gpu)

    def test_each_of_several_processes_takes_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "3")
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert str(choose_device(None, None)) == "cuda:1"
        with pytest.raises(UsageError, match="--gpu 0 names one GPU for 3 processes; leave it out"):
            choose_device(None, 0)
        monkeypatch.setenv("LOCAL_RANK", "2")
        with pytest.raises(
            UsageError, match="--device auto, process 2 of this machine: there is no such GPU"
        ):
            choose_device(None, None)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu() -> None:
    assert choose_device(None, None).type == "cpu"
    with pytest.raises(
        UsageError, match="--gpu 0: torch finds no CUDA device here; use --device cpu, or install"
    ):
        choose_device(None, 0)
    with pytest.raises(UsageError, match="--device cuda: torch finds no CUDA device here"):
        choose_device("cuda", None)


@pytest.mark.gpu
def test_a_gpu_that_is_there_computes() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    device = choose_device(None, 0)
    assert float(torch.ones(2, device=device).sum()) == 2
    with pytest.raises(UsageError, match=r"--gpu 99: there is no such GPU; torch finds 0 \(\w+"):
        choose_device(None, 99)


class TestPreset:
    @pytest.mark.parametrize("name", registry.names())
    def test_trained_weights_are_fine_tuned_except_in_the_stages_of_fcn(self, name: str) -> None:
        staged = name in ("fcn32s", "fcn16s", "fcn8s")
        assert default_preset(name, from_weights=True) == ("fcn-paper" if staged else "finetune")
        assert default_preset(name, from_weights=False) != "finetune"

    def test_the_choice_is_told_where_init_made_it(self) -> None:
        assert preset_of(parsed("-m", "lraspp")) == ("scratch", "")
        assert preset_of(parsed("-m", "lraspp", "--init", "imagenet")) == (
            "finetune",
            "preset finetune, because --init gives trained weights; --preset scratch is lraspp's own",
        )
        assert preset_of(parsed("-m", "lraspp", "--init", "imagenet", "--preset", "scratch")) == (
            "scratch",
            "",
        )
        assert preset_of(parsed("-m", "fcn8s", "--init", "x.safetensors")) == ("fcn-paper", "")

    def test_it_is_the_measured_recipe(self) -> None:
        recipe = preset("finetune")
        assert (recipe.optimizer, recipe.schedule, recipe.learning_rate, recipe.trunk_rate, recipe.warmup) == (
            "adamw", "one-cycle", 2e-3, 0.33, 0.05,
        )  # fmt: skip
        assert (recipe.batch_size, recipe.class_weighting, recipe.jaccard_weight, recipe.average_decay) == (
            8, "sqrt", 0.5, 0.998,
        )  # fmt: skip
        assert (recipe.augmentation.crop_hw, recipe.augmentation.scale) == ((320, 320), (0.6, 1.8))

    def test_options_override_it(self) -> None:
        args = parsed("-m", "lraspp", "--warmup", "0.2", "--balance", "0.5", "--trunk-rate", "1")
        recipe = recipe_of(args, "finetune")
        assert (recipe.warmup, recipe.balance, recipe.trunk_rate) == (0.2, 0.5, 1.0)
        assert (recipe.teacher_weight, recipe.unlabelled_share) == (0.0, 0.0)

    def test_a_teacher_and_images_without_masks_have_their_defaults(self) -> None:
        args = parsed("-m", "lraspp", "--teacher", "t.safetensors", "--unlabelled", "more")
        assert (recipe_of(args, "scratch").teacher_weight, recipe_of(args, "scratch").unlabelled_share) == (
            0.5,
            0.5,
        )

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"balance": -0.1}, "balance is -0.1; expected 0, each image once, to 1, all classes alike"),
            ({"balance": float("nan")}, "balance is nan"),
            ({"unlabelled_share": 1.0}, "unlabelled_share is 1.0; expected 0 or more, below 1"),
            ({"warmup": 1.0}, "warmup is 1.0; expected 0 or more, below 1"),
        ],
    )
    def test_nonsense_is_refused(self, changes: dict[str, float], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            Recipe(**changes)  # type: ignore[arg-type]


def test_sheets_are_drawn_where_there_are_validation_images() -> None:
    val = object.__new__(VocDataset)
    assert _sheet_every(parsed("-m", "unet"), val) == 10
    assert _sheet_every(parsed("-m", "unet", "--sheet-every", "0"), val) == 0
    assert _sheet_every(parsed("-m", "unet"), None) == 0
