"""Times contenders in turn, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

TURN_FRAMES = 4
"""Frames that count in each turn. One before them does not: in its own pipeline a contender's caches are its own."""

_PAUSE_SECONDS = 0.02
"""Between turns, so that the threads of the one before have stopped spinning for work."""

_WARM_UP_FRAMES = 5

Take = Callable[[int, int], Sequence[float]]
"""Takes so many frames from a position on; milliseconds of each."""


class EnergyMeter(Protocol):
    """Tells how much was used since it was made."""

    def joules(self) -> float: ...


@dataclass
class Timed:
    """What the rounds measured of one contender.

    Attributes:
        ms: milliseconds of each frame that counts, in order.
        joules: what the whole machine used in its turns; None where the platform does not tell.
        frames: that were taken in those turns, all of them.
    """

    ms: list[float] = field(default_factory=list)
    joules: float | None = None
    frames: int = 0

    def percentiles(self) -> dict[str, float]:
        """Milliseconds: ``p50``, ``p90``, ``p99``."""
        p50, p90, p99 = np.percentile(self.ms, (50, 90, 99))
        return {"p50": float(p50), "p90": float(p90), "p99": float(p99)}

    @property
    def joules_per_frame(self) -> float | None:
        """Of the whole machine; None where the platform does not tell."""
        return None if self.joules is None else self.joules / max(1, self.frames)


def run_rounds(
    contenders: Mapping[str, Take],
    rounds: int,
    meter: EnergyMeter | None = None,
    on_round: Callable[[int], None] = lambda number: None,
    turn_frames: int = TURN_FRAMES,
    pause_s: float = _PAUSE_SECONDS,
) -> dict[str, Timed]:
    """Lets every contender take a turn in every round. Each round starts with another one.

    Args:
        contenders: by name.
        rounds: how many turns each has.
        meter: of energy, where there is one.
        on_round: is told how many rounds are done.
        turn_frames: frames that count in a turn.
        pause_s: seconds between turns.
    """
    timed = {name: Timed(joules=0.0 if meter else None) for name in contenders}
    for take in contenders.values():
        take(0, _WARM_UP_FRAMES)
    names = list(contenders)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(pause_s)
            before = meter.joules() if meter else 0.0
            times = contenders[name](number * turn_frames, 1 + turn_frames)
            result = timed[name]
            if meter and result.joules is not None:
                result.joules += meter.joules() - before
            result.frames += len(times)
            result.ms += times[1:]
        on_round(number + 1)
    return timed


def clocked(run: Callable[[int], object]) -> Take:
    """Times a function in this process; it is given the running number of the frame."""

    def take(first: int, count: int) -> list[float]:
        times = []
        for number in range(first, first + count):
            start = time.perf_counter()
            run(number)
            times.append((time.perf_counter() - start) * 1e3)
        return times

    return take
