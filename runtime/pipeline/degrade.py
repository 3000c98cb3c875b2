"""What a run gives up when it misses its deadline again and again, and when it takes that back."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ...core.errors import UsageError
from ..segmenter import Segmenter

log = logging.getLogger(__name__)

_WINDOW = 20
_MISSES_TO_DEGRADE = 10
_CALM_SECONDS, _MOST_CALM_SECONDS = 10.0, 300.0
"""Without a miss for so long, a step is taken back; twice as long each time that this proves too early."""


class Step(NamedTuple):
    """One step down.

    Attributes:
        level: of the segmenter, in :class:`~.network.Network`'s order.
        rate: the share of the frames that is still taken.
        text: for people.
    """

    level: int
    rate: float
    text: str


def steps_down(asked: Segmenter, degrade: Sequence[Segmenter | float]) -> tuple[list[Step], list[Segmenter]]:
    """The steps from what was asked for downwards, each with what the ones before it gave up.

    Args:
        asked: runs where nothing is given up.
        degrade: another segmenter, or the share of the frames that is still taken.

    Returns:
        The steps, and the segmenters beside the one that was asked for.

    Raises:
        UsageError: a share is not between 0 and 1, or a segmenter has another size or other labels.
    """
    steps = [Step(0, 1.0, f"{asked.variant.name}, every frame")]
    smaller: list[Segmenter] = []
    for each in degrade:
        level, rate, _ = steps[-1]
        if isinstance(each, Segmenter):
            same = each.bundle.input_size_hw == asked.bundle.input_size_hw and each.labels == asked.labels
            if not same:
                raise UsageError(
                    f"{each.bundle.name} cannot stand in for {asked.bundle.name}: other size or labels"
                )
            smaller.append(each)
            level = len(smaller)
        elif 0 < each < 1:
            rate = each
        else:
            raise UsageError(f"cannot take {each} of the frames; expected a share between 0 and 1")
        name = (smaller[level - 1] if level else asked).variant.name
        steps.append(
            Step(level, rate, f"{name}, {'every frame' if rate == 1 else f'{rate:.0%} of the frames'}")
        )
    return steps, smaller


class Degrader:
    """Goes down the steps while results come later than the deadline, and back up when they no longer do.

    The decode thread alone calls :meth:`record`; any may read :attr:`step`.

    Args:
        steps: from what was asked for downwards; at least that.
        deadline_ms: from capture to class map; None for none, and the first step stays.
    """

    def __init__(self, steps: Sequence[Step], deadline_ms: float | None) -> None:
        self._steps, self._deadline_ms = steps, deadline_ms
        self._missed: deque[bool] = deque(maxlen=_WINDOW)
        self._calm_seconds = _CALM_SECONDS
        self._calm_since: float | None = None
        self._back_at: float | None = None
        self._number = 0
        self._results = [0] * len(steps)

    @property
    def results(self) -> dict[str, int]:
        """How many live results each step gave; empty where there is but one step."""
        if len(self._steps) == 1:
            return {}
        return {step.text: count for step, count in zip(self._steps, self._results, strict=True)}

    @property
    def step(self) -> Step:
        """What runs now."""
        return self._steps[self._number]

    @property
    def degraded(self) -> str:
        """The step's text; empty where all is as asked for."""
        return self.step.text if self._number else ""

    def record(self, latency_ms: float, now: float) -> bool:
        """Takes in how long a result took, and changes the step where that is due.

        Args:
            latency_ms: from capture to class map.
            now: ``edgeseg.now()`` in seconds.

        Returns:
            Whether the deadline was missed.
        """
        self._results[self._number] += 1
        if self._deadline_ms is None:
            return False
        missed = latency_ms > self._deadline_ms
        self._missed.append(missed)
        if missed:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        if sum(self._missed) >= _MISSES_TO_DEGRADE and self._number + 1 < len(self._steps):
            if self._back_at is not None and now - self._back_at < self._calm_seconds:
                self._calm_seconds = min(2 * self._calm_seconds, _MOST_CALM_SECONDS)
            self._go(self._number + 1, "the deadline of %g ms was missed %d times of the last %d", now)
        elif self._number and self._calm_since is not None and now - self._calm_since > self._calm_seconds:
            self._back_at = now
            self._go(
                self._number - 1, "the deadline of %g ms is kept again (%d of the last %d missed it)", now
            )
        return missed

    def _go(self, number: int, why: str, now: float) -> None:
        missed, of = sum(self._missed), len(self._missed)
        down = number > self._number
        self._number = number
        self._missed.clear()
        self._calm_since = None if down else now
        log.warning(
            f"{why}; now: %s",
            self._deadline_ms,
            missed,
            of,
            self.step.text,
            extra={"event": "degraded" if down else "restored", "fields": {"now": self.step.text}},
        )
