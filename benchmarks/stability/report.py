"""The stability of a bundle's class maps as a result: figures, tables and conclusions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ...core.errors import UsageError
from ...core.labels import LabelMap
from ...data.aerial.labels import AERIAL_LABELS
from ...embedding.stability.options import METHODS, StabiliserOptions
from ...export.verification.stability import StabilitySummary
from ...runtime.bundle import Bundle
from ...runtime.segmenter import Segmenter
from ..describe import describe_machine
from ..program import Results
from ..tables import Table, number
from .measure import TRUTH, Treatment, TreatmentScore, measure, miou_of
from .sequences import FilmSequence, FlightSequences, SequencePlan, Sequences

NAME = "stability"


@dataclass(frozen=True)
class StabilityRequest:
    """A request for the measurement.

    Attributes:
        bundle: checked and open.
        variants: their names; empty for FP32 and INT8 for the CPU, where the bundle has them.
        plan: the flights.
        film: a video in their place; None for the flights.
        hazards: classes that enter at once; with any, the treatments that hold them so are measured too.
        threads: of the CPU.
    """

    bundle: Bundle
    variants: Sequence[str]
    plan: SequencePlan
    film: str | None
    hazards: tuple[str, ...]
    threads: int


def run_stability(request: StabilityRequest, progress: Callable[[int, int], None]) -> Results:
    """Measures, and returns the results.

    Args:
        request: what is measured, and on what.
        progress: called after each frame with the number of those done, and of all.

    Raises:
        UsageError: the bundle has other classes than the aerial world and there is no video, or a hazard is unknown.
        BundleError: the bundle has no such variant.
        SourceError: the video cannot be read.
    """
    bundle, labels = request.bundle, request.bundle.labels
    if request.film is None and labels.names != AERIAL_LABELS.names:
        raise UsageError(
            f"{bundle.path} knows other classes than the aerial world, which has the truth; give --source with a video"
        )
    variants = [bundle.variant(name).name for name in request.variants or _usual(bundle)]
    sequences: Sequences = (
        FlightSequences(request.plan)
        if request.film is None
        else FilmSequence(request.film, request.plan.frames, request.plan.fps)
    )
    treatments = treatments_of(variants, sequences.has_truth, request.hazards)
    cv2.setNumThreads(1)  # what smoothing costs is told for one core
    with ExitStack() as stack:
        segmenters = {
            name: stack.enter_context(Segmenter(bundle, name, threads=request.threads)) for name in variants
        }
        networks = {name: _classes_of(segmenter) for name, segmenter in segmenters.items()}
        scores = measure(
            sequences, networks, treatments, labels, lambda done: progress(done, sequences.frames)
        )
    return results_of(scores, sequences, bundle, labels)


def _usual(bundle: Bundle) -> list[str]:
    return [name for name in ("fp32", "int8-cpu") if name in bundle.variants] or [bundle.variant().name]


def _classes_of(segmenter: Segmenter) -> Callable[[np.ndarray], np.ndarray]:
    return lambda frame: segmenter(frame).classes


def treatments_of(variants: Sequence[str], has_truth: bool, hazards: tuple[str, ...]) -> list[Treatment]:
    """Returns what is measured: the truth, and each variant as it is and smoothed."""
    methods = METHODS if has_truth else METHODS[:1]
    treatments = [Treatment(TRUTH, "")] if has_truth else []
    for variant in variants:
        treatments.append(Treatment(variant, variant))
        for method in methods:
            smoothing = StabiliserOptions(method, longest_gap_s=math.inf)
            treatments.append(Treatment(f"{variant}, {method}", variant, smoothing))
        if hazards:
            smoothing = StabiliserOptions("flow", hazards, longest_gap_s=math.inf)
            treatments.append(Treatment(f"{variant}, flow, hazards", variant, smoothing))
    return treatments


def results_of(
    scores: Mapping[str, TreatmentScore], sequences: Sequences, bundle: Bundle, labels: LabelMap
) -> Results:
    """Makes the page's content of the scores."""
    judged = {
        name: (score.by_pose if sequences.has_truth else score.by_flow).summary(labels.names)
        for name, score in scores.items()
    }
    flows = {name: score.by_flow.summary(labels.names) for name, score in scores.items()}
    tables = [_main_table(scores, judged, flows, sequences), _class_table(judged, labels, sequences)]
    if sequences.has_truth:
        tables += [_iou_table(scores, labels), _flight_table(scores)]
    return Results(
        name=NAME,
        title=f"Stability of {bundle.name}'s class maps",
        figures={
            "machine": describe_machine(),
            "frames": sequences.name,
            "treatments": {name: _json(score, judged[name], flows[name]) for name, score in scores.items()},
        },
        tables=tables,
        words=[f"Measured on {sequences.name}.", *_words(scores, judged, sequences)],
        images={},
    )


