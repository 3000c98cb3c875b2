"""Training from what is known: others' weights, frozen layers, a teacher, patience, gathered gradients."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.labels import LabelMap
from edgeseg.data.voc import VocDataset
from edgeseg.models import registry
from edgeseg.models.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from edgeseg.training.batches import EpochBatches
from edgeseg.training.distill import Teacher, distillation
from edgeseg.training.draw import Draw
from edgeseg.training.job import Job
from edgeseg.training.optim import make_optimizer
from edgeseg.training.recipe import Recipe
from edgeseg.training.trainer import Trainer
from edgeseg.training.tuning import freeze, training_mode

Train = Callable[..., int]
THIN: dict[str, object] = {"width": 4, "depth": 2}


def job(data: Path, out: Path, **changes: object) -> Job:
    train, val = VocDataset(data, "train"), VocDataset(data, "val")
    recipe = Recipe(epochs=1, batch_size=2, learning_rate=0.01)
    fields: dict[str, object] = {"recipe": recipe, "workers": 0, "arguments": THIN, **changes}
    return Job(architecture="unet", train=train, val=val, input_size_hw=(24, 32), out=out, **fields)  # type: ignore[arg-type]


def run(job: Job) -> Trainer:
    job.out.mkdir()
    trainer = Trainer(job, lambda progress: None)
    trainer.run()
    return trainer


class TestInit:
    def test_anybody_s_file(
        self, data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
    ) -> None:
        state = registry.build("unet", 3, THIN).state_dict()
        torch.save(
            {"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "theirs.pth"
        )
        assert train(data, tmp_path / "run", "--epochs", "1", "--init", str(tmp_path / "theirs.pth")) == 0
        explained_failures = capsys.readouterr().out
        assert "theirs.pth: 64 of 66 tensors loaded; the head's classes start afresh" in explained_failures
        recipe = load_checkpoint(tmp_path / "run/last.safetensors").info.recipe
        assert recipe["started_from"] == {"weights": "theirs.pth"}

    def test_next_to_nothing_is_one_line(
        self, data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
    ) -> None:
        torch.save({"features.0.weight": torch.zeros(3, 3)}, tmp_path / "theirs.pth")
        assert train(data, tmp_path / "run", "--epochs", "1", "--init", str(tmp_path / "theirs.pth")) == 2
        error = capsys.readouterr().err
        assert "theirs.pth does not fit unet: of the trunk's" in error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()

    def test_a_checkpoint_s_normalization_is_kept_also_by_a_resumed_run(
        self, data: Path, tmp_path: Path, train: Train
    ) -> None:
        labels = VocDataset(data, "train").labels
        info = CheckpointInfo("unet", labels, (24, 32), THIN, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        save_checkpoint(tmp_path / "theirs.safetensors", registry.build("unet", 3, THIN), info)
        out = tmp_path / "run"
        assert train(data, out, "--epochs", "1", "--init", str(tmp_path / "theirs.safetensors")) == 0
        assert load_checkpoint(out / "last.safetensors").info.mean == (0.5, 0.5, 0.5)
        assert train(data, out, "--epochs", "2", "--resume") == 0
        assert load_checkpoint(out / "last.safetensors").info.std == (0.25, 0.25, 0.25)


class TestFrozen:
    def test_the_trunk_stays_as_it_was_and_the_head_moves(self, data: Path, tmp_path: Path) -> None:
        start: dict[str, torch.Tensor] = {}

        def note(network: torch.nn.Module) -> None:
            start.update({key: value.clone() for key, value in network.state_dict().items()})

        recipe = Recipe(epochs=1, batch_size=2, learning_rate=0.01, freeze="trunk")
        trained = run(job(data, tmp_path / "run", recipe=recipe, initialize=note)).network.state_dict()
        moved = {key for key in start if not torch.equal(start[key], trained[key])}
        assert moved
        assert not [key for key in moved if key.startswith("down.")]
        assert {"score.weight", "join.0.0.weight"} <= moved

    @pytest.mark.parametrize(
        ("changes", "kept"),
        [
            ({}, ()),
            ({"freeze": "stem"}, ("backbone.0.",)),
            ({"freeze": "trunk"}, ("backbone.",)),
            ({"frozen_norms": True}, ("backbone.",)),
        ],
    )
    def test_statistics_are_frozen_where_asked(
        self, changes: dict[str, object], kept: tuple[str, ...]
    ) -> None:
        with torch.device("meta"):
            network = registry.build("lraspp", 3)
        training_mode(network, replace(Recipe(), **changes))  # type: ignore[arg-type]
        norms = {
            name: layer for name, layer in network.named_modules() if isinstance(layer, torch.nn.BatchNorm2d)
        }
        assert {name for name, layer in norms.items() if not layer.training} == {
            name for name in norms if name.startswith(kept)
        }

    @pytest.mark.parametrize("name", registry.names())
    def test_every_network_has_a_stem_within_its_trunk(self, name: str) -> None:
        with torch.device("meta"):
            network = registry.build(name, 3)
        freeze(network, Recipe(freeze="stem"))
        stem = [key for key, value in network.named_parameters() if not value.requires_grad]
        freeze(network, Recipe(freeze="trunk"))
        trunk = [key for key, value in network.named_parameters() if not value.requires_grad]
        assert 0 < len(stem) < len(trunk) < len(list(network.parameters()))
        assert set(stem) < set(trunk)

    def test_the_trunk_has_its_own_rate(self) -> None:
        network = registry.build("unet", 3, THIN)
        shares = {
            id(value): group["share"]
            for group in make_optimizer(network, Recipe(trunk_rate=0.3)).param_groups
            for value in group["params"]
        }
        assert {
            shares[id(value)] for key, value in network.named_parameters() if key.startswith("down.")
        } == {0.3}
        assert {
            shares[id(value)] for key, value in network.named_parameters() if not key.startswith("down.")
        } == {1.0}


class TestTeacher:
    LABELS = LabelMap.from_pairs([("ground", (0, 0, 0)), ("road", (128, 64, 128)), ("car", (64, 0, 128))])

    def test_its_classes_go_by_name(self, tmp_path: Path) -> None:
        others = LabelMap.from_pairs(
            [("car", (1, 1, 1)), ("sky", (2, 2, 2)), ("Ground", (3, 3, 3)), ("road", (4, 4, 4))]
        )
        path = tmp_path / "teacher.safetensors"
        save_checkpoint(path, registry.build("unet", 4, THIN), CheckpointInfo("unet", others, (24, 32), THIN))
        teacher = Teacher(load_checkpoint(path), self.LABELS, torch.device("cpu"))
        image = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
        whole = teacher.network.coarse(teacher.normalize(image))
        assert torch.equal(teacher.coarse(image), whole[:, [2, 3, 0]])

    def test_one_that_lacks_a_class_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "teacher.safetensors"
        info = CheckpointInfo("unet", LabelMap.generic(2), (24, 32), THIN)
        save_checkpoint(path, registry.build("unet", 2, THIN), info)
        with pytest.raises(
            DataError, match="the teacher does not know the classes ground, road, car; it tells class_0"
        ):
            Teacher(load_checkpoint(path), self.LABELS, torch.device("cpu"))

    def test_the_divergence_is_zero_for_equals_and_known_for_two(self) -> None:
        logits = torch.randn(2, 3, 4, 5)
        assert float(distillation(logits, logits)) == pytest.approx(0, abs=1e-6)
        learner, teacher = torch.zeros(1, 2, 1, 1), torch.log(torch.tensor([0.75, 0.25])).view(1, 2, 1, 1)
        expected = 0.75 * torch.tensor(0.75 / 0.5).log() + 0.25 * torch.tensor(0.25 / 0.5).log()
        assert float(distillation(learner, teacher)) == pytest.approx(float(expected), abs=1e-6)

    def test_it_teaches(self, data: Path, tmp_path: Path, train: Train, trained: Path) -> None:
        teacher = str(trained / "last.safetensors")
        assert (
            train(data, tmp_path / "out", "--epochs", "1", "--teacher", teacher, "--teacher-weight", "2") == 0
        )
        recipe = load_checkpoint(tmp_path / "out/last.safetensors").info.recipe
        assert recipe["teacher_weight"] == 2
        assert recipe["teacher"] == "last.safetensors"
        alone = json.loads((trained / "log.jsonl").read_text())["loss"]
        assert json.loads((tmp_path / "out/log.jsonl").read_text())["loss"] > alone


class TestPatience:
    def test_it_ends_where_nothing_gets_better_and_stays_ended(
        self, data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "run"
        # A rate this small changes no class of any pixel: no measurement is better than the first.
        more = ("--epochs", "9", "--patience", "2", "--learning-rate", "1e-12", "--average", "0",
                "--option", "batch_norm=false", "--init", str(self.start(data, tmp_path)))  # fmt: skip
        assert train(data, out, *more) == 0
        assert len((out / "log.jsonl").read_text().splitlines()) == 3
        assert "ended after epoch 3: 2 measurements were no better than the best" in capsys.readouterr().out
        assert train(data, out, *more, "--resume") == 0
        assert len((out / "log.jsonl").read_text().splitlines()) == 3

    @staticmethod
    def start(data: Path, tmp_path: Path) -> Path:
        path = tmp_path / "start.safetensors"
        options = {**THIN, "batch_norm": False}
        info = CheckpointInfo("unet", VocDataset(data, "train").labels, (24, 32), options)
        save_checkpoint(path, registry.build("unet", 3, options), info)
        return path


class TestAccumulation:
    def test_two_halves_are_the_whole(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without batch norm, void and augmentation, the gradients of two batches add up to those of both."""
        from edgeseg.data.augment import Augmentation
        from PIL import Image

        for path in (data / "SegmentationClass").iterdir():
            with Image.open(path) as image:
                mask = image.copy()
            mask.putpixel((0, 0), 1), mask.putpixel((1, 0), 1), mask.putpixel((2, 0), 1)
            mask.save(path)
        plain = Augmentation(crop_hw=None, scale=(1.0, 1.0), flip=0.0, colour=0.0)
        recipe = Recipe(
            epochs=1, batch_size=4, optimizer="sgd", schedule="poly", learning_rate=0.05, augmentation=plain
        )
        arguments = {**THIN, "batch_norm": False}
        whole = run(job(data, tmp_path / "whole", recipe=recipe, arguments=arguments))
        halves = run(
            job(
                data,
                tmp_path / "halves",
                recipe=replace(recipe, batch_size=2, accumulate=2),
                arguments=arguments,
            )
        )
        assert halves.total_steps == whole.total_steps == 1
        for one, other in zip(whole.network.parameters(), halves.network.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)

    def test_the_last_group_of_an_epoch_may_be_smaller(self, data: Path, tmp_path: Path) -> None:
        recipe = Recipe(epochs=2, batch_size=1, accumulate=3, learning_rate=0.01)
        trainer = run(job(data, tmp_path / "run", recipe=recipe))
        assert len(EpochBatches(Draw(4, 1, 0), 0, 1)) == 4
        assert trainer.total_steps == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ("--freeze", "trunk"),
            "--freeze and --freeze-norms keep what was loaded, and nothing is: add --init imagenet",
        ),
        (("--freeze-norms",), "add --init imagenet or --init FILE"),
        (("--teacher-weight", "1"), "--teacher-weight is for a teacher: add --teacher CHECKPOINT"),
        (("--teacher", "nowhere.safetensors"), "cannot read the checkpoint nowhere.safetensors"),
        (("--trunk-rate", "0"), "trunk_rate is 0.0; expected more than 0, at most 1"),
        (("--accumulate", "0"), "accumulate is 0; expected 1 to 1000000 batches"),
        (("--patience=-1",), "patience is -1; expected 0 to 1000000 measurements"),
        (("--init", "imagenet"), "no ImageNet weights for unet"),
        (("--init", "moon"), "unknown weights 'moon' to start unet from; known: imagenet, or the path"),
    ],
)
def test_what_says_nothing_is_refused_in_one_line(
    tmp_path: Path, refusal: Callable[..., str], more: tuple[str, ...], message: str
) -> None:
    assert message in refusal(*more)
    assert not (tmp_path / "run").exists()


def test_patience_needs_something_to_measure() -> None:
    import argparse

    from edgeseg.cli.train_recipe import check_combination

    args = argparse.Namespace(
        init=None, resume=False, teacher=None, teacher_weight=None, unlabelled=None, unlabelled_share=None
    )
    with pytest.raises(UsageError, match="there is no split to measure on: add --val-split NAME"):
        check_combination(args, Recipe(patience=3), measured=False)


def test_frozen_layers_go_on_as_they_began(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "1", "--trunk-rate", "0.5") == 0
    assert train(data, out, "--epochs", "2", "--trunk-rate", "0.25", "--resume") == 0
    assert "with epochs 2 instead of 1, trunk_rate 0.25 instead of 0.5" in capsys.readouterr().out
    assert train(data, out, "--epochs", "3", "--resume") == 2
    assert "other frozen layers or trunk's own rate" in capsys.readouterr().err
