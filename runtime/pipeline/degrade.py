"""The steps by which a run does less work while it misses its deadline, and by which it recovers."""

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
_MOST_CALM_SECONDS = 300.0


class DegradeStep(NamedTuple):
    """One step down.

    Attributes:
        level: the segmenter's index, in :class:`~.network.Network`'s order.
        rate: the share of the frames that is still processed.
        text: the description to show.
    """

    level: int
    rate: float
    text: str


def steps_down(
    asked: Segmenter, degrade: Sequence[Segmenter | float]
) -> tuple[list[DegradeStep], list[Segmenter]]:
    """Makes the steps downwards, starting with what was asked for. Each step includes the ones before it.

    Args:
        asked: the segmenter of the first step.
        degrade: for each step, another segmenter or the share of the frames that is still processed.

    Returns:
        The steps, and the segmenters other than the one that was asked for.

    Raises:
        UsageError: a share is not between 0 and 1, or a segmenter has another size or other labels.
    """
    steps = [DegradeStep(0, 1.0, f"{asked.variant.name}, every frame")]
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
            DegradeStep(level, rate, f"{name}, {'every frame' if rate == 1 else f'{rate:.0%} of the frames'}")
        )
    return steps, smaller


class Degrader:
    """Goes down the steps while results miss the deadline, and back up when they keep it.

    Only the decode thread calls :meth:`record`. Any thread may read :attr:`step`.

    Args:
        steps: at least one, starting with what was asked for.
        deadline_ms: milliseconds from capture to class map. None for no deadline: the first step then stays.
        calm_seconds: time without a miss after which it goes one step back up. It doubles each time that this was too
            early.
    """

    def __init__(
        self, steps: Sequence[DegradeStep], deadline_ms: float | None, calm_seconds: float = 10.0
    ) -> None:
        self._steps, self._deadline_ms = steps, deadline_ms
        self._missed: deque[bool] = deque(maxlen=_WINDOW)
        self._calm_seconds = calm_seconds
        self._calm_since: float | None = None
        self._back_at: float | None = None
        self._number = 0
        self._results = [0] * len(steps)

    @property
    def results(self) -> dict[str, int]:
        """The number of live results of each step, by its text; empty if there is only one step."""
        if len(self._steps) == 1:
            return {}
        return {step.text: count for step, count in zip(self._steps, self._results, strict=True)}

    @property
    def step(self) -> DegradeStep:
        """The step that runs now."""
        return self._steps[self._number]

    @property
    def degraded(self) -> str:
        """The step's text; empty if everything runs as asked for."""
        return self.step.text if self._number else ""

    def record(self, latency_ms: float, now: float) -> bool:
        """Counts a result's latency, and changes the step if that is due.

        Args:
            latency_ms: milliseconds from capture to class map.
            now: ``edgeseg.now()`` in seconds.

        Returns:
            True if the deadline was missed.
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
