"""Stability: how much class maps flicker from one frame to the next, once the motion of the camera is taken out.

Three figures, after Varghese et al. (CVPR-W 2020) and Liu et al. (ECCV 2020):

- *raw change*: the share of pixels whose class is another one than in the frame before. Under a moving camera it says
  little, because everything moves.
- *warped change*: the same after the class map before was moved to where its pixels are now.
- *temporal consistency*: the mean IoU between the moved class map and the present one. A class that is rare counts as
  much as one that is common.

The motion is either known, or dense optical flow. Flow flatters what was itself smoothed along flow: judge that by a
known motion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Floats, Frame
from ...core.labels import VOID, LabelMap
from ...data.metrics import ConfusionMatrix

Warp = Callable[[ClassMap], ClassMap]
"""Moves a class map to the next frame: uint8 [H, W], void where the two frames cannot be compared."""

_LONGEST_PX = 640
_LEAST_PX = 192
"""OpenCV's dense flow reads past the end of images that are much narrower than they are long."""
_MOST_ASTRAY_PX = 1.5
"""Pixels by which the flow there and back may miss its start; beyond, one of the frames hides the place."""
_MOST_STEPS = 16.0
"""Grey levels by which a place may look different."""
_NO_GUESS: Any = None  # of the flow; OpenCV takes it, and its type stubs do not know


@dataclass(frozen=True)
class ClassStability:
    """The stability of one class.

    Attributes:
        name: of the class.
        raw_change: share of its pixels that have another class in the next frame; None if it has none.
        warped_change: the same after the motion.
        consistency: its IoU between the moved class map and the present one; None if it is in neither.
    """

    name: str
    raw_change: float | None
    warped_change: float | None
    consistency: float | None


