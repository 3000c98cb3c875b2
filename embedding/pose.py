"""The pose of the vehicle when a frame was captured, from timed samples of its attitude, height and position."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ..core.arrays import Matrix
from ..core.errors import UsageError
from ..core.pose import VehiclePose
from ..core.rotations import Vector, between
from .reasons import NO_ATTITUDE, NO_HEIGHT, NO_POSITION

_SAMPLES = 512
"""Samples kept of each kind: at 200 a second these are 2.5 s, more than the oldest frame that is acted on."""


@dataclass(frozen=True)
class Mount:
    """The place of the camera on the vehicle.

    Attributes:
        body_from_camera: float64 [3, 3], turns the camera's optical directions (x right, y down, z ahead) into the
            body's (forward, right, down).
        offset_frd_m: position of the camera in the body, metres forward, right, down of the vehicle's reference.
    """

    body_from_camera: Matrix
    offset_frd_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def looking_down(cls, offset_frd_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mount:
        """Returns the mount of a camera that looks at the ground, the upper edge of its frame towards the nose."""
        return cls.tilted(90.0, offset_frd_m)

    @classmethod
    def tilted(cls, down_degrees: float, offset_frd_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mount:
        """Returns the mount of a camera that looks ahead, tilted towards the ground.

        Args:
            down_degrees: 0 looks at the horizon ahead, 90 straight down.
            offset_frd_m: as for the class.

        Raises:
            UsageError: the angle is not from -90 to 90 degrees.
        """
        if not -90 <= down_degrees <= 90:
            raise UsageError(f"a camera tilted down by {down_degrees:g} degrees; expected -90 to 90")
        angle = np.radians(down_degrees)
        sine, cosine = float(np.sin(angle)), float(np.cos(angle))
        # Columns: where the camera's right, down and ahead point in the body.
        return cls(np.array([[0, -sine, cosine], [1, 0, 0], [0, cosine, sine]]), offset_frd_m)


@dataclass(frozen=True)
class PoseLimits:
    """The age at which a sample no longer counts, in seconds.

    Attributes:
        attitude_s: an attitude. A turn of 60 degrees a second moves the ground below 20 m of height by 1 m in 50 ms.
        height_s: a height.
        position_s: a position.
    """

    attitude_s: float = 0.1
    height_s: float = 0.5
    position_s: float = 0.25

    def __post_init__(self) -> None:
        for name in ("attitude_s", "height_s", "position_s"):
            if not 0 < getattr(self, name) < 60:
                raise UsageError(
                    f"{name} is {getattr(self, name)}; expected more than 0 and less than 60 seconds"
                )


@dataclass
class _Series:
    """Timed values of one kind, in the order of their times."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    values: deque[Vector] = field(default_factory=lambda: deque(maxlen=_SAMPLES))

    def add(self, at: float, value: Vector) -> None:
        if self.times and at <= self.times[-1]:
            return  # late or repeated: the newer one counts
        self.times.append(at)
        self.values.append(value)

    def around(self, at: float, limit_s: float) -> tuple[Vector, Vector, float] | None:
        """Returns the samples before and after, and the share of the way between; None if they are too far away.

        After the newest sample that sample counts, for as long as the limit allows: it is never extrapolated.
        """
        index = bisect_left(self.times, at)
        if index == len(self.times):
            if not self.times or at - self.times[-1] > limit_s:
                return None
            return self.values[-1], self.values[-1], 0.0
        if index == 0:
            return (self.values[0], self.values[0], 0.0) if self.times[0] == at else None
        before, after = self.times[index - 1], self.times[index]
        if after - before > 2 * limit_s:  # the moment is then more than the limit from one of them
            return None
        return self.values[index - 1], self.values[index], (at - before) / (after - before)


class PoseHistory:
    """Samples of a vehicle's attitude, height and position, and its pose at a moment. Threads may share it.

    A pose is made for the capture time of a frame by interpolation. Where a sample is missing or too old there is no
    pose but a reason.
    """

    def __init__(self, limits: PoseLimits | None = None) -> None:
        self.limits = limits or PoseLimits()
        self._lock = threading.Lock()
        self._attitude, self._height, self._position = _Series(), _Series(), _Series()

    def add_attitude(self, at: float, attitude: Vector) -> None:
        """Adds an attitude: a quaternion float64 [4] from body to world. One that is not finite or zero is dropped."""
        length = float(np.linalg.norm(attitude))
        if np.isfinite(length) and length > 1e-6:
            self._add(self._attitude, at, np.asarray(attitude, np.float64) / length)

    def add_height(self, at: float, height_m: float) -> None:
        """Adds a height above the ground, vertical, in metres. One that is not finite or not above 0 is dropped."""
        if np.isfinite(height_m) and height_m > 0:
            self._add(self._height, at, np.array([height_m]))

    def add_position(self, at: float, north_m: float, east_m: float) -> None:
        """Adds a position from a fixed origin, in metres. One that is not finite is dropped."""
        if np.isfinite(north_m) and np.isfinite(east_m):
            self._add(self._position, at, np.array([north_m, east_m]))

    def _add(self, series: _Series, at: float, value: Vector) -> None:
        with self._lock:
            series.add(at, value)

    def clear(self) -> None:
        """Forgets all samples, as after a restart of the autopilot, whose clock and origin are new."""
        with self._lock:
            self._attitude, self._height, self._position = _Series(), _Series(), _Series()

    def at(self, moment: float) -> VehiclePose | str:
        """Returns the pose at a moment, or the reason why there is none.

        Args:
            moment: ``edgeseg.now()`` in seconds, such as a frame's ``captured_at``.

        Returns:
            The pose, or ``no-attitude``, ``no-height`` or ``no-position``.
        """
        with self._lock:
            attitude = self._attitude.around(moment, self.limits.attitude_s)
            height = self._height.around(moment, self.limits.height_s)
            position = self._position.around(moment, self.limits.position_s)
        if attitude is None:
            return NO_ATTITUDE
        if height is None:
            return NO_HEIGHT
        if position is None:
            return NO_POSITION
        north, east = _line(position)
        return VehiclePose(moment, between(*attitude), float(_line(height)[0]), float(north), float(east))


def _line(samples: tuple[Vector, Vector, float]) -> Vector:
    before, after, share = samples
    return np.asarray(before + share * (after - before))
