"""The cross-fit of INT8's budgets: its parts, its rules, its table, and what it keeps for the next run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks import int8, int8_cross_fit
from edgeseg.benchmarks.int8_cross_fit import RULES, CrossFit, Outcome, by_half, by_whole, cross_fit, table
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.judge import Loss, Score
from edgeseg.calibration.trials import Trial
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.labels import LabelMap

from ..calibration.conftest import LABELS, SIZE_HW, build, fitted_weights

MakeDataset = Callable[..., Path]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph(build(fitted_weights()))


@pytest.fixture
def data(make_dataset: MakeDataset) -> Path:
    return make_dataset(train=8, val=12, size_hw=SIZE_HW)


def outcome(target: str, rule: str, miou: float, worst: float, in_float: int) -> Outcome:
    nothing = Score(np.zeros((1, 3, 1), np.int64), np.zeros((1, 2)))
    names = tuple(f"Conv_{i}" for i in range(in_float))
    trial = Trial("minmax", names, {}, 0.9, nothing, Loss(0, 0, 0), Loss(0, 0, 0))
    return Outcome(target, rule, trial, Loss(miou, worst, 0))


def test_every_rule_searches_on_each_part_and_is_measured_on_the_other(
    graph: Graph, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = CrossFit(data, splits=2, group="val_[0-9]", budget=20, class_budget=30)
    outcomes = cross_fit(graph, LABELS, request, tmp_path / "work")
    assert len(outcomes) == 2 * 2 * 2 * len(RULES)
    one = cross_fit(graph, LABELS, replace(request, targets=("cpu",)), tmp_path / "work")
    assert [o.lost for o in one] == [o.lost for o in outcomes if o.target == "cpu"]
    for found in outcomes:
        assert found.lost.worst_class_id >= 0
        assert found.trial.loss != found.lost, "measured on the part that was searched on"

    def forbidden(*args: object) -> None:
        raise AssertionError("something was measured again")

    monkeypatch.setattr(int8_cross_fit, "measured_ranges", forbidden)
    monkeypatch.setattr("edgeseg.calibration.judge.Judge.score", forbidden)
    again = cross_fit(graph, LABELS, request, tmp_path / "work")
    assert [o.lost for o in again] == [o.lost for o in outcomes]
    assert table(again, 20, 30) == table(outcomes, 20, 30)


def test_the_parts_share_no_group_and_no_image_for_the_ranges(data: Path) -> None:
    request = CrossFit(data, split="train", splits=3)
    images: CalibrationSet = int8_cross_fit._images(request, LABELS)
    assert len(images.for_ranges) == len(images.held_out) == 4
    ranges, judged = ({images.hashes[i] for i in part} for part in (images.for_ranges, images.held_out))
    assert ranges & judged == set()
    assert [s.id for s in images.read(images.held_out)] == ["train_1", "train_3", "train_5", "train_7"]
    names = [f"{index:03}" for index in range(60)]
    parts = list(int8_cross_fit._parts(names, request))
    assert len(parts) == 6
    for one, other in parts:
        assert sorted((*one, *other)) == list(range(60))
        assert {index // 10 for index in one} & {index // 10 for index in other} == set()
        assert len(one) == len(other) == 30
    assert len({one for one, _ in parts}) > 2, "each split is another one"
    assert parts == list(int8_cross_fit._parts(names, request)), "but always the same"


def test_the_table_counts_what_keeps() -> None:
    first, half, bound = RULES
    outcomes = [
        outcome("cpu", first, 0.6, 0.4, 0),
        outcome("cpu", first, 0.5, 1.2, 1),
        outcome("cpu", first, -0.001, 1.0, 0),
        outcome("cpu", half, 0.1, 0.2, 2),
        outcome("cpu", bound, 0.1, 0.2, 3),
    ]
    rows = table(outcomes, 0.5, 1.0).splitlines()
    assert rows[2] == f"| cpu | {first} | 3 | 2 | 2 | 1 | 0.60, 1.20 | 0, 1 | 90.0 % |"
    assert rows[3] == f"| cpu | {half} | 1 | 1 | 1 | 1 | 0.10, 0.20 | 2, 2 | 90.0 % |"
    assert len(rows) == 5


def test_the_rules_of_the_measured_loss() -> None:
    trial = replace(outcome("cpu", "", 0, 0, 0).trial, loss=Loss(0.2, 0.6, 1))
    assert by_whole(trial, trial.score, 0.5, 1.0) == 0.6
    assert by_half(trial, trial.score, 0.5, 1.0) == 1.2


def test_labels_of_other_classes(graph: Graph, data: Path, tmp_path: Path) -> None:
    other = LabelMap.from_pairs([("sky", (0, 0, 0)), ("sea", (1, 1, 1)), ("sand", (2, 2, 2))])
    with pytest.raises(DataError, match="the labels of set, split val are not the network's classes"):
        cross_fit(graph, other, CrossFit(data), tmp_path / "work")


def test_images_of_one_group(graph: Graph, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--group puts all 12 images into one group"):
        cross_fit(graph, LABELS, CrossFit(data, group="prefix:3", splits=1), tmp_path / "work")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cross-fit", "0"), "--cross-fit 0: expected how many times to split, 1 or more"),
        (("--cross-fit", "2", "--group", "("), "--group '(' is no regular expression"),
        (("--split", "train"), "--split is an option of --cross-fit; name that one too"),
        (("--target", "cpu"), "--target is an option of --cross-fit; name that one too"),
        (("--group", "folder"), "--group is an option of --cross-fit; name that one too"),
    ],
)
def test_options_that_cannot_work(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int8.main(["--data", "nowhere", "lraspp=camvid", *options]) == 2
    assert message in capsys.readouterr().err
