"""A rate limit on log records: a few of a kind pass at once, then one each period; the others are counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_MOST_KINDS = 512


@dataclass
class _Kind:
    name: str
    left: float
    at: float
    suppressed: int = 0


class RateLimit:
    """Limits records by kind: the event and its source, or the line of code that logs.

    Args:
        burst: records of a kind that pass at once.
        period_seconds: after the burst, one passes each period. A quiet kind regains its burst at the same rate.
        clock: gives seconds; for tests.
    """

    def __init__(
        self, burst: int = 5, period_seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.burst = burst
        self.period_seconds = period_seconds
        self._clock = clock
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._forgotten = 0
        self._lock = threading.Lock()

    def admit(self, record: logging.LogRecord) -> int | None:
        """Counts the suppressed records of this kind since the last that passed; None if this one is suppressed."""
        event, fields = getattr(record, "event", None), getattr(record, "fields", None)
        source = str(fields.get("source", "")) if isinstance(fields, dict) else ""
        name = f"{event} {source}".strip() if event else f"{record.module}:{record.lineno}"
        key: Hashable = (event, source) if event else (record.pathname, record.lineno)
        with self._lock:
            now = self._clock()
            kind = self._kinds.get(key)
            if kind is None:
                kind = self._kinds[key] = _Kind(name, float(self.burst), now)
                if len(self._kinds) > _MOST_KINDS:
                    self._forgotten += self._kinds.popitem(last=False)[1].suppressed
            self._kinds.move_to_end(key)
            kind.left = min(float(self.burst), kind.left + (now - kind.at) / self.period_seconds)
            kind.at = now
            if kind.left < 1:
                kind.suppressed += 1
                return None
            kind.left -= 1
            suppressed, kind.suppressed = kind.suppressed, 0
            return suppressed

    def remains(self) -> dict[str, int]:
        """The suppressed records that no later record has reported: their number by kind."""
        with self._lock:
            found = {kind.name: kind.suppressed for kind in self._kinds.values() if kind.suppressed}
            if self._forgotten:
                found["other"] = self._forgotten
            return found
