"""PX4's rules for LANDING_TARGET, as read in its MAVLink receiver and its precision landing (``precland``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .autopilot import HOLDS, LANDS, AutopilotStandIn, towards
from .vehicle import Command, State

_LOCAL_NED = 1
_STATE_TIMEOUT_S = 10.0
_SETTLES_S, _SEARCHES_AFTER_S, _STOPS_CLIMBING_S, _CRITICAL_S = 2.0, 2.0, 1.0, 0.5
_FAST_MS, _FAST_ABOVE_M, _SLOW_BELOW_M = 1.5, 10.0, 5.0
_CLIMB_GAIN, _CLIMB_MS = 0.8, 2.0
_HERE_M = 1.0

START, APPROACH, DESCEND, FINAL, SEARCH, FALLBACK = (
    "start",
    "approach",
    "descend",
    "final",
    "search",
    "fallback",
)


@dataclass(frozen=True)
class Px4Parameters:
    """The parameters that matter, by PX4's names; the values are those that docs/landing.md recommends.

    Attributes:
        btout_s: ``PLD_BTOUT``: a target of which it hears no more is lost after so long.
        hacc_rad_m: ``PLD_HACC_RAD``: it descends once it is so near above the target.
        fappr_alt_m: ``PLD_FAPPR_ALT``: below this height it lands even if the target is lost.
        srch_alt_m: ``PLD_SRCH_ALT``: the height that it goes to when it searches.
        srch_tout_s: ``PLD_SRCH_TOUT``: it searches for so long, and then lands where it is.
        max_srch: ``PLD_MAX_SRCH``: it searches so often, and then lands where it is.
        land_speed_ms: ``MPC_LAND_SPEED``.
    """

    btout_s: float = 1.0
    hacc_rad_m: float = 0.5
    fappr_alt_m: float = 1.0
    srch_alt_m: float = 30.0
    srch_tout_s: float = 100.0
    max_srch: int = 100
    land_speed_ms: float = 0.5


@dataclass(frozen=True)
class _Target:
    """The target in the local frame, and the vehicle's time at which it was seen."""

    north_m: float
    east_m: float
    down_m: float
    seen_at: float


