"""Class evidence: for each small pixel, how much the latest class maps speak for each class."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Floats
from ...core.counting import class_counts
from ...runtime.decode import Decoder
from .motion import moved_along

_FULL = 255
_CHANNELS = 4
"""OpenCV moves images of four channels at once, so four classes share an image."""
_MOST_CLASSES = 255

_Planes = npt.NDArray[np.uint8]


class Evidence:
    """The running average of class maps along the motion of the camera, uint8 for each class and small pixel.

    A hazard's evidence is not an average: it is full as soon as the hazard is seen, then fades. It counts double in
    a decision, so that a hazard is kept until its evidence is below half.

    Args:
        num_classes: C.
        hazards: class ids that enter at once and leave slowly.
        keep: share of the average that the frames before keep, for each frame.
        keep_hazard: the same of a hazard that is not seen any more.
    """

    def __init__(self, num_classes: int, hazards: Collection[int], keep: float, keep_hazard: float) -> None:
        self._num_classes, self._keep, self._keep_hazard = num_classes, keep, keep_hazard
        ids = np.arange(num_classes).reshape(-1, 1)
        one_hot = np.zeros((256, -(-num_classes // _CHANNELS) * _CHANNELS), np.uint8)
        one_hot[ids, ids] = _FULL
        self._one_hot = [
            np.ascontiguousarray(one_hot[:, first : first + _CHANNELS]).view(np.uint32).ravel()
            for first in range(0, one_hot.shape[1], _CHANNELS)
        ]
        self._hazards = [
            [channel for channel in range(_CHANNELS) if group * _CHANNELS + channel in hazards]
            for group in range(len(self._one_hot))
        ]
        self._double = frozenset(hazards)
        self._groups: list[_Planes | None] = []
        self._values: Floats = np.empty((0, 0, 0), np.float32)
        self._ids = np.empty(0, np.uint8)
        self._decoder = Decoder()

    def begin(self, low: ClassMap) -> None:
        """Forgets everything, and takes a first small class map, uint8 [h, w]."""
        self._groups = self._hot(low)

    def advance(self, low: ClassMap, positions: Floats, alike: npt.NDArray[np.uint8]) -> None:
        """Moves the evidence to the next frame, and adds the frame's class map.

        Args:
            low: uint8 [h, w], the small class map.
            positions: float32 [h, w, 2], where each pixel was in the frame before.
            alike: uint8 [h, w], 255 where the evidence of before counts. That of a hazard counts everywhere.
        """
        other = cv2.bitwise_not(alike)
        for group, (planes, hot) in enumerate(zip(self._groups, self._hot(low), strict=True)):
            if planes is None and hot is None:
                continue
            if planes is None:
                moved = np.zeros((*low.shape, _CHANNELS), np.uint8)
            else:
                moved = moved_along(planes, positions)
            if hot is None:
                hot = np.zeros((*low.shape, _CHANNELS), np.uint8)
            # The small offset lets the last step fade: rounding would keep it.
            mean = cv2.addWeighted(moved, self._keep, hot, 1 - self._keep, -0.4)
            cv2.copyTo(hot, other, mean)
            for channel in self._hazards[group]:
                fading = cv2.convertScaleAbs(
                    cv2.extractChannel(moved, channel), alpha=self._keep_hazard, beta=-0.4
                )
                cv2.insertChannel(cv2.max(cv2.extractChannel(hot, channel), fading), mean, channel)
            self._groups[group] = np.asarray(mean, np.uint8) if mean.view(np.uint32).any() else None

    def differs(self, low: ClassMap) -> npt.NDArray[np.uint8]:
        """Returns where the evidence is for another class than the small class map's, uint8 [h, w], 1 or 0."""
        self._weigh(low.shape)
        if not self._ids.size:
            return np.zeros(low.shape, np.uint8)
        best = self._best(np.empty(low.shape, np.uint8))
        return np.asarray(best != low).view(np.uint8)

    def decode(self, out: ClassMap) -> ClassMap:
        """Writes the class with the most evidence at each pixel, interpolated, and returns the class map.

        It belongs to the last call of :meth:`differs`, which must have found a difference.

        Args:
            out: uint8 [H, W], contiguous, at the frame's size.
        """
        return self._best(out)

    def _best(self, out: ClassMap) -> ClassMap:
        self._decoder(self._values, out)
        if self._ids[-1] != len(self._ids) - 1:  # groups without evidence were left out
            out = np.asarray(cv2.LUT(out, np.resize(self._ids, 256)), np.uint8)
        return out

    def _weigh(self, size_hw: tuple[int, ...]) -> None:
        """Collects the planes that hold evidence as float32 [n, h, w], and the class ids of these n planes."""
        present = [group for group, planes in enumerate(self._groups) if planes is not None]
        ids = np.array([group * _CHANNELS + channel for group in present for channel in range(_CHANNELS)])
        self._ids = ids[:_MOST_CLASSES].astype(np.uint8)
        shape = (len(self._ids), size_hw[0], size_hw[1])
        if self._values.shape != shape:
            self._values = np.empty(shape, np.float32)
        planes = (plane for group in present for plane in cv2.split(self._group(group)))
        for value, class_id, plane in zip(self._values, self._ids.tolist(), planes, strict=False):
            np.copyto(value, plane)
            if class_id in self._double:
                value *= 2

    def _group(self, group: int) -> _Planes:
        planes = self._groups[group]
        assert planes is not None
        return planes

    def _hot(self, low: ClassMap) -> list[_Planes | None]:
        """Returns the one-hot planes uint8 [h, w, 4] of each group of classes; None for a group that is not there."""
        counts, index = class_counts(low), low.astype(np.intp)
        groups: list[_Planes | None] = []
        for group, one_hot in enumerate(self._one_hot):
            first = group * _CHANNELS
            if counts[first : min(first + _CHANNELS, self._num_classes)].any():
                groups.append(one_hot.take(index).view(np.uint8).reshape(*low.shape, _CHANNELS))
            else:
                groups.append(None)
        return groups