def _main_table(
    scores: Mapping[str, TreatmentScore],
    judged: Mapping[str, StabilitySummary],
    flows: Mapping[str, StabilitySummary],
    sequences: Sequences,
) -> Table:
    heads = [
        "class maps",
        "raw %",
        *(["by pose %"] if sequences.has_truth else []),
        "by flow %",
        "consistency",
    ]
    heads += [*(["mIoU"] if sequences.has_truth else []), "CPU ms p50", "CPU ms p95"]
    rows = []
    for name, score in scores.items():
        summary = judged[name]
        row = [name, _percent(summary.raw_change)]
        row += [_percent(summary.warped_change)] if sequences.has_truth else []
        row += [_percent(flows[name].warped_change), _percent(summary.consistency)]
        row += [_percent(miou_of(score.accuracy))] if sequences.has_truth else []
        row += [number(float(np.percentile(score.ms, share)) if score.ms else None) for share in (50, 95)]
        rows.append(row)
    return Table(heads, rows)


def _percent(share: float) -> str:
    return number(None if math.isnan(share) else 100 * share, 2)


def _class_table(judged: Mapping[str, StabilitySummary], labels: LabelMap, sequences: Sequences) -> Table:
    how = "pose" if sequences.has_truth else "flow"
    rows = [
        [
            name,
            *(
                _pair(s.classes[class_id].warped_change, s.classes[class_id].consistency)
                for s in judged.values()
            ),
        ]
        for class_id, name in enumerate(labels.names)
    ]
    return Table([f"changes by {how} %, consistency", *judged], rows)


def _pair(change: float | None, consistency: float | None) -> str:
    if change is None and consistency is None:
        return "–"
    return ", ".join(number(None if value is None else 100 * value, 1) for value in (change, consistency))


def _iou_table(scores: Mapping[str, TreatmentScore], labels: LabelMap) -> Table:
    names = [name for name in scores if name != TRUTH]
    ious = {name: scores[name].accuracy.per_class_iou for name in names}
    rows = [[label, *(_percent(ious[name][i]) for name in names)] for i, label in enumerate(labels.names)]
    return Table(["IoU", *names], rows)


def _flight_table(scores: Mapping[str, TreatmentScore]) -> Table:
    count = max(len(score.flights) for score in scores.values())
    rows = [
        [
            str(flight + 1),
            *(
                f"{100 * score.flights[flight]:.2f}, {100 * score.mious[flight]:.1f}"
                if name != TRUTH
                else f"{100 * score.flights[flight]:.2f}"
                for name, score in scores.items()
            ),
        ]
        for flight in range(count)
    ]
    return Table(["flight: changes by pose %, mIoU", *scores], rows)


def _words(
    scores: Mapping[str, TreatmentScore], judged: Mapping[str, StabilitySummary], sequences: Sequences
) -> list[str]:
    words = []
    for name, score in scores.items():
        base = name.partition(",")[0]
        if base == name or base not in scores:
            continue
        before, after = judged[base].warped_change, judged[name].warped_change
        text = (
            f"{name}: {100 * (after / before - 1):+.0f} % change"
            if before > 0
            else f"{name}: nothing changed"
        )
        if sequences.has_truth:
            gained = 100 * (miou_of(score.accuracy) - miou_of(scores[base].accuracy))
            text += f" by pose, {gained:+.2f} points of mIoU"
        else:
            text += " by flow, which flatters what was smoothed along flow"
        words.append(
            f"{text}, {np.median(score.ms):.1f} ms of one core a frame; begun anew {score.resets} times."
        )
    return words


def _json(score: TreatmentScore, judged: StabilitySummary, by_flow: StabilitySummary) -> dict[str, Any]:
    found: dict[str, Any] = {"by_flow": by_flow.as_json(), "resets": score.resets}
    if score.flights:
        iou = score.accuracy.per_class_iou
        found |= {
            "by_pose": judged.as_json(),
            "miou": miou_of(score.accuracy),
            "iou": [None if np.isnan(value) else float(value) for value in iou],
            "flights": [
                {"by_pose": change, "miou": miou}
                for change, miou in zip(score.flights, score.mious, strict=True)
            ],
        }
    if score.ms:
        found["cpu_ms"] = {f"p{share}": float(np.percentile(score.ms, share)) for share in (50, 95)}
    return found
