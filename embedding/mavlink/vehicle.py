"""The vehicle as the autopilot tells of it: its messages become timed samples of attitude, height and position."""

from __future__ import annotations

import logging
import math
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...core.rotations import quaternion
from ...runtime.clock import now_ns
from ..pose import PoseHistory
from .boot_clock import BootClock
from .timesync import TimeSync

log = logging.getLogger(__name__)

RANGE, TERRAIN, HOME = "range finder", "terrain", "home"
_HEIGHTS = (RANGE, TERRAIN, HOME)
"""What heights are above, the best first. Above home is above the ground only where the ground is flat."""

_DOWN = 25
"""MAV_SENSOR_ROTATION_PITCH_270: a range finder that looks down."""
_INVALID_SIGNAL = 1
_BETTER_COUNTS_SECONDS = 1.5
_ATTITUDE_COUNTS_SECONDS = 0.5
_SAMPLES = 512
_DOWN_COUNTS_SECONDS = 0.25


class Vehicle:
    """Takes the autopilot's messages. One thread gives them; others may ask for poses.

    Attributes:
        poses: attitude, height and position.
        sync: the offset of the autopilot's clock.
        clock: the mapping of its messages' times.
        height_above: what the heights are above now; empty as long as there are none.
    """

    def __init__(self) -> None:
        self.poses = PoseHistory()
        self.sync = TimeSync()
        self.clock = BootClock()
        self.height_above = ""
        self._restarts = 0
        self._height_at: dict[str, float] = {}
        self._upright: tuple[float, float] | None = None
        self._lock = threading.Lock()
        self._down: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)
        self._takers: Mapping[str, Callable[[Any, float], None]] = {
            "ATTITUDE": self._attitude,
            "ATTITUDE_QUATERNION": self._quaternion,
            "LOCAL_POSITION_NED": self._position,
            "DISTANCE_SENSOR": self._distance,
            "GLOBAL_POSITION_INT": self._relative_height,
            "ALTITUDE": self._altitude,
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the messages that :meth:`take` knows."""
        return tuple(self._takers)

    def take(self, message: Any, arrived_at: float) -> None:
        """Takes a message of :attr:`kinds`.

        Args:
            message: as pymavlink decodes it.
            arrived_at: ``edgeseg.now()`` in seconds.
        """
        kind = message.get_type()
        boot_s = message.time_usec * 1e-6 if kind == "ALTITUDE" else message.time_boot_ms * 1e-3
        at = self.clock.moment(boot_s, arrived_at, self.sync.offset_s)
        if self.clock.restarts != self._restarts:
            self._restarts = self.clock.restarts
            self._forget()
        if at is not None:
            self._takers[kind](message, at)

    def take_timesync(self, message: Any) -> dict[str, int] | None:
        """Takes a TIMESYNC; returns the fields of the answer if it is a question."""
        if message.tc1 == 0:
            return self.sync.answer(message.ts1, now_ns())
        self.sync.take(message.tc1, message.ts1, now_ns())
        return None

    def down_at(self, moment: float) -> float:
        """Returns z of LOCAL_POSITION_NED at a moment of ``edgeseg.now()``, in metres; NaN if it is not known."""
        with self._lock:
            index = bisect_left(self._down, (moment, -math.inf))
            around = [self._down[i] for i in (index - 1, index) if 0 <= i < len(self._down)]
        if not around or any(abs(at - moment) > _DOWN_COUNTS_SECONDS for at, _ in around):
            return math.nan
        if moment < around[0][0]:
            return math.nan  # before the first sample
        return float(np.interp(moment, [at for at, _ in around], [down for _, down in around]))

    def _forget(self) -> None:
        """Forgets all samples: the autopilot has started anew, with another clock and perhaps another origin."""
        log.warning(
            "The autopilot has started anew: its earlier data are forgotten",
            extra={"event": "autopilot-restart", "fields": {"restarts": self._restarts}},
        )
        self.poses.clear()
        self.sync.clear()
        self._upright = None
        self._height_at.clear()
        with self._lock:
            self._down.clear()

    def _attitude(self, message: Any, at: float) -> None:
        if math.isfinite(message.roll + message.pitch + message.yaw):
            self._turn(quaternion(message.roll, message.pitch, message.yaw), at)

    def _quaternion(self, message: Any, at: float) -> None:
        self._turn(np.array([message.q1, message.q2, message.q3, message.q4]), at)

    def _turn(self, q: np.ndarray[Any, np.dtype[np.float64]], at: float) -> None:
        length2 = float(q @ q)
        if not math.isfinite(length2) or length2 < 1e-6:
            return
        self.poses.add_attitude(at, q)
        # The share of the body's down axis that points down in the world.
        self._upright = at, 1 - 2 * float(q[1] * q[1] + q[2] * q[2]) / length2

    def _position(self, message: Any, at: float) -> None:
        self.poses.add_position(at, message.x, message.y)
        with self._lock:
            if math.isfinite(message.z) and (not self._down or at > self._down[-1][0]):
                self._down.append((at, float(message.z)))

    def _distance(self, message: Any, at: float) -> None:
        within = message.min_distance < message.current_distance < (message.max_distance or 65535)
        if message.orientation != _DOWN or not within or message.signal_quality == _INVALID_SIGNAL:
            return
        if self._upright is None or abs(at - self._upright[0]) > _ATTITUDE_COUNTS_SECONDS:
            return
        # It measures along the body's down axis, and the height is vertical.
        if self._upright[1] > 0.5:
            self._height(RANGE, message.current_distance * 0.01 * self._upright[1], at)

    def _relative_height(self, message: Any, at: float) -> None:
        self._height(HOME, message.relative_alt * 1e-3, at)

    def _altitude(self, message: Any, at: float) -> None:
        if math.isfinite(message.bottom_clearance) and message.bottom_clearance > 0:
            self._height(TERRAIN, message.bottom_clearance, at)
        elif math.isfinite(message.altitude_relative):
            self._height(HOME, message.altitude_relative, at)

    def _height(self, above: str, height_m: float, at: float) -> None:
        """Takes a height, unless a better kind was there lately."""
        self._height_at[above] = at
        better = _HEIGHTS[: _HEIGHTS.index(above)]
        if any(at - self._height_at.get(kind, -math.inf) < _BETTER_COUNTS_SECONDS for kind in better):
            return
        self.poses.add_height(at, height_m)
        if above != self.height_above:
            self.height_above = above
            log.info(
                "Heights are above %s%s",
                above,
                ": right only where the ground is as high as there" if above == HOME else "",
                extra={"event": "height-above", "fields": {"above": above}},
            )
