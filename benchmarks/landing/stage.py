"""The aerial world as a stage: what a camera on a vehicle sees from any pose, with intruders, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from ...core.arrays import ClassMap, Frame
from ...data.aerial.camera import Exposure, Pose, Sensor
from ...data.aerial.canvas import PX_PER_M
from ...data.aerial.intruders import Intruder
from ...data.aerial.render import render
from ...data.aerial.world import AerialWorld

Eyes = Callable[[Frame, ClassMap], ClassMap]
"""Gives the class map of a frame and its truth: the truth, or what a network sees."""

_GAIN = 1.07
"""The exposure of a flight over the world, without its slow drift."""
_NOISE = 2.6
_MOST_SHIFT_PX = 64


@lru_cache(maxsize=2)
def place(seed: int) -> AerialWorld:
    """Returns a place, which takes seconds to build; the newest are kept."""
    return AerialWorld(seed)


def map_xy(north_m: float, east_m: float) -> tuple[float, float]:
    """Returns the map pixel of a point of the ground: north is up on the map."""
    return east_m * PX_PER_M, -north_m * PX_PER_M


class AerialStage:
    """A place, a camera with its sensor, and who walks in.

    Args:
        seed: of the place.
        size_hw: height and width of the frames.
        start_s: the world's time at 0 seconds of the measurement.
        intruders: people and cars beside those of the place.
    """

    def __init__(
        self, seed: int, size_hw: tuple[int, int], start_s: float = 0.0, intruders: Sequence[Intruder] = ()
    ) -> None:
        self.world = place(seed)
        self.size_hw, self.start_s = size_hw, start_s
        self.intruders = list(intruders)
        self._rng = np.random.default_rng([seed, 1])
        self._sensor = Sensor(size_hw, self._rng)
        blue, green, red = (_GAIN * level for level in self.world.appearance.sun_bgr)
        self._exposure = Exposure((blue, green, red), gamma=0.97, noise=_NOISE, blur_xy=(0.0, 0.0))

    def view(self, pose: Pose, at: float) -> tuple[Frame, ClassMap]:
        """Returns the frame that the camera takes, uint8 [H, W, 3] BGR, and its true classes, uint8 [H, W]."""
        light, truth = render(self.world, pose, self.start_s + at, self.size_hw, self.intruders)
        dx, dy = self._rng.integers(0, _MOST_SHIFT_PX, 2)
        return self._sensor.expose(light, self._exposure, (int(dx), int(dy))), truth
