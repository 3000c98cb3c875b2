"""The budget search: finds what breaks, stays within the budgets with room to spare, and never measures twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.judge import Judge, Score
from edgeseg.calibration.placement import TARGETS, candidates
from edgeseg.calibration.plot import pareto, write_plot
from edgeseg.calibration.search import RESERVE, BudgetSearch, SearchResult, int8_macs

Ranges = Mapping[str, Mapping[str, tuple[float, float]]]
Search = Callable[..., SearchResult]

BUDGET, CLASS_BUDGET = 1.0, 2.0


@pytest.fixture
def narrow(ranges: Ranges) -> Ranges:
    """Ranges by which the input of ``deep`` is clipped to a tenth."""
    low, high = ranges["minmax"]["o"]
    return {"minmax": {**ranges["minmax"], "o": (low / 10, high / 10)}}


@pytest.fixture
def search(graph: Graph, images: CalibrationSet, tmp_path: Path) -> Search:
    def run(
        ranges: Ranges,
        target: str = "tensorrt",
        budget: float = BUDGET,
        class_budget: float = CLASS_BUDGET,
        **kwargs,
    ) -> SearchResult:
        journal = tmp_path / "trials.jsonl"
        return BudgetSearch(graph, images, 3, target, ranges, budget, class_budget, journal, **kwargs).run()

    return run


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every measurement that is made."""
    calls: list[str] = []
    score, logit_error = Judge.score, Judge.logit_error

    def counted_score(self: Judge, model: onnx.ModelProto, *rest: object) -> Score:
        calls.append("score")
        return score(self, model, *rest)  # type: ignore[arg-type]

    def counted_error(self: Judge, model: onnx.ModelProto, samples: object) -> float:
        calls.append("error")
        return logit_error(self, model, samples)  # type: ignore[arg-type]

    monkeypatch.setattr(Judge, "score", counted_score)
    monkeypatch.setattr(Judge, "logit_error", counted_error)
    return calls


@pytest.mark.parametrize("target", TARGETS)
def test_where_plain_quantization_does_nothing_else_is_tried(
    search: Search, ranges: Ranges, target: str, graph: Graph, wants_exact_sums: Callable[[str], None]
) -> None:
    wants_exact_sums(target)
    result = search({"minmax": ranges["minmax"]}, target)
    assert result.chosen is result.plain
    assert result.chosen.excluded == ()
    assert result.sensitivity == {}
    assert len(result.trials) == 1
    assert result.chosen.int8_macs == int8_macs(graph, target, ())


@pytest.mark.parametrize("target", TARGETS)
def test_what_breaks_is_found_and_left_in_float(
    search: Search, narrow: Ranges, target: str, graph: Graph, wants_exact_sums: Callable[[str], None]
) -> None:
    wants_exact_sums(target)
    result = search(narrow, target)
    assert result.plain.loss.spent(BUDGET, CLASS_BUDGET) > 1
    assert set(result.sensitivity) == set(candidates(graph, target))
    assert max(result.sensitivity, key=lambda name: result.sensitivity[name]) == "deep"
    assert result.chosen.excluded == ("deep",)
    assert result.chosen.loss.spent(BUDGET, CLASS_BUDGET) <= 1 - RESERVE
    assert result.chosen.int8_macs == int8_macs(graph, target, ["deep"]) < result.plain.int8_macs


@pytest.mark.parametrize("target", TARGETS)
def test_a_budget_of_nothing_ends_with_something_that_loses_nothing(
    search: Search, narrow: Ranges, target: str
) -> None:
    result = search(narrow, target, 0.0, 0.0)
    assert "deep" in result.chosen.excluded
    assert result.chosen.loss.miou <= 0
    assert result.chosen.loss.worst_class <= 0


def test_no_convolution_stays_in_float_that_the_budget_can_bear(search: Search, narrow: Ranges) -> None:
    result = search(narrow, "tensorrt", 0.0, 0.0)
    chosen = set(result.chosen.excluded)
    for name in chosen:
        without = [
            trial.loss.spent(0, 0)
            for trial in result.trials
            if name not in trial.excluded
            and chosen - {name} <= set(trial.excluded)
            and bool(trial.shifts) == bool(result.chosen.shifts)
        ]
        assert without, f"no list without {name} was tried"
        assert min(without) > 1 - RESERVE


def test_the_method_whose_logits_err_least_is_taken(search: Search, ranges: Ranges, narrow: Ranges) -> None:
    result = search({"minmax": narrow["minmax"], "percentile": ranges["percentile"]})
    assert result.plain.method == result.chosen.method == "percentile"
    assert {trial.method for trial in result.trials} == {"minmax", "percentile"}


