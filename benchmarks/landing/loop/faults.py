"""The faults and events that are put into a flight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NONE = "none"
FROZEN_CAMERA = "frozen camera"
LATE_FRAMES = "late frames"
LOST_ATTITUDE = "lost attitude"
WRONG_HEIGHT = "height wrong by 10 %"
DEAD_NETWORK = "network dead"
INTRUDER = "person or car walks in"

FAULTS = (FROZEN_CAMERA, LATE_FRAMES, LOST_ATTITUDE, WRONG_HEIGHT, DEAD_NETWORK, INTRUDER)

_BELOW_M = (2.0, 14.0)
_LASTS_S = (1.0, 12.0)
_FOR_EVER = 1 / 3
_LATE_S = (0.4, 2.5)


@dataclass(frozen=True)
class Fault:
    """A fault of one flight.

    Attributes:
        kind: a name above.
        below_m: it begins once a landing vehicle is below this height; the wrong height is there from the start.
        lasts_s: seconds; infinite for one that stays.
        amount: seconds by which frames are late, or the factor of the height.
    """

    kind: str = NONE
    below_m: float = 0.0
    lasts_s: float = math.inf
    amount: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator, kind: str) -> Fault:
        """Draws when a fault of a kind begins, how long it lasts and how bad it is."""
        if kind == NONE:
            return cls()
        lasts = math.inf if rng.random() < _FOR_EVER else float(rng.uniform(*_LASTS_S))
        below = float(rng.uniform(*_BELOW_M))
        if kind == WRONG_HEIGHT:
            return cls(kind, amount=float(rng.choice([0.9, 1.1])))
        if kind == LATE_FRAMES:
            return cls(kind, below, lasts, float(rng.uniform(*_LATE_S)))
        return cls(kind, below, lasts)


class FaultClock:
    """Knows whether a fault is there now.

    Args:
        fault: of the flight.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.began_at: float | None = None

    def step(self, at: float, landing: bool, height_m: float) -> None:
        """Lets the fault begin once a landing vehicle is low enough."""
        if self.began_at is None and landing and height_m < self.fault.below_m:
            self.began_at = at

    def acts(self, kind: str, at: float) -> bool:
        """Returns True if a fault of this kind is there at a time."""
        return (
            self.fault.kind == kind and self.began_at is not None and at - self.began_at < self.fault.lasts_s
        )
