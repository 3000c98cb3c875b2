"""Drone flights over a world, and single views of it."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from ...core.arrays import Frame
from .camera import Exposure, Pose, Sensor
from .canvas import MAP_PX, PX_PER_M
from .noise import Gray
from .render import render
from .world import AerialWorld

FPS = 25.0
"""Frames per second of a flight's own clock."""

STILL_HEIGHTS_M = (22.0, 62.0)
"""The lowest and the highest camera of single views."""

_FLIGHT, _STILL, _SENSOR, _FRAME = 1, 2, 3, 4  # keep the random streams apart


def _stream(seed: int, *names: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *names])))


@lru_cache(maxsize=2)
def _world(seed: int) -> AerialWorld:
    """Returns a place, cached because building one needs seconds and nothing changes it."""
    return AerialWorld(seed)


class AerialFlight:
    """A drone's flight over the world of the same seed, one frame after another or one by one.

    Frame i depends only on the seed, the size and i, in any order of requests.

    Args:
        seed: 0 or more; another seed is another place and another flight.
        size_hw: height and width of the frames in pixels.
        fps: frames per second of flight.

    Example:
        >>> frame_bgr, mask = AerialFlight(7).frame(0)
        >>> frame_bgr.shape, mask.shape
        ((512, 512, 3), (512, 512))
    """

    def __init__(self, seed: int, size_hw: tuple[int, int] = (512, 512), fps: float = FPS) -> None:
        self.seed = seed
        self.size_hw = size_hw
        self.fps = fps
        rng = _stream(seed, _FLIGHT)
        self._start_xy = rng.uniform(0, MAP_PX, 2)
        self._speed = rng.uniform(5.0, 9.0)  # m/s
        self._course = rng.uniform(0, 2 * np.pi)
        self._waves = rng.uniform(0, 2 * np.pi, 12)
        self._spans = rng.uniform(0.8, 1.25, 12)
        self._sensor = Sensor(size_hw, _stream(seed, _SENSOR))

    @cached_property
    def world(self) -> AerialWorld:
        """The place, which is built at first use."""
        return _world(self.seed)

    def frame(self, i: int) -> tuple[Frame, Gray]:
        """Returns frame i of the flight.

        Returns:
            The image, uint8 [H, W, 3] BGR, and its labels, uint8 [H, W].
        """
        time_s = i / self.fps
        image, mask = render(self.world, self.pose(time_s), time_s, self.size_hw)
        return self._sensor.expose(image, self._exposure(time_s), self._shift(i)), mask

    def still(self, i: int, heights_m: tuple[float, float] = STILL_HEIGHTS_M) -> tuple[Frame, Gray]:
        """Returns view i of the place, with random position, height, tilt and exposure, unrelated to view i + 1.

        Args:
            i: number of the view.
            heights_m: the lowest and the highest camera; the logarithm of the height is uniform between them.

        Returns:
            The image, uint8 [H, W, 3] BGR, and its labels, uint8 [H, W].
        """
        rng = _stream(self.seed, _STILL, i)
        low, high = heights_m
        x, y = rng.uniform(0, MAP_PX, 2)
        pose = Pose(
            x=float(x),
            y=float(y),
            height_m=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
            yaw=float(rng.uniform(0, 2 * np.pi)),
            pitch=float(np.radians(rng.choice([rng.uniform(-3, 6), rng.uniform(0, 26)]))),
            roll=float(np.radians(rng.normal(0, 3.5))),
        )
        warm, green = rng.normal(0, 0.035, 2)
        blur = rng.exponential(0.8)
        turn = rng.uniform(0, 2 * np.pi)
        exposure = Exposure(
            gain_bgr=self._gain(float(np.exp(rng.normal(0.02, 0.13))), float(warm), float(green)),
            gamma=float(rng.uniform(0.86, 1.12)),
            noise=float(rng.uniform(1.0, 5.5)),
            blur_xy=(float(min(blur, 3.5) * np.cos(turn)), float(min(blur, 3.5) * np.sin(turn))),
        )
        time_s = float(rng.uniform(0, 600))
        image, mask = render(self.world, pose, time_s, self.size_hw)
        dx, dy = rng.integers(0, 64, 2)
        return self._sensor.expose(image, exposure, (int(dx), int(dy))), mask

    def pose(self, time_s: float) -> Pose:
        """Returns the pose of the camera: a winding course, slow climbs and descents, tilted turns, gusts."""
        x, y = self._position(time_s)
        ahead = np.subtract(self._position(time_s + 0.9), self._position(time_s - 0.9))
        heading = np.arctan2(ahead[1], ahead[0])
        sooner = np.subtract(self._position(time_s), self._position(time_s - 1.2))
        later = np.subtract(self._position(time_s + 1.2), self._position(time_s))
        turning = np.arctan2(sooner[0] * later[1] - sooner[1] * later[0], sooner @ later)
        climb = 0.62 * self._wave(4, 31, time_s) + 0.38 * self._wave(5, 13, time_s)
        gust = 0.006 * self._wave(6, 1.7, time_s), 0.005 * self._wave(7, 2.3, time_s)
        return Pose(
            x=float(x),
            y=float(y),
            height_m=float(35 * np.exp(0.45 * climb)),
            yaw=float(heading + np.pi / 2 + 0.12 * self._wave(8, 19, time_s)),
            pitch=float(np.radians(9 + 9 * self._wave(9, 23, time_s)) + gust[0]),
            roll=float(np.clip(0.45 * turning, -0.2, 0.2) + gust[1]),
        )

    def _wave(self, k: int, period_s: float, time_s: float) -> float:
        return float(np.sin(2 * np.pi * time_s / (period_s * self._spans[k]) + self._waves[k]))

    def _position(self, time_s: float) -> tuple[float, float]:
        along = self._speed * time_s + 9 * self._wave(0, 17, time_s)
        aside = 34 * self._wave(1, 29, time_s) + 13 * self._wave(2, 11, time_s)
        cos, sin = np.cos(self._course), np.sin(self._course)
        x = self._start_xy[0] + PX_PER_M * (along * cos - aside * sin)
        y = self._start_xy[1] + PX_PER_M * (along * sin + aside * cos)
        return float(x), float(y)

    def _exposure(self, time_s: float) -> Exposure:
        """Returns the exposure: slow drift of gain and white balance, and blur along the motion at 1/60 s."""
        open_s = 1 / 60
        now = np.linalg.inv(self.pose(time_s).frame_to_map(self.size_hw))
        soon = self.pose(time_s + open_s).frame_to_map(self.size_hw)
        middle = np.array([self.size_hw[1] / 2, self.size_hw[0] / 2, 1.0])
        moved = now @ soon @ middle
        blur = moved[:2] / moved[2] - middle[:2]
        gain = 1 + 0.07 * self._wave(10, 14, time_s)
        return Exposure(
            gain_bgr=self._gain(gain, 0.025 * self._wave(11, 37, time_s), 0.01 * self._wave(3, 27, time_s)),
            gamma=0.97 + 0.05 * self._wave(3, 41, time_s),
            noise=2.6,
            blur_xy=(float(blur[0]), float(blur[1])),
        )

    def _gain(self, gain: float, warm: float, green: float) -> tuple[float, float, float]:
        b, g, r = self.world.appearance.sun_bgr
        return 1.07 * gain * b * (1 - warm), 1.07 * gain * g * (1 + green), 1.07 * gain * r * (1 + warm)

    def _shift(self, i: int) -> tuple[int, int]:
        dx, dy = _stream(self.seed, _FRAME, i).integers(0, 64, 2)
        return int(dx), int(dy)
