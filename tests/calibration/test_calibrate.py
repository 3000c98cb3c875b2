"""Calibration from end to end: what is reused, what is refused, and what is left for the next run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeseg.calibration import calibrate as module
from edgeseg.calibration.calibrate import Calibration, calibrate
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.record import CalibrationRecord
from edgeseg.calibration.request import CalibrationJob, CalibrationRequest
from edgeseg.core.errors import DataError, OutputError, UsageError
from edgeseg.core.labels import LabelMap

from .conftest import LABELS, SIZE_HW, Weights, build

OTHER = LabelMap.from_pairs([("sky", (0, 0, 0)), ("sea", (1, 1, 1)), ("sand", (2, 2, 2))])
WIDE = {"budget": 20.0, "class_budget": 30.0}
"""Budgets that plain quantization keeps on a few small images."""

MINMAX = {"method": "minmax", "targets": ("cpu",), **WIDE}


@pytest.fixture
def source(make_dataset: Callable[..., Path]) -> str:
    return str(make_dataset(train=12, val=2, size_hw=SIZE_HW))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(graph: Graph, tmp_path: Path, said: list[str]) -> Callable[..., Calibration]:
    def run(
        labels: LabelMap = LABELS,
        network: Graph = graph,
        shipped: CalibrationRecord | None = None,
        **choices: object,
    ) -> Calibration:
        said.clear()
        request = CalibrationRequest(**choices)  # type: ignore[arg-type]
        job = CalibrationJob(network, labels, request, tmp_path / "work", shipped, on_message=said.append)
        return calibrate(job)

    return run


@pytest.fixture
def shipped(run: Callable[..., Calibration], source: str) -> CalibrationRecord:
    return run(source=source, **MINMAX).record


def test_everything_from_images(
    run: Callable[..., Calibration], source: str, said: list[str], tmp_path: Path, graph: Graph
) -> None:
    found = run(source=source, **WIDE)
    assert set(found.record.ranges) == {"minmax", "percentile", "entropy"}
    assert set(found.plans) == set(found.searches) == {"tensorrt", "cpu"}
    for target, plan in found.plans.items():
        assert plan.searched
        assert (plan.budget, plan.class_budget) == (20.0, 30.0)
        assert plan.method == found.searches[target].chosen.method
        assert 0 < plan.int8_macs <= 1
        assert plan.chosen["miou_lost"] <= plan.chosen["miou_lost_at_most"] <= 20
        assert plan.chosen["worst_class_lost"] <= plan.chosen["worst_class_lost_at_most"] <= 30
        model = found.quantized(graph, target)
        assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [
        "calibration.json",
        "exclude-cpu.txt",
        "exclude-tensorrt.txt",
        "search-cpu.png",
        "search-tensorrt.png",
        "trials.jsonl",
    ]
    assert CalibrationRecord.load(tmp_path / "work" / "calibration.json") == found.record
    (summary,) = (line for line in said if "images" in line)
    assert summary.startswith("12 calibration images of set, split train, 6 of them held out; 3 of 3 classes")
    assert found.notes == ()


def test_a_second_run_measures_nothing(
    run: Callable[..., Calibration],
    source: str,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run(source=source, **WIDE)
    files = {path.name: path.read_bytes() for path in (tmp_path / "work").iterdir()}

    def forbidden(*args: object) -> None:
        raise AssertionError("something was measured again")

    monkeypatch.setattr(module, "measure", forbidden)
    monkeypatch.setattr("edgeseg.calibration.judge.Judge.score", forbidden)
    second = run(source=source, **WIDE)
    assert said[0].startswith("reusing the ranges of")
    assert second.plans == first.plans
    assert {path.name: path.read_bytes() for path in (tmp_path / "work").iterdir()} == files


def test_a_search_that_is_ended_keeps_its_ranges(
    run: Callable[..., Calibration], source: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.calibration.search.BudgetSearch.run", ended)
        with pytest.raises(KeyboardInterrupt):
            run(source=source, **MINMAX)
    run(source=source, **MINMAX)
    assert said[0].startswith("reusing the ranges of")


def test_ranges_of_something_else_are_measured_anew_and_it_says_why(
    run: Callable[..., Calibration], source: str, said: list[str], weights: Weights
) -> None:
    run(source=source, **MINMAX)
    run(source=source, network=Graph(build({**weights, "score.bias": np.zeros(3, np.float32)})), **MINMAX)
    assert said[0].startswith("measuring new ranges: those of")
    assert "they are of another graph" in said[0]
    run(source=source, **MINMAX)
    run(source=source, images=4, **MINMAX)
    assert "they are taken from other images" in said[0]
    run(source=source, images=4, **{**MINMAX, "method": "percentile"})
    assert said[0].endswith("do not hold, another method")


class TestRangesGiven:
    def test_they_are_taken(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord, tmp_path: Path
    ) -> None:
        shipped.save(tmp_path / "mine.json")
        assert run(ranges=tmp_path / "mine.json", **MINMAX).record == shipped

    def test_of_another_graph(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord, tmp_path: Path, weights: Weights
    ) -> None:
        shipped.save(tmp_path / "mine.json")
        other = Graph(build(weights, (32, 64)))
        with pytest.raises(DataError, match=r"mine.json do not hold here: they are of another graph"):
            run(network=other, ranges=tmp_path / "mine.json", **MINMAX)

    def test_of_other_images(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord, tmp_path: Path, source: str
    ) -> None:
        shipped.save(tmp_path / "mine.json")
        with pytest.raises(DataError, match=r"mine.json do not hold here: they are taken from other images"):
            run(source=source, images=2, ranges=tmp_path / "mine.json", **MINMAX)

    @pytest.mark.parametrize("method", ["entropy", "auto"])
    def test_by_another_method(
        self,
        run: Callable[..., Calibration],
        shipped: CalibrationRecord,
        tmp_path: Path,
        source: str,
        method: str,
    ) -> None:
        shipped.save(tmp_path / "mine.json")
        with pytest.raises(DataError, match=r"mine.json has ranges by minmax, not by .*entropy; name one"):
            run(source=source, ranges=tmp_path / "mine.json", **{**MINMAX, "method": method})


class TestWithoutImages:
    def test_nothing_ships(self, run: Callable[..., Calibration]) -> None:
        with pytest.raises(
            UsageError, match=r"INT8 needs activation ranges: give .* --calibrate DIR, or .* --ranges"
        ):
            run()

    def test_what_ships_is_taken(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord, graph: Graph
    ) -> None:
        found = run(shipped=shipped, targets=("cpu",), **WIDE)
        assert found.plans["cpu"] == shipped.plans["cpu"]
        assert found.searches == {}
        found.quantized(graph, "cpu")

    def test_what_ships_is_of_another_graph(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord, weights: Weights
    ) -> None:
        with pytest.raises(
            DataError, match=r"came with the weights do not hold here: .*another graph.*--calibrate"
        ):
            run(network=Graph(build(weights, (32, 64))), shipped=shipped, **MINMAX)

    def test_it_has_no_plan_for_a_target(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord
    ) -> None:
        with pytest.raises(DataError, match="without a plan for tensorrt; give images"):
            run(shipped=shipped, **WIDE)

    @pytest.mark.parametrize("tighter", [{"budget": 19.0}, {"class_budget": 29.0}])
    def test_its_budget_is_wider_than_what_is_asked(
        self, run: Callable[..., Calibration], shipped: CalibrationRecord, tighter: dict[str, float]
    ) -> None:
        with pytest.raises(
            DataError, match="was searched for 20 points of mean IoU and 30 of a class; for tighter"
        ):
            run(shipped=shipped, targets=("cpu",), **{**WIDE, **tighter})

    def test_its_method_is_another(self, run: Callable[..., Calibration], shipped: CalibrationRecord) -> None:
        with pytest.raises(DataError, match="takes minmax ranges; for entropy ones give images"):
            run(shipped=shipped, **{**MINMAX, "method": "entropy"})


class TestExclusionList:
    def test_it_is_taken_as_it_is(
        self, run: Callable[..., Calibration], source: str, tmp_path: Path, graph: Graph
    ) -> None:
        (tmp_path / "mine.txt").write_text("deep # mine\nstem\n")
        found = run(source=source, exclude=tmp_path / "mine.txt", **MINMAX)
        plan = found.plans["cpu"]
        assert plan.excluded == ("deep", "stem")
        assert not plan.searched
        assert plan.chosen == {}
        assert found.searches == {}
        assert "nothing was searched" in found.notes[-1]
        (line,) = (n.input[1] for n in found.quantized(graph, "cpu").graph.node if n.name == "deep")
        assert line == "deep.weight"

    def test_what_a_run_leaves_can_be_edited_and_passed_back(
        self, run: Callable[..., Calibration], source: str, tmp_path: Path
    ) -> None:
        run(source=source, **MINMAX)
        path = tmp_path / "work" / "exclude-cpu.txt"
        path.write_text(path.read_text() + "point\n")
        found = run(source=source, exclude=path, **MINMAX)
        assert found.plans["cpu"].excluded == ("point",)
        assert "point, 1 x 1" in path.read_text()

    def test_an_unknown_name(self, run: Callable[..., Calibration], source: str, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("stem\nsteam\n")
        with pytest.raises(DataError, match=r"mine.txt, line 2: the graph has no convolution 'steam'"):
            run(source=source, exclude=tmp_path / "mine.txt", **MINMAX)


def test_images_without_truth_quantize_everything_and_say_so(
    run: Callable[..., Calibration], source: str, said: list[str], graph: Graph
) -> None:
    found = run(OTHER, source=source, targets=("tensorrt",))
    plan = found.plans["tensorrt"]
    assert plan.excluded == ()
    assert not plan.searched
    assert plan.method in found.record.ranges
    assert found.searches == {}
    assert "no budget can be searched on them" in found.notes[0]
    assert found.record.class_shares == {}


def test_classes_never_seen_are_named(
    run: Callable[..., Calibration], source: str, tmp_path: Path, write_mask: Callable[..., None]
) -> None:
    for path in (Path(source) / "SegmentationClass").iterdir():
        write_mask(path, np.zeros(SIZE_HW, np.uint8))
    found = run(source=source, **MINMAX)
    assert found.notes == (
        "the calibration images never show road, car: what quantization does to these classes is not known",
    )


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"targets": ("tpu",)}, "unknown INT8 target 'tpu'; known: tensorrt, cpu"),
        ({"method": "mse"}, "unknown calibration method 'mse'; known: auto, minmax"),
        ({"budget": -0.1}, r"--budget -0.1: expected points of IoU, 0 or more"),
        ({"class_budget": float("nan")}, r"--class-budget nan: expected points of IoU, 0 or more"),
        ({"images": 10}, "name them with --calibrate"),
        ({"source": "nowhere"}, "there is no data set folder nowhere"),
        ({"source": "aerial:x"}, "expected aerial:SEED"),
    ],
)
def test_choices_that_cannot_work(
    run: Callable[..., Calibration], choices: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        run(**choices)
    assert not (tmp_path / "work").exists()


def test_a_folder_that_cannot_be_made(run: Callable[..., Calibration], source: str, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("in the way")
    with pytest.raises(OutputError, match=r"work is a file; give the output the name of a folder"):
        run(source=source, **MINMAX)


def test_a_calibration_file_that_is_broken_is_not_written_over(
    run: Callable[..., Calibration], source: str, tmp_path: Path
) -> None:
    run(source=source, **MINMAX)
    path = tmp_path / "work" / "calibration.json"
    path.write_text(json.dumps({"schema": 99}))
    with pytest.raises(DataError, match="is no calibration of schema 1; calibrate again"):
        run(source=source, **MINMAX)
    assert json.loads(path.read_text()) == {"schema": 99}


def test_plans_of_targets_not_asked_for_are_kept(run: Callable[..., Calibration], source: str) -> None:
    run(source=source, **MINMAX)
    found = run(source=source, **{**MINMAX, "targets": ("tensorrt",)})
    assert set(found.record.plans) == {"cpu", "tensorrt"}
    assert set(found.plans) == {"tensorrt"}
    assert replace(found.record, plans={}) == replace(run(source=source, **MINMAX).record, plans={})