class Px4(AutopilotStandIn):
    """The stand-in of a PX4 with ``NAV_CMD_LAND`` param2 = 2, which means that it needs a target.

    Args:
        parameters: its parameters.
        clock_offset_s: its clock minus the sender's, which TIMESYNC has told it.
    """

    name = "px4"

    def __init__(self, parameters: Px4Parameters | None = None, clock_offset_s: float = 0.0) -> None:
        super().__init__()
        self.parameters = parameters or Px4Parameters()
        self.timeout_s, self.committed_m = self.parameters.btout_s, self.parameters.fappr_alt_m
        self._offset_s = clock_offset_s
        self._target: _Target | None = None
        self._state, self._since, self._searches = "", 0.0, 0
        self._point_reached_at: float | None = None
        self._acquired_at: float | None = None
        self._goal, self._goal_height_m = (0.0, 0.0), 0.0
        self._now = 0.0

    def receive(self, message: Mapping[str, Any], state: State) -> None:
        if message["position_valid"] != 1:
            self.say("landing target by angles: not of this stand-in")
            return
        if message["frame"] != _LOCAL_NED:
            self.say("landing target: coordinate frame not supported")
            return
        seen_at = message["time_usec"] / 1e6 + self._offset_s
        self._target = _Target(message["x"], message["y"], message["z"], seen_at)

    def step(self, state: State) -> None:
        self._now = state.at + self._offset_s

    @property
    def sees_target(self) -> bool:
        return self._target is not None and self._now - self._target.seen_at <= self.parameters.btout_s

    def begin(self, state: State) -> None:
        self._searches = 0
        self._stay(state)
        self._go(START)

    def _stay(self, state: State) -> None:
        self._goal, self._goal_height_m = (state.north_m, state.east_m), state.height_m

    def _go(self, name: str) -> None:
        self._state, self._since = name, self._now
        if name in (START, APPROACH):
            self._point_reached_at = None
        if name == START:
            self._searches += 1
        self.fell_back = name == FALLBACK

    def _start_again(self, state: State) -> None:
        self._stay(state)
        self._go(START if self._searches <= self.parameters.max_srch else FALLBACK)

    def _above_target(self, state: State) -> bool:
        """Returns True if the vehicle is near above the target, on each axis."""
        assert self._target is not None
        away = abs(self._target.north_m - state.north_m), abs(self._target.east_m - state.east_m)
        return max(away) < self.parameters.hacc_rad_m

    def _is_final(self, state: State) -> bool:
        """Returns True if the vehicle is so low above a target that it lands even without it."""
        assert self._target is not None
        return self.sees_target and self._target.down_m + state.height_m < self.parameters.fappr_alt_m

    def command(self, state: State) -> Command:
        rules: dict[str, Callable[[State], None]] = {
            START: self._start, APPROACH: self._approach, DESCEND: self._descend, SEARCH: self._search,
        }  # fmt: skip
        if self._state in rules:  # in the others it lands, whatever it hears
            rules[self._state](state)
        low = state.height_m
        if self._state in (DESCEND, FINAL, FALLBACK):
            share = min(1.0, max(0.0, (low - _SLOW_BELOW_M) / (_FAST_ABOVE_M - _SLOW_BELOW_M)))
            slow = self.parameters.land_speed_ms
            climb = -(slow + share * (_FAST_MS - slow))
        else:
            climb = max(-_CLIMB_MS, min(_CLIMB_MS, _CLIMB_GAIN * (self._goal_height_m - low)))
        self.doing = HOLDS if self._state in (START, SEARCH) else LANDS
        return towards(state, self._goal, climb)

    def _begin_approach(self, state: State) -> bool:
        if not self.sees_target:
            return False
        self._goal_height_m = state.height_m
        self._go(APPROACH)
        return True

    def _start(self, state: State) -> None:
        if self._begin_approach(state):
            return
        if math.dist(self._goal, (state.north_m, state.east_m)) < _HERE_M:
            if self._point_reached_at is None:
                self._point_reached_at = self._now
            if self._now - self._point_reached_at > _SEARCHES_AFTER_S:
                self.say("Climbing to search altitude.")
                self._goal_height_m = self.parameters.srch_alt_m
                self._acquired_at = None
                self._go(SEARCH)

    def _approach(self, state: State) -> None:
        target = self._target
        assert target is not None
        if self._above_target(state) and not self.sees_target:
            self.say("Lost landing target while landing (horizontal approach).")
            self._start_again(state)
            return
        if self._above_target(state):
            if self._point_reached_at is None:
                self._point_reached_at = self._now
            if self._now - self._point_reached_at > _SETTLES_S:
                self._go(DESCEND)
                return
        if self._now - self._since > _STATE_TIMEOUT_S:
            self.say("Precision landing took too long during horizontal approach phase.")
            self._stay(state)
            self._go(FALLBACK)
            return
        self._goal = target.north_m, target.east_m

    def _descend(self, state: State) -> None:
        target = self._target
        assert target is not None
        final = self._is_final(state)
        heard = self._now - target.seen_at < _CRITICAL_S if final else self.sees_target
        if heard:
            self._goal = target.north_m, target.east_m
        elif final:
            self._go(FINAL)
        else:
            self.say("Lost landing target while landing (descending).")
            self._start_again(state)

    def _search(self, state: State) -> None:
        if self.sees_target and self._acquired_at is None:
            self._acquired_at = self._now
            self._goal_height_m = min(self._goal_height_m, state.height_m + 1.0)
        if (
            self._acquired_at is not None
            and self._now - self._acquired_at > _STOPS_CLIMBING_S
            and self._begin_approach(state)
        ):
            return
        if self._now - self._since > self.parameters.srch_tout_s:
            self.say("Search timed out")
            self._stay(state)
            self._go(FALLBACK)