@dataclass(frozen=True)
class StabilitySummary:
    """The stability of one sequence, or of several. A figure is NaN if nothing was compared.

    Attributes:
        pairs: of frames in a row that were compared.
        compared: share of the pixels that could be compared after the motion.
        raw_change: share of the pixels that change.
        warped_change: the same after the motion.
        consistency: the temporal consistency, 0 to 1.
        classes: the same figures by class, in order of their ids.
    """

    pairs: int
    compared: float
    raw_change: float
    warped_change: float
    consistency: float
    classes: tuple[ClassStability, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the figures ready for JSON; None where nothing was compared."""
        return {
            "pairs": self.pairs,
            "compared": self.compared,
            "raw_change": _known(self.raw_change),
            "warped_change": _known(self.warped_change),
            "temporal_consistency": _known(self.consistency),
            "classes": {
                each.name: {
                    "raw_change": each.raw_change,
                    "warped_change": each.warped_change,
                    "temporal_consistency": each.consistency,
                }
                for each in self.classes
            },
        }


class StabilityMeter:
    """Counts the changes between class maps in a row.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        self._raw, self._warped = ConfusionMatrix(num_classes), ConfusionMatrix(num_classes)
        self._pairs = self._pixels = 0

    def add(self, before: ClassMap, now: ClassMap, warp: Warp) -> None:
        """Compares two class maps of frames in a row.

        Args:
            before, now: uint8 [H, W], of the same size.
            warp: moves the first to the second.
        """
        _count(self._raw, before, now)
        _count(self._warped, warp(before), now)
        self._pairs += 1
        self._pixels += now.size

    @property
    def pairs(self) -> int:
        """Number of pairs so far."""
        return self._pairs

    @property
    def warped_change(self) -> float:
        """Share of the pixels that change, once the motion is taken out, 0 to 1; NaN if none was compared."""
        return 1 - self._warped.pixel_accuracy

    def summary(self, names: Sequence[str]) -> StabilitySummary:
        """Returns the figures; NaN where nothing was compared.

        Args:
            names: of the classes.
        """
        return StabilitySummary(
            pairs=self._pairs,
            compared=float(self._warped.counts.sum() / self._pixels) if self._pixels else 0.0,
            raw_change=1 - self._raw.pixel_accuracy,
            warped_change=self.warped_change,
            consistency=self._warped.miou,
            classes=tuple(
                ClassStability(name, *(_known(value) for value in values))
                for name, *values in zip(
                    names,
                    1 - self._raw.per_class_accuracy,
                    1 - self._warped.per_class_accuracy,
                    self._warped.per_class_iou,
                    strict=True,
                )
            ),
        )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _count(matrix: ConfusionMatrix, before: ClassMap, now: ClassMap) -> None:
    known = now != VOID
    matrix.update(before[known], now[known])


def flow_warp(before_bgr: Frame, now_bgr: Frame) -> Warp:
    """Returns the motion between two frames by dense optical flow.

    Where the flow there and back does not meet, or where the place looks different, the frames cannot be compared.

    Args:
        before_bgr, now_bgr: uint8 [H, W, 3], of the same size.
    """
    height, width = now_bgr.shape[:2]
    share = min(1.0, _LONGEST_PX / max(height, width))
    small_wh = max(1, round(width * share)), max(1, round(height * share))
    before, now = (
        cv2.cvtColor(cv2.resize(frame, small_wh, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        for frame in (before_bgr, now_bgr)
    )
    there, back = _flow(now, before), _flow(before, now)
    pixels = _pixels(now.shape)
    positions = pixels + there
    x, y = cv2.split(positions)
    returned = positions + np.asarray(cv2.remap(back, x, y, cv2.INTER_LINEAR), np.float32)
    looked = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = cv2.blur(cv2.absdiff(now, looked), (3, 3))
    comparable = (np.abs(returned - pixels).max(axis=-1) <= _MOST_ASTRAY_PX) & (apart < _MOST_STEPS)
    comparable &= (positions >= 0).all(-1) & (positions <= (small_wh[0] - 1, small_wh[1] - 1)).all(-1)
    full = np.asarray(cv2.resize(there, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    full *= (width / small_wh[0], height / small_wh[1])
    full_x, full_y = cv2.split(full + _pixels((height, width)))
    hidden = cv2.resize(
        (~comparable).view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    ).astype(bool)

    def warp(classes: ClassMap) -> ClassMap:
        moved = cv2.remap(
            classes, full_x, full_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=VOID
        )
        moved[hidden] = VOID
        return np.asarray(moved, np.uint8)

    return warp


def _flow(now: npt.NDArray[Any], before: npt.NDArray[Any]) -> Floats:
    """Returns how far each pixel has come from where it was, float32 [h, w, 2], negated."""
    height, width = now.shape
    below, right = max(0, _LEAST_PX - height), max(0, _LEAST_PX - width)
    wide = [
        np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        for image in (now, before)
    ]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(flow.calc(wide[0], wide[1], _NO_GUESS)[:height, :width], np.float32)


def _pixels(size_hw: tuple[int, ...]) -> Floats:
    """Returns the column and row of each pixel, float32 [h, w, 2]."""
    columns, rows = np.meshgrid(
        np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32)
    )
    return np.stack([columns, rows], axis=-1)


class SequenceStability:
    """Measures the stability of several networks on the same frames in a row, by optical flow.

    Args:
        labels: the classes.
    """

    def __init__(self, labels: LabelMap) -> None:
        self._labels = labels
        self._meters: dict[str, StabilityMeter] = {}
        self._before: tuple[Frame, Mapping[str, ClassMap]] | None = None

    def add(self, frame_bgr: Frame, maps: Mapping[str, ClassMap]) -> None:
        """Adds the next frame. One of another size than the frame before is not compared with it.

        Args:
            frame_bgr: uint8 [H, W, 3].
            maps: the class maps uint8 [H, W] by name, the same names with each frame. They are kept until the next one.
        """
        before, self._before = self._before, (frame_bgr, {name: each.copy() for name, each in maps.items()})
        for name in maps:
            self._meters.setdefault(name, StabilityMeter(len(self._labels)))
        if before is None or before[0].shape != frame_bgr.shape:
            return
        warp = flow_warp(before[0], frame_bgr)
        for name, classes in maps.items():
            self._meters[name].add(before[1][name], classes, warp)

    def summaries(self) -> dict[str, StabilitySummary]:
        """Returns the figures by name; empty if no two frames could be compared."""
        return {
            name: meter.summary(self._labels.names) for name, meter in self._meters.items() if meter.pairs
        }
