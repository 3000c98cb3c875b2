"""Calibration from end to end: images, ranges, and a plan within the budgets for each target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from ..core.errors import DataError, OutputError, UsageError
from ..core.outputs import check_output
from ..runtime.preprocess import Preprocessor
from .bias import shifts_from_json
from .exclusions import read_exclusions, write_exclusions
from .graph import Graph
from .images import DEFAULT_IMAGES, CalibrationSet, open_images, survey
from .plans import blind_plan, given_plan, plan_at_hand, searched_plan
from .plot import write_plot
from .quantize import quantize
from .ranges import Range, measure, passes
from .record import CalibrationRecord, Plan, refuse_overlap
from .request import CalibrationJob, CalibrationRequest
from .search import BudgetSearch, SearchResult, unproven_line
from .trials import Measurements, Notify, SearchInput

RECORD_NAME = "calibration.json"
JOURNAL_NAME = "trials.jsonl"


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


def calibrate(job: CalibrationJob) -> Calibration:
    """Finds ranges and a plan for every target, and reuses earlier results that still hold.

    Writes into the job's folder: ``calibration.json``, ``trials.jsonl``, and for each target its exclusion list and
    plot.

    Raises:
        UsageError: a choice cannot work.
        DataError: images, ranges or an exclusion list are missing, malformed or do not fit, or an image is among
            the job's ``unseen``.
        OutputError: the folder cannot be written.
    """
    request, graph, folder = job.request, job.graph, job.folder
    request.check()
    excluded = read_exclusions(request.exclude, graph) if request.exclude is not None else None
    images = _survey(job, request.source) if request.source is not None else None
    record = _record(job, images)
    refuse_overlap(record.picture_hashes, job.unseen)  # before the search, which may take hours
    job.on_message(record.summary)
    notes = _notes(record, images, request)
    for note in notes:
        job.on_message(f"note: {note}")
    make_folder(folder)
    plans: dict[str, Plan] = {}
    searches: dict[str, SearchResult] = {}
    for target in request.targets:
        if excluded is not None:
            plans[target] = given_plan(job, record, target, excluded)
        elif images is not None and images.has_truth:
            measurements = _measurements(job, images, record, target)
            line = unproven_line(measurements.proof, job.labels.names, record.never_seen)
            if line and line not in notes:
                notes.append(line)
                job.on_message(f"note: {line}")
            searches[target] = BudgetSearch(
                measurements, request.budget, request.class_budget, correct_biases=request.correct_biases
            ).run()
            plans[target] = searched_plan(searches[target], request)
        elif images is not None:
            plans[target] = blind_plan(job, images, record, target)
        else:
            plans[target] = plan_at_hand(record, request, target)
    record = replace(record, plans={**record.plans, **plans})
    record.save(folder / RECORD_NAME)
    for target in request.targets:
        result = searches.get(target)
        errors = result.sensitivity if result else {}
        write_exclusions(folder / f"exclude-{target}.txt", graph, target, plans[target].excluded, errors)
        if result:
            write_plot(folder / f"search-{target}.png", result, target, request.budget, request.class_budget)
    return Calibration(record, plans, searches, tuple(notes))


def _survey(job: CalibrationJob, source: str) -> CalibrationSet:
    count = job.request.images
    images = open_images(source, job.graph.input_size_hw, count)
    total, done = min(len(images), count or DEFAULT_IMAGES), 0

    def advance() -> None:
        nonlocal done
        done += 1
        job.notify("looking at the calibration images", done, total)

    return survey(images, job.labels, count, advance)


def _record(job: CalibrationJob, images: CalibrationSet | None) -> CalibrationRecord:
    """Returns the ranges that hold: given, found, shipped, or measured now."""
    if job.request.ranges is not None:
        return _given_ranges(job, job.request.ranges, images)
    if images is None:
        return _shipped_ranges(job)
    path = job.folder / RECORD_NAME
    if path.exists():
        record = CalibrationRecord.load(path)
        differences = record.differences(job.graph, images)
        if not differences and set(job.methods) <= set(record.ranges):
            job.on_message(f"reusing the ranges of {path}")
            return record
        job.on_message(
            f"measuring new ranges: those of {path} do not hold, {'; '.join(differences) or 'another method'}"
        )
    record = CalibrationRecord.of(
        job.graph, images, measured_ranges(job.graph, images, job.methods, job.notify)
    )
    make_folder(job.folder)
    record.save(path)  # so that an interrupted search need not measure them again
    return record


def _given_ranges(job: CalibrationJob, path: Path, images: CalibrationSet | None) -> CalibrationRecord:
    record = CalibrationRecord.load(path)
    if differences := record.differences(job.graph, images):
        raise DataError(f"the ranges of {path} do not hold here: {'; '.join(differences)}")
    if images is not None and not set(job.methods) <= set(record.ranges):
        raise DataError(
            f"{path} has ranges by {', '.join(record.ranges)}, not by {', '.join(job.methods)};"
            " name one of its methods with --method, or leave --ranges out to measure them"
        )
    return record


def _shipped_ranges(job: CalibrationJob) -> CalibrationRecord:
    if job.shipped is None:
        raise UsageError(
            "INT8 needs activation ranges: give labelled images with --calibrate DIR, "
            "or a calibration file with --ranges FILE"
        )
    if differences := job.shipped.differences(job.graph, None):
        raise DataError(
            f"the ranges that came with the weights do not hold here: {'; '.join(differences)};"
            " give labelled images with --calibrate DIR"
        )
    return job.shipped


def make_folder(folder: Path) -> None:
    """Makes the working folder only when there is something to write, so that a refusal leaves no folder."""
    check_output(folder, folder=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error


def measured_ranges(
    graph: Graph, images: CalibrationSet, methods: Sequence[str], notify: Notify
) -> dict[str, dict[str, Range]]:
    """Measures activation ranges on the images for them; returns them by method, by tensor."""
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
) -> list[str]:
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
    return notes


def _measurements(
    job: CalibrationJob, images: CalibrationSet, record: CalibrationRecord, target: str
) -> Measurements:
    ranges = {method: record.ranges[method] for method in job.methods if method in record.ranges}
    return Measurements(
        SearchInput(job.graph, images, len(job.labels), target, ranges),
        job.folder / JOURNAL_NAME,
        lambda text, done, total: job.notify(f"int8-{target}: {text}", done, total),
    )
