"""The measurement: every treatment on the same frames, judged by the true motion, by flow and by the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.arrays import ClassMap, Frame
from ...core.labels import LabelMap
from ...data.metrics import ConfusionMatrix
from ...embedding.camera.model import CameraModel
from ...embedding.ground import GroundView
from ...embedding.pose import Mount
from ...embedding.stability.options import StabiliserOptions
from ...embedding.stability.stabiliser import Stabiliser
from ...export.verification.stability import StabilityMeter, Warp, flow_warp
from ..landing.world import camera_of
from .sequences import Sequences, SequenceView, true_warp

TRUTH = "truth"


@dataclass(frozen=True)
class Treatment:
    """A way to get class maps.

    Attributes:
        name: for display.
        variant: of the bundle; empty for the truth.
        smoothing: how its class maps are smoothed; None if they are not.
    """

    name: str
    variant: str
    smoothing: StabiliserOptions | None = None


@dataclass
class TreatmentScore:
    """The figures of one treatment.

    Attributes:
        by_pose: the changes, judged by the true motion; empty without one.
        by_flow: the same, judged by dense flow.
        accuracy: against the truth; empty without one.
        flights: the share of pixels that change by pose, of each sequence.
        mious: the mean IoU of each sequence, as of :func:`miou_of`.
        ms: milliseconds of one core that smoothing took for each frame, whatever else ran.
        resets: sequences' frames at which smoothing began anew, the first of each left out.
    """

    by_pose: StabilityMeter
    by_flow: StabilityMeter
    accuracy: ConfusionMatrix
    flights: list[float] = field(default_factory=list)
    mious: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    resets: int = 0

    @classmethod
    def empty(cls, labels: LabelMap) -> TreatmentScore:
        """Returns the score of a treatment that has seen nothing yet."""
        return cls(StabilityMeter(len(labels)), StabilityMeter(len(labels)), ConfusionMatrix(len(labels)))


def miou_of(accuracy: ConfusionMatrix) -> float:
    """Returns the mean IoU, 0 to 1, of the classes that the truth has.

    A class that the truth lacks would count with an IoU of 0 for a single wrong pixel, and not at all without it.
    """
    known = accuracy.counts.sum(1) > 0
    return float(np.nan_to_num(accuracy.per_class_iou[known]).mean()) if known.any() else float("nan")


Networks = Mapping[str, Callable[[Frame], ClassMap]]
"""By the name of the variant, a function from a frame to its class map."""


def measure(
    sequences: Sequences,
    networks: Networks,
    treatments: Sequence[Treatment],
    labels: LabelMap,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, TreatmentScore]:
    """Runs all treatments over all sequences, and returns their scores by name.

    Args:
        sequences: of frames.
        networks: that the treatments name.
        treatments: in order of display.
        labels: the classes.
        progress: called after each frame with the number of those done.
    """
    scores = {treatment.name: TreatmentScore.empty(labels) for treatment in treatments}
    done = 0
    for sequence in sequences:
        lanes = [_Lane(treatment, scores[treatment.name], labels) for treatment in treatments]
        before: SequenceView | None = None
        for view in sequence:
            maps = {name: network(view.frame_bgr) for name, network in networks.items()}
            warps = None
            if before is not None:
                by_pose = true_warp(before, view) if sequences.has_truth else None
                warps = by_pose, flow_warp(before.frame_bgr, view.frame_bgr)
            for lane in lanes:
                lane.add(view, maps, warps)
            before = view
            done += 1
            progress(done)
        for lane in lanes:
            lane.end()
    return scores


class _Lane:
    """One treatment on one sequence."""

    def __init__(self, treatment: Treatment, score: TreatmentScore, labels: LabelMap) -> None:
        self._contender, self._score = treatment, score
        smoothing = treatment.smoothing
        self._stabiliser = None if smoothing is None else Stabiliser(labels, smoothing)
        self._before: ClassMap | None = None
        self._by_pose, self._accuracy = StabilityMeter(len(labels)), ConfusionMatrix(len(labels))

    def add(
        self, view: SequenceView, maps: Mapping[str, ClassMap], warps: tuple[Warp | None, Warp] | None
    ) -> None:
        """Adds a frame."""
        score, classes = self._score, self._classes(view, maps)
        if self._before is not None and warps is not None:
            by_pose, by_flow = warps
            score.by_flow.add(self._before, classes, by_flow)
            if by_pose is not None:
                score.by_pose.add(self._before, classes, by_pose)
                self._by_pose.add(self._before, classes, by_pose)
        if view.truth is not None:
            score.accuracy.update(view.truth, classes)
            self._accuracy.update(view.truth, classes)
        self._before = classes

    def end(self) -> None:
        """Ends the sequence."""
        if self._by_pose.pairs:
            self._score.flights.append(self._by_pose.warped_change)
            self._score.mious.append(miou_of(self._accuracy))

    def _classes(self, view: SequenceView, maps: Mapping[str, ClassMap]) -> ClassMap:
        if not self._contender.variant:
            assert view.truth is not None
            return view.truth
        classes = maps[self._contender.variant]
        if self._stabiliser is None:
            return classes
        seen = _seen(view) if self._stabiliser.options.method == "pose" else None
        started = time.thread_time()
        smoothed = self._stabiliser.update(view.frame_bgr, classes, view.at, seen)
        self._score.ms.append((time.thread_time() - started) * 1e3)
        self._score.resets += bool(smoothed.reset) and self._before is not None
        return smoothed.classes


def _seen(view: SequenceView) -> GroundView | None:
    if view.pose is None:
        return None
    camera: CameraModel = camera_of((view.frame_bgr.shape[0], view.frame_bgr.shape[1]))
    return GroundView.of(camera, Mount.looking_down(), view.pose)
