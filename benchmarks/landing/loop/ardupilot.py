"""ArduPilot's rules for LANDING_TARGET in LAND mode, as read in AC_PrecLand and its state machine.

Retries are not copied: this stand-in has ``PLND_RET_MAX`` 0.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....core.arrays import Doubles
from .autopilot import HOLDS, LANDS, AutopilotStandIn, towards
from .vehicle import STEP_S, Command, State

LAND_VERTICALLY, NORMAL, VERY_STRICT = 0, 1, 2
_BODY_FRD = 12
_MEASUREMENT_S, _LOST_S, _FILTER_START_S, _FILTER_GAP_S = 1.0, 2.0, 2.0, 0.5
_FAILSAFE_WAITS_S = 7.0
_OUTLIER, _OUTLIERS = 3.0, 3
_LAND_FAST_MS, _LAND_LOW_M = 1.5, 10.0
_LAST_METRES_M = (0.35, 2.0)


@dataclass(frozen=True)
class ArduPilotParameters:
    """The parameters that matter, by ArduPilot's names; the values are those that docs/landing.md recommends.

    Attributes:
        strict: ``PLND_STRICT``: 0 lands on anything, 1 waits first, 2 hovers.
        timeout_s: ``PLND_TIMEOUT``: goes on descending for so long after a target is lost.
        alt_min_m: ``PLND_ALT_MIN``: below this height it lands whatever it hears.
        alt_max_m: ``PLND_ALT_MAX``: above this height it descends whatever it hears; 0 for no such height.
        xy_dist_max_m: ``PLND_XY_DIST_MAX``: farther from the target it does not descend.
        lag_s: ``PLND_LAG``.
        fast_descend: bit 2 of ``PLND_OPTIONS``.
        land_speed_ms: ``LAND_SPEED``.
    """

    strict: int = VERY_STRICT
    timeout_s: float = 0.0
    alt_min_m: float = 0.75
    alt_max_m: float = 0.0
    xy_dist_max_m: float = 2.5
    lag_s: float = 0.1
    fast_descend: bool = True
    land_speed_ms: float = 0.5


class _Filter:
    """ArduPilot's Kalman filter of one axis: position and velocity of the target relative to the vehicle."""

    def __init__(self, position: float, variance: float, velocity: float) -> None:
        self.x = np.array([position, velocity])
        self._p = np.diag([variance, 4.0])

    def predict(self, vehicle_gains: float) -> None:
        turn = np.array([[1.0, STEP_S], [0.0, 1.0]])
        self.x = turn @ self.x - (0.0, vehicle_gains)
        self._p = turn @ self._p @ turn.T
        self._p[1, 1] += (2.5 * STEP_S) ** 2

    def surprise(self, position: float, variance: float) -> float:
        return float((position - self.x[0]) ** 2 / (self._p[0, 0] + variance))

    def fuse(self, position: float, variance: float) -> None:
        gain = self._p[:, 0] / (self._p[0, 0] + variance)
        self.x = self.x + gain * (position - self.x[0])
        self._p = self._p - np.outer(gain, self._p[0])


