"""The stabiliser: class maps that flicker less, because each is averaged with those before it along the motion.

Averaging without following the motion was measured to cost five to eight points of mean IoU, and to flicker more. So
what cannot be followed is not averaged: it is taken as the network gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...core.arrays import ClassMap, Frame
from ...core.errors import UsageError
from ...core.labels import VOID, LabelMap
from ...runtime.recycle import ArrayPool
from ..ground import GroundView
from ..reasons import NO_POSE
from .evidence import Evidence
from .motion import DenseFlow, Grey, ground_positions, likeness, small_grey, small_size
from .options import StabiliserOptions

FIRST = "first"
SIZE_CHANGED = "size-changed"
GAP = "gap"
CUT = "cut"

_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Smoothed:
    """A class map after smoothing.

    Attributes:
        classes: uint8 [H, W]; the network's own array if nothing was changed.
        frames: number of frames in the average, this one included; 1 after a new beginning.
        reset: the word for why the average began anew with this frame; empty if it did not.
        changed_share: share of the pixels that have another class than the network gave.
    """

    classes: ClassMap
    frames: int
    reset: str
    changed_share: float


class Stabiliser:
    """Averages the class maps of one stream.

    Args:
        labels: the classes of the network.
        options: how class maps are averaged.

    Raises:
        UsageError: a hazard is not a class of the network.
    """

    def __init__(self, labels: LabelMap, options: StabiliserOptions | None = None) -> None:
        self.options = options or StabiliserOptions()
        hazards = hazard_ids(labels, self.options.hazards)
        self._evidence = Evidence(len(labels), hazards, self.options.keep, self.options.keep_hazard)
        self._at_once = np.zeros(256, np.uint8)
        self._at_once[[*hazards, VOID]] = 1
        self._flow, self._maps = DenseFlow(), ArrayPool()
        self._size_hw = (0, 0)
        self._frames = 0
        self._at = 0.0
        self._grey: Grey = np.empty((0, 0), np.uint8)
        self._view: GroundView | None = None

    def reset(self) -> None:
        """Forgets everything, as after a frame without a valid class map."""
        self._frames = 0

    def update(
        self, frame_bgr: Frame, classes: ClassMap, at: float, view: GroundView | None = None
    ) -> Smoothed:
        """Smooths the class map of the next frame.

        Args:
            frame_bgr: uint8 [H, W, 3].
            classes: uint8 [H, W], of the network; it is not changed.
            at: when the frame was captured, in seconds.
            view: the camera above the ground at that time, if the motion is by pose; None if it is not known.
        """
        options, size_hw = self.options, (classes.shape[0], classes.shape[1])
        if options.method == "pose" and view is None:
            self.reset()
            return Smoothed(classes, 0, NO_POSE, 0.0)
        small_hw = small_size(size_hw, options.longest_px)
        grey = small_grey(frame_bgr, small_hw)
        low = np.asarray(
            cv2.resize(classes, (small_hw[1], small_hw[0]), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
        )
        reset = self._advance(grey, low, size_hw, at, view)
        if reset:
            self._evidence.begin(low)
            self._frames = 0
        self._frames += 1
        self._size_hw, self._at, self._grey, self._view = size_hw, at, grey, view
        smooth = classes if reset else self._decide(classes, low)
        changed = 0.0
        if smooth is not classes:
            changed = cv2.countNonZero(cv2.absdiff(smooth, classes)) / max(1, classes.size)
        return Smoothed(smooth, self._frames, reset, changed)

    def _advance(
        self, grey: Grey, low: ClassMap, size_hw: tuple[int, int], at: float, view: GroundView | None
    ) -> str:
        """Adds a frame to the evidence, or returns why it has to begin anew."""
        options = self.options
        if not self._frames:
            return FIRST
        if size_hw != self._size_hw:
            return SIZE_CHANGED
        if not 0 <= at - self._at <= options.longest_gap_s:
            return GAP
        if view is not None and self._view is not None and options.method == "pose":
            positions = ground_positions(view, self._view, (low.shape[0], low.shape[1]))
        else:
            positions = self._flow.positions(grey, self._grey)
        same = likeness(grey, self._grey, positions, options.most_steps)
        if same.share < options.least_alike or same.in_view < options.least_in_view:
            return CUT
        self._evidence.advance(low, positions, same.alike)
        return ""

    def _decide(self, classes: ClassMap, low: ClassMap) -> ClassMap:
        """Returns the class map with another class where the evidence of the frames before outweighs it.

        The network's own class map is kept to the pixel wherever the two agree, so that nothing thin is lost.
        """
        differs = self._evidence.differs(low)
        if not cv2.countNonZero(differs):
            return classes
        height, width = classes.shape
        # The border between a pixel that differs and its neighbours is decided by the evidence too.
        near = cv2.resize(
            cv2.dilate(differs, _NEIGHBOURS), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        if len(self.options.hazards) or classes.max(initial=0) == VOID:
            near = cv2.bitwise_and(near, cv2.bitwise_not(cv2.LUT(classes, self._at_once)))
        smooth: ClassMap = self._maps.take(classes.shape, np.uint8)
        np.copyto(smooth, classes)
        evident = self._evidence.decode(self._maps.take(classes.shape, np.uint8))
        cv2.copyTo(evident, near, smooth)
        return smooth


def hazard_ids(labels: LabelMap, names: Sequence[str]) -> frozenset[int]:
    """Returns the class ids of hazards.

    Raises:
        UsageError: a name is not a class of the network.
    """
    for name in names:
        if name not in labels.names:
            raise UsageError(f"{name!r} is not a class of the network; it knows {', '.join(labels.names)}")
    return frozenset(labels.names.index(name) for name in names)
