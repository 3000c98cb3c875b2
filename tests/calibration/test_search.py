"""The budget search: finds what breaks, stays within the budgets with confidence, and never measures twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.judge import Judge, Score
from edgeseg.calibration.placement import TARGETS, candidates
from edgeseg.calibration.plot import pareto, write_plot
from edgeseg.calibration.search import BudgetSearch, SearchResult, by_bound
from edgeseg.calibration.trials import Measurements, Notify, SearchInput, Trial, int8_macs

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
        notify: Notify = lambda text, done, total: None,
        correct_biases: bool = True,
    ) -> SearchResult:
        given = SearchInput(graph, images, 3, target, ranges)
        measurements = Measurements(given, tmp_path / "trials.jsonl", notify)
        return BudgetSearch(measurements, budget, class_budget, correct_biases=correct_biases).run()

    return run


def spent(
    trial: Trial, result: SearchResult, budget: float = BUDGET, class_budget: float = CLASS_BUDGET
) -> float:
    return by_bound(trial, result.reference, budget, class_budget)


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
    assert spent(result.plain, result) > 1
    assert set(result.sensitivity) == set(candidates(graph, target))
    assert max(result.sensitivity, key=lambda name: result.sensitivity[name]) == "deep"
    assert result.chosen.excluded == ("deep",)
    assert spent(result.chosen, result) <= 1
    assert result.chosen.loss.worst_class <= result.chosen.at_most.worst_class <= CLASS_BUDGET
    assert result.chosen.loss.miou <= result.chosen.at_most.miou <= BUDGET
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
            spent(trial, result, 0, 0)
            for trial in result.trials
            if name not in trial.excluded
            and chosen - {name} <= set(trial.excluded)
            and bool(trial.shifts) == bool(result.chosen.shifts)
        ]
        assert without, f"no list without {name} was tried"
        assert min(without) > 1


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
    np.testing.assert_array_equal(again.chosen.score.counts, first.chosen.score.counts)
    np.testing.assert_array_equal(again.chosen.score.squares, first.chosen.score.squares)
    assert again.sensitivity == first.sensitivity
    assert [(t.loss, t.at_most) for t in again.trials] == [(t.loss, t.at_most) for t in first.trials]
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
        given = SearchInput(graph, images, 3, "cpu", {"minmax": ranges["minmax"]})
        BudgetSearch(Measurements(given, tmp_path / "trials.jsonl"), 50, 50).run()
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


def test_without_bias_correction_none_is_tried(search: Search, ranges: Ranges) -> None:
    found = [search(ranges, "tensorrt", 0.0, 0.0, correct_biases=correct) for correct in (True, False)]
    assert [any(trial.shifts for trial in result.trials) for result in found] == [True, False]


def test_scores_of_an_earlier_journal_are_measured_again_and_nothing_else(
    search: Search, narrow: Ranges, measured: list[str], tmp_path: Path
) -> None:
    first = search(narrow)
    path = tmp_path / "trials.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        if "counts" in entry:
            del entry["counts"]
            entry["class_iou"] = [0.5, 0.5, 0.5]  # of all images together
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    measured.clear()
    again = search(narrow)
    assert measured == ["score"] * (len(first.trials) + 1)
    assert again.chosen.excluded == first.chosen.excluded
    assert again.chosen.at_most == first.chosen.at_most
    measured.clear()
    search(narrow)
    assert measured == []


def test_the_journal_says_what_was_lost_and_at_most(search: Search, narrow: Ranges, tmp_path: Path) -> None:
    result = search(narrow)
    lines = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    figures = [line["figures"] for line in lines if "figures" in line]
    assert figures == [trial.figures for trial in result.trials]
    assert set(figures[0]) == {
        "miou", "miou_lost", "miou_lost_at_most", "worst_class_lost", "worst_class_lost_at_most", "logit_error",
    }  # fmt: skip


def test_the_counts_are_of_their_images_in_any_order(
    graph: Graph, images: CalibrationSet, ranges: Ranges, measured: list[str], tmp_path: Path
) -> None:
    given = SearchInput(graph, images, 3, "tensorrt", {"minmax": ranges["minmax"]})
    first = Measurements(given, tmp_path / "trials.jsonl").trial("", "minmax", ())
    measured.clear()
    other = replace(given, images=replace(images, held_out=images.held_out[::-1]))
    again = Measurements(other, tmp_path / "trials.jsonl").trial("", "minmax", ())
    assert measured == []
    np.testing.assert_array_equal(again.score.counts, first.score.counts[::-1])


def test_a_part_of_the_images_is_judged_from_the_same_measurements(
    graph: Graph, images: CalibrationSet, ranges: Ranges, measured: list[str], tmp_path: Path
) -> None:
    given = SearchInput(graph, images, 3, "tensorrt", {"minmax": ranges["minmax"]})
    whole = Measurements(given, tmp_path / "trials.jsonl")
    everything = whole.trial("", "minmax", ())
    measured.clear()
    part = whole.part([4, 1, 0])
    found = part.trial("", "minmax", ())
    assert measured == []
    np.testing.assert_array_equal(found.score.counts, everything.score.counts[[4, 1, 0]])
    assert found.loss == found.score.points_lost(whole.reference.of([4, 1, 0]))
    assert (part.proof.images, whole.proof.images) == (3, 6)
    assert whole.trial("", "minmax", ()).loss == everything.loss
