"""The common part of both autopilots' stand-ins: they take LANDING_TARGET, and move towards a point."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from .vehicle import Command, State

LANDS, HOLDS = "lands", "holds"

_POSITION_GAIN = 0.9
_FASTEST_MS = 4.0


class AutopilotStandIn(ABC):
    """Lands on what LANDING_TARGET says, by the rules of one autopilot.

    Attributes:
        name: ``ardupilot`` or ``px4``.
        timeout_s: for which it goes on with a target of which it hears no more.
        committed_m: the height below which it lands whatever it hears.
        texts: what it would say to the ground station.
        doing: ``lands`` while it descends or would, ``holds`` while it waits for a target.
        fell_back: True once it lands where it is, whatever it hears.
    """

    name: str
    timeout_s: float
    committed_m: float

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.doing = HOLDS
        self.fell_back = False

    @abstractmethod
    def receive(self, message: Mapping[str, Any], state: State) -> None:
        """Takes the fields of a LANDING_TARGET at the moment of ``state``."""

    @abstractmethod
    def step(self, state: State) -> None:
        """Goes on by one step of the simulation; ``state`` is what the autopilot knows of the vehicle."""

    @property
    @abstractmethod
    def sees_target(self) -> bool:
        """True if it has a target that it would land on."""

    @abstractmethod
    def begin(self, state: State) -> None:
        """Begins to land."""

    @abstractmethod
    def command(self, state: State) -> Command:
        """Returns what it wants of the vehicle while it lands."""

    def say(self, text: str) -> None:
        """Says something to the ground station, once in a row."""
        if not self.texts or self.texts[-1] != text:
            self.texts.append(text)


def towards(state: State, point: tuple[float, float], climb: float) -> Command:
    """Returns the command to fly to a point, metres north and east, while climbing at a rate."""
    north, east = (
        _POSITION_GAIN * (goal - here)
        for goal, here in zip(point, (state.north_m, state.east_m), strict=True)
    )
    slower = min(1.0, _FASTEST_MS / max(math.hypot(north, east), 1e-9))
    return Command(north * slower, east * slower, climb)