def test_what_is_in_the_journal_is_not_measured_again(
    search: Search, narrow: Ranges, measured: list[str], tmp_path: Path
) -> None:
    first = search(narrow)
    assert measured.count("score") == len(first.trials) + 1  # the float graph
    assert measured.count("error") == 5
    journal = (tmp_path / "trials.jsonl").read_bytes()
    measured.clear()
    again = search(narrow)
    assert measured == []
    assert (tmp_path / "trials.jsonl").read_bytes() == journal
    assert again.chosen.excluded == first.chosen.excluded
    assert again.chosen.score == first.chosen.score
    assert again.sensitivity == first.sensitivity
    assert [t.loss for t in again.trials] == [t.loss for t in first.trials]
    for name, shift in first.chosen.shifts.items():
        assert again.chosen.shifts[name].tolist() == shift.tolist()


def test_other_budgets_go_on_from_the_same_trials(
    search: Search, narrow: Ranges, measured: list[str]
) -> None:
    search(narrow)
    measured.clear()
    search(narrow, "tensorrt", 100.0, 100.0)
    assert measured == []


def test_a_line_that_was_cut_off_is_measured_again_and_once_only(
    search: Search, narrow: Ranges, measured: list[str], tmp_path: Path
) -> None:
    search(narrow)
    path = tmp_path / "trials.jsonl"
    whole = path.read_text()
    kinds = [set(json.loads(line)) for line in whole.splitlines()]
    path.write_text(whole[:-20])
    measured.clear()
    search(narrow)
    assert len(measured) == (1 if "shifts" not in kinds[-1] else 0)
    measured.clear()
    search(narrow)
    assert measured == [], "the line behind the one that was cut off is lost"


@pytest.mark.parametrize("other", ["ranges", "target"])
def test_other_input_is_measured_anew(
    search: Search, ranges: Ranges, measured: list[str], other: str
) -> None:
    low, high = ranges["minmax"]["o"]
    search({"minmax": ranges["minmax"]})
    measured.clear()
    if other == "ranges":
        search({"minmax": {**ranges["minmax"], "o": (low, high * 1.01)}})
    else:
        search({"minmax": ranges["minmax"]}, "cpu")
    assert "score" in measured


def test_other_images_are_measured_anew(
    graph: Graph,
    ranges: Ranges,
    make_images: Callable[..., CalibrationSet],
    measured: list[str],
    tmp_path: Path,
) -> None:
    for first, wanted in ((0, 2), (0, 0), (1, 2)):
        measured.clear()
        images = make_images(8, first)
        BudgetSearch(
            graph, images, 3, "cpu", {"minmax": ranges["minmax"]}, 50, 50, tmp_path / "trials.jsonl"
        ).run()
        assert len(measured) == wanted


def test_progress_is_told_in_words_and_numbers(search: Search, narrow: Ranges) -> None:
    told: list[tuple[str, int, int]] = []
    search(narrow, notify=lambda *what: told.append(what))
    assert all(0 <= done <= total for _, done, total in told)
    texts = list(dict.fromkeys(text for text, _, _ in told))
    assert texts[0] == "the float graph"
    assert "sensitivity, one convolution at a time" in texts
    assert any(text.startswith("trial 1: minmax, 0 of 5 in float") for text in texts)
    assert any("biases corrected" in text for text in texts)


def test_the_share_of_work_in_int8(graph: Graph) -> None:
    total = sum(operator.macs for operator in graph.operators.values())
    gates = 2 * 32
    depth = graph.operators["depth"].macs
    assert int8_macs(graph, "tensorrt", ()) == pytest.approx(1 - (gates + depth) / total)
    left = graph.operators["up"].macs + graph.operators["score"].macs
    assert int8_macs(graph, "cpu", ()) == pytest.approx(1 - (gates + left) / total)
    assert int8_macs(graph, "cpu", candidates(graph, "cpu")) == 0


def test_pareto_keeps_what_nothing_beats() -> None:
    points = [(50.0, 0.1), (90.0, 0.5), (80.0, 0.6), (100.0, 2.0), (60.0, 0.1)]
    assert pareto(points) == [(60.0, 0.1), (90.0, 0.5), (100.0, 2.0)]
    assert pareto([(90.0, 1.0), (90.0, 0.4)]) == [(90.0, 0.4)], "of one share the least loss alone"


def test_the_plot_is_an_image(search: Search, narrow: Ranges, tmp_path: Path) -> None:
    import cv2

    write_plot(tmp_path / "search.png", search(narrow), "tensorrt", BUDGET, CLASS_BUDGET)
    image = cv2.imread(str(tmp_path / "search.png"))
    assert image is not None
    assert image.shape[1] > image.shape[0] > 300
    assert image.std() > 5, "an empty page"


def test_without_bias_correction_none_is_tried(
    graph: Graph, images: CalibrationSet, ranges: Ranges, tmp_path: Path
) -> None:
    found = [
        BudgetSearch(
            graph,
            images,
            3,
            "tensorrt",
            ranges,
            0.0,
            0.0,
            tmp_path / f"{correct}.jsonl",
            correct_biases=correct,
        ).run()
        for correct in (True, False)
    ]
    assert [any(trial.shifts for trial in result.trials) for result in found] == [True, False]
