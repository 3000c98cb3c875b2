"""Timing of contenders in turn, so that other load on the machine affects all of them equally."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

TURN_FRAMES = 4
"""Counted frames in each turn. One frame before them is not counted: alone, a contender would have warm caches."""

_PAUSE_SECONDS = 0.02
"""The pause between turns, in which the threads of the previous contender stop waiting actively."""

_WARM_UP_FRAMES = 5

TimedRun = Callable[[int, int], Sequence[float]]
"""A function that processes a number of frames from a position on, and returns the milliseconds of each."""


class EnergyMeter(Protocol):
    """A meter of the energy since it was made."""

    def joules(self) -> float: ...


@dataclass
class Timed:
    """The measurements of one contender.

    Attributes:
        ms: milliseconds of each counted frame, in order.
        joules: the energy of the whole machine in its turns; None if the platform does not report it.
        frames: the number of all frames in those turns.
    """

    ms: list[float] = field(default_factory=list)
    joules: float | None = None
    frames: int = 0

    def percentiles(self) -> dict[str, float]:
        """Returns ``p50``, ``p90``, ``p99`` in milliseconds."""
        p50, p90, p99 = np.percentile(self.ms, (50, 90, 99))
        return {"p50": float(p50), "p90": float(p90), "p99": float(p99)}

    @property
    def joules_per_frame(self) -> float | None:
        """Returns the joules of the whole machine for each frame; None if the platform does not report energy."""
        return None if self.joules is None else self.joules / max(1, self.frames)


def run_rounds(
    contenders: Mapping[str, TimedRun],
    rounds: int,
    meter: EnergyMeter | None = None,
    on_round: Callable[[int], None] = lambda number: None,
    turn_frames: int = TURN_FRAMES,
    pause_s: float = _PAUSE_SECONDS,
) -> dict[str, Timed]:
    """Gives every contender a turn in every round. Each round starts with another contender.

    Args:
        contenders: by name.
        rounds: the number of turns of each.
        meter: of energy, if there is one.
        on_round: called with the number of finished rounds.
        turn_frames: counted frames in a turn.
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


def clocked(run: Callable[[int], object]) -> TimedRun:
    """Returns a timed form of a function in this process; the function gets the running number of the frame."""

    def take(first: int, count: int) -> list[float]:
        times = []
        for number in range(first, first + count):
            start = time.perf_counter()
            run(number)
            times.append((time.perf_counter() - start) * 1e3)
        return times

    return take
