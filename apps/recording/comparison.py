"""The comparison of two runs over the same frames: classes, pixels, frames, milliseconds."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.arrays import ClassMap, Frame
from ...core.counting import confusion_counts


@dataclass(frozen=True)
class Difference:
    """One frame on which the two runs differ.

    Attributes:
        share: of its pixels that differ, 0 to 1.
        take: name of the take.
        frame_id: number of the frame in the take.
        frame_bgr: uint8 [H, W, 3].
        before: uint8 [H, W], the reference class map.
        after: uint8 [H, W], the class map under test.
    """

    share: float
    take: str
    frame_id: int
    frame_bgr: Frame
    before: ClassMap
    after: ClassMap


class Comparison:
    """Counts the differences between two class maps, over all frames.

    Args:
        num_classes: of both.
        keep: number of the worst frames to keep.

    Attributes:
        frames: number of compared frames.
        pixels: number of compared pixels.
        changed_pixels: number of pixels that differ.
        changed_frames: number of frames with a pixel that differs.
    """

    def __init__(self, num_classes: int, keep: int) -> None:
        self._classes = num_classes
        self._keep = keep
        self._pairs = np.zeros((num_classes + 1, num_classes + 1), np.int64)  # the last stands for void
        self._worst: list[tuple[float, int, Difference]] = []
        self.frames = self.pixels = self.changed_pixels = self.changed_frames = 0

    def add(self, take: str, frame_id: int, frame_bgr: Frame, before: ClassMap, after: ClassMap) -> None:
        """Compares one frame's class maps, uint8 [H, W]."""
        self.frames += 1
        self.pixels += before.size
        changed = int(np.count_nonzero(before != after))
        self._count(before, after)
        if not changed:
            return
        self.changed_pixels += changed
        self.changed_frames += 1
        share = changed / before.size
        if len(self._worst) == self._keep and (not self._keep or share <= self._worst[0][0]):
            return
        kept = Difference(share, take, frame_id, frame_bgr.copy(), before.copy(), after.copy())
        heapq.heappush(self._worst, (share, -self.frames, kept))
        if len(self._worst) > self._keep:
            heapq.heappop(self._worst)

    @property
    def worst(self) -> list[Difference]:
        """The frames that differ most, the worst first."""
        return [kept for _, _, kept in sorted(self._worst, key=lambda item: item[:2], reverse=True)]

    def classes(self, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
        """For each class: its IoU, None if neither run has it, and its share of the pixels before and after."""
        pairs = self._pairs
        total = max(1, int(pairs.sum()))
        of_each = {}
        for number, name in enumerate(names):
            both = int(pairs[number, number])
            before, after = int(pairs[number].sum()), int(pairs[:, number].sum())
            union = before + after - both
            of_each[name] = {
                "iou": both / union if union else None,
                "share_before": before / total,
                "share_after": after / total,
            }
        return of_each

    def _count(self, before: ClassMap, after: ClassMap) -> None:
        self._pairs += confusion_counts(before, after, self._classes + 1)


class Milliseconds:
    """Collects the times of each frame."""

    def __init__(self) -> None:
        self._stages: dict[str, list[float]] = {}
        self._totals: list[float] = []

    def add(self, timings_ms: Mapping[str, float]) -> None:
        """Adds the milliseconds of a frame's stages."""
        self._totals.append(sum(timings_ms.values()))
        for stage, ms in timings_ms.items():
            self._stages.setdefault(stage, []).append(ms)

    def summary(self) -> dict[str, dict[str, float]]:
        """``p50`` and ``p99`` of each stage, and of all stages together as ``frame``."""
        stages = {**self._stages, "frame": self._totals} if self._totals else {}
        return {
            stage: {"p50": float(np.percentile(values, 50)), "p99": float(np.percentile(values, 99))}
            for stage, values in stages.items()
        }


def summary_of(comparison: Comparison, names: Sequence[str]) -> dict[str, Any]:
    """All counts, ready for JSON."""
    ious = [each["iou"] for each in comparison.classes(names).values() if each["iou"] is not None]
    return {
        "compared_frames": comparison.frames,
        "changed_frames": comparison.changed_frames,
        "pixels": comparison.pixels,
        "changed_pixels": comparison.changed_pixels,
        "changed_share": comparison.changed_pixels / max(1, comparison.pixels),
        "mean_iou": sum(ious) / len(ious) if ious else None,
        "classes": comparison.classes(names),
    }