class ArduPilot(AutopilotStandIn):
    """The stand-in of an ArduPilot with ``PLND_TYPE`` 1 in LAND mode."""

    name = "ardupilot"

    def __init__(self, parameters: ArduPilotParameters | None = None) -> None:
        super().__init__()
        self.parameters = parameters or ArduPilotParameters()
        self.timeout_s = _LOST_S + self.parameters.timeout_s
        self.committed_m = self.parameters.alt_min_m
        self._sight: tuple[Doubles, float, float] | None = None
        """The unit vector to the target in the body, its distance, and when the message came."""
        self._used_at = self._updated_at = self._acquired_at = -math.inf
        self._filters: tuple[_Filter, _Filter] | None = None
        self._started_at = -math.inf
        self._acquired = self._ever_seen = False
        self._outliers = 0
        self._below_m = math.nan
        self._history: deque[State] = deque(maxlen=max(1, round(self.parameters.lag_s / STEP_S)) + 1)
        self._goal: tuple[float, float] | None = None
        self._failed_at = math.nan

    def receive(self, message: Mapping[str, Any], state: State) -> None:
        distance = float(message["distance"])
        if message["position_valid"] == 1:
            if message["frame"] != _BODY_FRD:
                self.say("Plnd: Frame not supported")
                return
            if distance <= 0:
                return
            sight = np.array([message["x"], message["y"], message["z"]], np.float64) / distance
        else:
            sight = np.array([-math.tan(message["angle_y"]), math.tan(message["angle_x"]), 1.0])
            sight /= np.linalg.norm(sight)
        self._sight = sight, distance, state.at

    def step(self, state: State) -> None:
        before = self._history[0] if self._history else state
        self._history.append(state)
        # The filter lives at the time of the image, PLND_LAG ago.
        then = self._history[0]
        if self._filters is not None:
            gains = then.north_ms - before.north_ms, then.east_ms - before.east_ms
            for axis, gain in zip(self._filters, gains, strict=True):
                axis.predict(gain)
        self._measure(state)
        if self._filters is not None and not self._acquired:
            if state.at - self._updated_at > _FILTER_GAP_S:
                self._filters = None
                self.say("PrecLand: Init Failed")
            elif state.at - self._started_at > _FILTER_START_S:
                self._acquired = self._ever_seen = True
                self.say("PrecLand: Init Complete")
        if state.at - self._updated_at > _LOST_S:
            if self._acquired:
                self.say("PrecLand: Target Lost")
            self._filters, self._acquired = None, False
        if self._acquired:
            self._acquired_at = state.at

    def _measure(self, state: State) -> None:
        """Takes a new sight of the target into the filters."""
        if (
            self._sight is None
            or self._sight[2] == self._used_at
            or state.at - self._sight[2] > _MEASUREMENT_S
        ):
            return
        sight, distance, self._used_at = self._sight
        then = self._history[0]
        if sight[2] <= 0 or distance <= 0:
            return
        target = then.world_from_body @ sight * distance
        self._below_m = float(target[2])
        variance = (target[2] * (0.01 + 0.01 * then.turn_rate) + 0.02) ** 2
        if self._filters is None:
            self.say("PrecLand: Target Found")
            self._filters = (
                _Filter(target[0], variance, -then.north_ms),
                _Filter(target[1], variance, -then.east_ms),
            )
            self._started_at = self._updated_at = state.at
            return
        surprise = max(axis.surprise(target[k], variance) for k, axis in enumerate(self._filters))
        if surprise >= _OUTLIER and self._outliers < _OUTLIERS:
            self._outliers += 1
            return
        self._outliers = 0
        for k, axis in enumerate(self._filters):
            axis.fuse(target[k], variance)
        self._updated_at = state.at

    @property
    def sees_target(self) -> bool:
        return self._acquired

    def begin(self, state: State) -> None:
        self._goal = state.north_m, state.east_m

    def command(self, state: State) -> Command:
        assert self._goal is not None
        descends = self._descends(state)
        self.doing = LANDS if descends else HOLDS
        speed = self.parameters.land_speed_ms
        climb = -min(_LAND_FAST_MS, max(speed, state.height_m - _LAND_LOW_M)) if descends else 0.0
        if self._acquired and self._filters is not None:
            north, east = (float(axis.x[0] + axis.x[1] * self.parameters.lag_s) for axis in self._filters)
            self._goal = state.north_m + north, state.east_m + east
            away = math.hypot(north, east)
            near, far = _LAST_METRES_M
            if away > self.parameters.xy_dist_max_m:
                climb = 0.0
            elif near < self._below_m < far and not self.parameters.fast_descend:
                slowest = speed / 2
                climb = min(-0.1, -slowest + away * slowest / 0.15)
        return towards(state, self._goal, climb)

    def _descends(self, state: State) -> bool:
        """Returns whether it descends, by the state of the target and how strict it is."""
        parameters = self.parameters
        low = state.height_m < parameters.alt_min_m
        high = 0 < parameters.alt_max_m < state.height_m
        if self._acquired or low or high:
            self._failed_at = math.nan
            return True
        if self._ever_seen:
            if parameters.strict == LAND_VERTICALLY:
                return True
            if state.at - self._acquired_at < parameters.timeout_s:
                return True
        if math.isnan(self._failed_at):
            self._failed_at = state.at
            self.say("PrecLand: Failsafe Measures")
        if parameters.strict == VERY_STRICT:
            return False
        return parameters.strict == LAND_VERTICALLY or state.at - self._failed_at >= _FAILSAFE_WAITS_S
