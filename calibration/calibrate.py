"""Calibration from end to end: images, ranges, and a plan within the budgets for each target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from ..core.callbacks import OnMessage
from ..core.errors import DataError, OutputError, UsageError
from ..core.labels import LabelMap
from ..core.outputs import check_output
from ..runtime.preprocess import Preprocessor
from .bias import shifts_as_json, shifts_from_json
from .exclusions import read_exclusions, write_exclusions
from .graph import Graph
from .images import DEFAULT_IMAGES, CalibrationSet, check_source, open_images, survey
from .judge import Judge
from .placement import TARGETS, check_target
from .plot import write_plot
from .quantize import quantize
from .ranges import METHODS, Range, measure, passes
from .record import CalibrationRecord, Plan, refuse_overlap
from .search import BudgetSearch, Notify, SearchResult, Trial, int8_macs

RECORD_NAME = "calibration.json"
JOURNAL_NAME = "trials.jsonl"
_BLIND_METHOD = "percentile"
"""The default if nothing can be measured: the best of the three methods, or close to it, on every network here."""


@dataclass(frozen=True)
class CalibrationRequest:
    """A request for a calibration.

    Attributes:
        source: a data set's folder or ``aerial:SEED``; None to use existing ranges.
        ranges: a calibration file to use; None for the one in the working folder, or the one that ships.
        method: one of ``METHODS``, or ``auto`` for the one that measures best.
        images: the number of images; None for ``DEFAULT_IMAGES``.
        budget, class_budget: points of mean IoU, and of any class, that may be lost.
        correct_biases: whether the search may correct biases.
        exclude: an exclusion list to use unchanged, instead of the search.
        targets: some of ``TARGETS``.
    """

    source: str | None = None
    ranges: Path | None = None
    method: str = "auto"
    images: int | None = None
    budget: float = 0.5
    class_budget: float = 1.0
    correct_biases: bool = True
    exclude: Path | None = None
    targets: tuple[str, ...] = TARGETS

    def check(self) -> None:
        """Checks the values early, before a network is exported.

        Raises:
            UsageError: a value is unknown or out of range.
            DataError: a folder or file is missing.
        """
        for target in self.targets:
            check_target(target)
        if self.method not in (*METHODS, "auto"):
            raise UsageError(f"unknown calibration method {self.method!r}; known: auto, {', '.join(METHODS)}")
        for name, value in (("--budget", self.budget), ("--class-budget", self.class_budget)):
            if not value >= 0:
                raise UsageError(f"{name} {value:g}: expected points of IoU, 0 or more")
        if self.images is not None and self.images < 2:
            raise UsageError(
                f"--calibration-images {self.images}: expected at least 2, one for the ranges and one held back"
            )
        if self.images is not None and self.source is None:
            raise UsageError("--calibration-images says how many to calibrate on; name them with --calibrate")
        if self.source is not None:
            check_source(self.source)
        for path in (self.ranges, self.exclude):
            if path is not None and not path.is_file():
                raise DataError(f"there is no file {path}")


@dataclass(frozen=True)
class Calibration:
    """The outcome of a calibration.

    Attributes:
        record: ranges and plans.
        plans: by requested target.
        searches: by target, the measurements of the search; none for a target without a search.
        notes: what a user should know; also passed to ``on_message`` while it ran.
    """

    record: CalibrationRecord
    plans: Mapping[str, Plan]
    searches: Mapping[str, SearchResult] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def quantized(self, graph: Graph, target: str) -> onnx.ModelProto:
        """Writes the calibrated graph in the form for a target."""
        plan = self.plans[target]
        shifts = shifts_from_json(plan.shifts)
        return quantize(graph, self.record.ranges[plan.method], target, plan.excluded, shifts)


def calibrate(
    graph: Graph,
    labels: LabelMap,
    request: CalibrationRequest,
    folder: Path,
    shipped: CalibrationRecord | None = None,
    unseen: Iterable[tuple[str, npt.NDArray[np.uint8]]] = (),
    notify: Notify = lambda text, done, total: None,
    on_message: OnMessage = lambda text: None,
) -> Calibration:
    """Finds ranges and a plan for every target, and reuses earlier results that still hold.

    Writes into ``folder``: ``calibration.json``, ``trials.jsonl``, and for each target its exclusion list and plot.

    Args:
        graph: float32.
        labels: the network's classes.
        request: how to calibrate.
        folder: for the files; made if it is missing.
        shipped: the calibration that came with the weights.
        unseen: name and pixels, uint8 [H, W, 3], of the frames for verification: none may be used for calibration.
        notify: called with the progress.
        on_message: called with lines on the quality of the images, and on what is reused or measured again and why.

    Raises:
        UsageError: a choice cannot work.
        DataError: images, ranges or an exclusion list are missing, malformed or do not fit, or an image is among
            ``unseen``.
        OutputError: the folder cannot be written.
    """
    request.check()
    excluded = read_exclusions(request.exclude, graph) if request.exclude is not None else None
    images = _survey(graph, labels, request, notify) if request.source is not None else None
    record = _record(graph, images, request, folder, shipped, notify, on_message)
    refuse_overlap(record.picture_hashes, unseen)  # before the search, which may take hours
    on_message(record.summary)
    notes = _notes(record, images, request)
    for note in notes:
        on_message(f"note: {note}")
    _make(folder)
    plans: dict[str, Plan] = {}
    searches: dict[str, SearchResult] = {}
    for target in request.targets:
        if excluded is not None:
            plans[target] = _given_plan(graph, record, request, target, excluded)
        elif images is not None and images.has_truth:
            searches[target] = _search(graph, labels, images, record, request, target, folder, notify)
            plans[target] = _searched_plan(searches[target], request)
        elif images is not None:
            plans[target] = _blind_plan(graph, images, record, request, target)
        else:
            plans[target] = _plan_at_hand(record, request, target)
    record = replace(record, plans={**record.plans, **plans})
    record.save(folder / RECORD_NAME)
    for target in request.targets:
        result = searches.get(target)
        errors = result.sensitivity if result else {}
        write_exclusions(folder / f"exclude-{target}.txt", graph, target, plans[target].excluded, errors)
        if result:
            write_plot(folder / f"search-{target}.png", result, target, request.budget, request.class_budget)
    return Calibration(record, plans, searches, notes)


def _survey(graph: Graph, labels: LabelMap, request: CalibrationRequest, notify: Notify) -> CalibrationSet:
    assert request.source is not None
    images = open_images(request.source, graph.input_size_hw, request.images)
    total, done = min(len(images), request.images or DEFAULT_IMAGES), 0

    def advance() -> None:
        nonlocal done
        done += 1
        notify("looking at the calibration images", done, total)

    return survey(images, labels, request.images, advance)


def _record(
    graph: Graph,
    images: CalibrationSet | None,
    request: CalibrationRequest,
    folder: Path,
    shipped: CalibrationRecord | None,
    notify: Notify,
    on_message: OnMessage,
) -> CalibrationRecord:
    """Returns the ranges that hold: given, found, shipped, or measured now."""
    wanted = METHODS if request.method == "auto" else (request.method,)
    if request.ranges is not None:
        record = CalibrationRecord.load(request.ranges)
        if differences := record.differences(graph, images):
            raise DataError(f"the ranges of {request.ranges} do not hold here: {'; '.join(differences)}")
        if images is not None and not set(wanted) <= set(record.ranges):
            raise DataError(
                f"{request.ranges} has ranges by {', '.join(record.ranges)}, not by {', '.join(wanted)};"
                " name one of its methods with --method, or leave --ranges out to measure them"
            )
        return record
    if images is None:
        if shipped is None:
            raise UsageError(
                "INT8 needs activation ranges: give labelled images with --calibrate DIR, "
                "or a calibration file with --ranges FILE"
            )
        if differences := shipped.differences(graph, None):
            raise DataError(
                f"the ranges that came with the weights do not hold here: {'; '.join(differences)};"
                " give labelled images with --calibrate DIR"
            )
        return shipped
    path = folder / RECORD_NAME
    if path.exists():
        record = CalibrationRecord.load(path)
        differences = record.differences(graph, images)
        if not differences and set(wanted) <= set(record.ranges):
            on_message(f"reusing the ranges of {path}")
            return record
        on_message(
            f"measuring new ranges: those of {path} do not hold, {'; '.join(differences) or 'another method'}"
        )
    record = CalibrationRecord.of(graph, images, _measure(graph, images, wanted, notify))
    _make(folder)
    record.save(path)  # so that an interrupted search need not measure them again
    return record


def _make(folder: Path) -> None:
    """Makes the working folder only when there is something to write, so that a refusal leaves no folder."""
    check_output(folder, folder=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error


def _measure(
    graph: Graph, images: CalibrationSet, methods: tuple[str, ...], notify: Notify
) -> dict[str, dict[str, Range]]:
    preprocess = Preprocessor(graph.input_size_hw)
    total, done = passes(methods) * len(images.for_ranges), 0

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        return (preprocess(sample.frame_bgr) for sample in images.read(images.for_ranges))

    def advance() -> None:
        nonlocal done
        done += 1
        notify("measuring activation ranges", done, total)

    return measure(graph, frames, methods, advance)


def _notes(
    record: CalibrationRecord, images: CalibrationSet | None, request: CalibrationRequest
) -> tuple[str, ...]:
    notes = []
    if record.never_seen:
        notes.append(
            f"the calibration images never show {', '.join(record.never_seen)}: "
            "what quantization does to these classes is not known"
        )
    if images is not None and not images.has_truth:
        notes.append(
            f"the labels of {images.images.name} are not the network's classes, so that no budget can be "
            "searched on them: everything is quantized, and the budgets are judged by verification alone"
        )
    if request.exclude is not None:
        notes.append(f"the exclusion list is {request.exclude}, as it was given: nothing was searched")
    return tuple(notes)


def _search(
    graph: Graph,
    labels: LabelMap,
    images: CalibrationSet,
    record: CalibrationRecord,
    request: CalibrationRequest,
    target: str,
    folder: Path,
    notify: Notify,
) -> SearchResult:
    methods = METHODS if request.method == "auto" else (request.method,)
    ranges = {method: record.ranges[method] for method in methods if method in record.ranges}
    return BudgetSearch(
        graph,
        images,
        len(labels),
        target,
        ranges,
        request.budget,
        request.class_budget,
        folder / JOURNAL_NAME,
        lambda text, done, total: notify(f"int8-{target}: {text}", done, total),
        correct_biases=request.correct_biases,
    ).run()


def _searched_plan(result: SearchResult, request: CalibrationRequest) -> Plan:
    chosen = result.chosen
    order = sorted(chosen.excluded, key=lambda name: -result.sensitivity.get(name, 0.0))
    return Plan(
        method=chosen.method,
        excluded=tuple(order),
        searched=True,
        budget=request.budget,
        class_budget=request.class_budget,
        int8_macs=chosen.int8_macs,
        shifts=shifts_as_json(chosen.shifts),
        plain=figures(result.plain),
        chosen=figures(chosen),
    )


def figures(trial: Trial) -> dict[str, float]:
    """Returns a trial's losses on the held-out images, in points of 100, and its logits' relative error."""
    return {
        "miou": trial.score.miou,
        "miou_lost": trial.loss.miou,
        "worst_class_lost": trial.loss.worst_class,
        "logit_error": trial.score.logit_error,
    }


def _given_plan(
    graph: Graph,
    record: CalibrationRecord,
    request: CalibrationRequest,
    target: str,
    excluded: tuple[str, ...],
) -> Plan:
    known = record.plans.get(target)
    method = request.method
    if method == "auto":
        method = known.method if known else _BLIND_METHOD
    return _unmeasured(graph, record, request, target, method, excluded)


def _blind_plan(
    graph: Graph, images: CalibrationSet, record: CalibrationRecord, request: CalibrationRequest, target: str
) -> Plan:
    """Returns a plan without truth: only the logits choose the method, and everything is quantized."""
    methods = METHODS if request.method == "auto" else (request.method,)
    judge = Judge(graph, images, 1, target)
    samples = list(images.read(images.held_back[:8]))
    errors = {
        method: judge.logit_error(quantize(graph, record.ranges[method], target), samples)
        for method in methods
    }
    return _unmeasured(graph, record, request, target, min(errors, key=errors.__getitem__), ())


def _unmeasured(
    graph: Graph,
    record: CalibrationRecord,
    request: CalibrationRequest,
    target: str,
    method: str,
    excluded: tuple[str, ...],
) -> Plan:
    if method not in record.ranges:
        raise DataError(f"there are no {method} ranges; known here: {', '.join(record.ranges)}")
    return Plan(
        method=method,
        excluded=excluded,
        searched=False,
        budget=request.budget,
        class_budget=request.class_budget,
        int8_macs=int8_macs(graph, target, excluded),
    )


def _plan_at_hand(record: CalibrationRecord, request: CalibrationRequest, target: str) -> Plan:
    plan = record.plans.get(target)
    if plan is None:
        raise DataError(f"these ranges come without a plan for {target}; give images with --calibrate DIR")
    if request.method not in ("auto", plan.method):
        raise DataError(
            f"the plan at hand for {target} takes {plan.method} ranges; for {request.method} ones give images"
            " with --calibrate DIR"
        )
    if plan.budget > request.budget or plan.class_budget > request.class_budget:
        raise DataError(
            f"the plan at hand for {target} was searched for {plan.budget:g} points of mean IoU and "
            f"{plan.class_budget:g} of a class; for tighter budgets give images with --calibrate DIR"
        )
    return plan
