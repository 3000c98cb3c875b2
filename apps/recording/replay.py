"""Runs a recording again, and measures the changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...core.errors import DataError
from ...core.labels import LabelMap
from ...runtime.result import Segmentation
from ...runtime.segmenter import Segmenter
from ..console import head_of
from .comparison import Comparison, Difference, Milliseconds, summary_of
from .head import versions
from .reading import RecordedFrame, Recording

RECORDED = "recorded"


@dataclass(frozen=True)
class ReplayReport:
    """The findings of a replay.

    Attributes:
        summary: ready for JSON.
        worst: the frames that differ most, the worst first.
    """

    summary: dict[str, Any]
    worst: list[Difference]


def replay(
    recording: Recording,
    segmenter: Segmenter,
    against: Segmenter | None = None,
    keep: int = 8,
    on_frame: Callable[[int], None] = lambda frames: None,
) -> ReplayReport:
    """Segments each recorded frame again, in order, and compares the results.

    Frames whose recorded result is not valid have no mask to compare with, and are counted separately. Between two
    segmenters they are compared like all others.

    Args:
        recording: to read.
        segmenter: under test.
        against: the reference; None for the recorded masks.
        keep: number of the worst frames to keep.
        on_frame: called after each frame with the number of frames so far.

    Raises:
        DataError: the classes are not the same, or nothing can be read.
        BackendError: inference failed.
    """
    names = recording.labels.names
    check_labels(recording, segmenter.labels, segmenter.bundle.name)
    if against is not None:
        check_labels(recording, against.labels, against.bundle.name)
    comparison = Comparison(len(names), keep)
    before_ms, after_ms = Milliseconds(), Milliseconds()
    reasons: dict[str, int] = {}
    variants: dict[str, int] = {}
    frames = not_finite = 0
    for frame in recording.frames():
        frames += 1
        if frame.variant is not None:
            variants[frame.variant] = variants.get(frame.variant, 0) + 1
        if not frame.valid:
            reasons[frame.reason] = reasons.get(frame.reason, 0) + 1
        after = _run(segmenter, frame)
        after_ms.add(after.timings_ms)
        not_finite += not after.valid
        before = None if against is None else _run(against, frame)
        before_ms.add(frame.timings_ms if before is None else before.timings_ms)
        if before is not None or frame.valid:
            classes = frame.classes if before is None else before.classes
            comparison.add(frame.take, frame.frame_id, frame.frame_bgr, classes, after.classes)
        on_frame(frames)
    if frames == 0:
        problem = recording.problems[0] if recording.problems else "it has none"
        raise DataError(f"no frame of the recording can be read: {problem}")
    worst = comparison.worst
    return ReplayReport(
        {
            "takes": [take.name for take in recording.takes],
            "problems": recording.problems,
            "frames": frames,
            "recorded_invalid": reasons,
            "recorded_variants": variants,
            "recorded_run": dict(recording.run),
            "versions": versions(),
            "after": head_of(segmenter),
            "before": {"bundle": RECORDED} if against is None else head_of(against),
            "after_not_finite": not_finite,
            **summary_of(comparison, names),
            "worst": [
                {"take": each.take, "frame_id": each.frame_id, "changed_share": each.share} for each in worst
            ],
            "before_ms": before_ms.summary(),
            "after_ms": after_ms.summary(),
        },
        worst,
    )


def check_labels(recording: Recording, labels: LabelMap, bundle: str) -> None:
    """Checks that masks can be compared.

    Raises:
        DataError: the names of the classes, or their order, differ from the recording's.
    """
    recorded = recording.labels.names
    if labels.names == recorded:
        return
    for number, (theirs, ours) in enumerate(zip(recorded, labels.names, strict=False)):
        if theirs != ours:
            raise DataError(
                f"the recording's class {number} is {theirs!r} and that of {bundle} is {ours!r};"
                " masks can be compared between bundles of the same classes alone"
            )
    raise DataError(
        f"the recording has {len(recorded)} classes and {bundle} {len(labels)};"
        " masks can be compared between bundles of the same classes alone"
    )


def _run(segmenter: Segmenter, frame: RecordedFrame) -> Segmentation:
    return segmenter(frame.frame_bgr, frame_id=frame.frame_id)
