"""Progress of long work: on a terminal one line that is overwritten, in a log a plain line from time to time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from .printable import printable

FIRST_SECONDS = 30.0
_SHARE = 0.1
_LONGEST_SECONDS = 600.0


class Pace:
    """Says when the next line of progress is due in a log.

    The first is due after 30 s. Later pauses are a tenth of the time so far, from 30 s to ten minutes, so that a day's
    work fills no disk.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = self._last = clock()

    def due(self) -> bool:
        """True if a line is due; the next pause then begins."""
        now = self._clock()
        pause = min(max(FIRST_SECONDS, _SHARE * (now - self._started)), _LONGEST_SECONDS)
        if now - self._last < pause:
            return False
        self._last = now
        return True


class ProgressLine:
    """The progress of one piece of work, on stderr.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = sys.stderr.isatty()
        self._pace = Pace(clock)

    def show(self, text: str) -> None:
        """Shows a text: at once on a terminal; elsewhere if a line is due."""
        if self._live:
            print(f"\r\x1b[K{printable(text)}", end="", file=sys.stderr, flush=True)
        elif text and self._pace.due():
            print(printable(text), file=sys.stderr, flush=True)

    def count(self, done: int, total: int, things: str) -> None:
        """Shows how many things are done. On a terminal, the last count ends the line."""
        self.show(f"{done} of {total} {things}")
        if self._live and done == total:
            print(file=sys.stderr, flush=True)
