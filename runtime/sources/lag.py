"""The age of a stream's frame at its arrival, by the sender's own stamps.

A frame that waited in the network arrives late. If it counted as new, its age could grow unnoticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .process.capture import Grabbed

_LEAK, _STRICT_LEAK = 0.01, 0.0005
"""The allowed drift between the sender's and the own clock, in seconds a second; more drift counts as lag. The first is
for a link that is known to have room: it allows for cameras whose stamps follow a nominal rate. A slightly slow link
looks the same, so the second, for all other links, allows only a poor crystal's drift."""

_BACK_SECONDS, _MOST_REPEATS = 1.0, 3
"""Stamps that go back further, or repeat more often, are not used."""

_COARSE_CHANGES = 2
"""Coarse stamps with no more changes than this may be those of a file."""

BACKLOG_SECONDS = 3.0
"""The longest time to skip the frames that gathered while a stream was opened."""

_WAITED = 0.5


class Lag:
    """Compares stamps with the own clock: the shortest delay of any frame counts as no lag, a longer one as lag.

    Args:
        resolution_s: of the stamps, in seconds; a difference below it is not lag.

    Attributes:
        known: True if the last result is based on stamps.
    """

    def __init__(self, resolution_s: float = 0.0) -> None:
        self.known = False
        self._resolution_s = resolution_s
        self._base: float | None = None
        self._last_at = self._last_stamp = float("-inf")
        self._repeats = self._changes = 0

    def captured_at(self, at: float, stamp_s: float | None, slack: bool = False) -> float:
        """Returns a frame's time of capture, in seconds of the clock of ``at``; ``at`` itself if stamps do not help.

        Args:
            at: the time of its arrival.
            stamp_s: the sender's, in seconds since an arbitrary moment; None if there is none.
            slack: True if the link is known to have room.
        """
        self.known = False
        if stamp_s is None:
            self._base, self._last_stamp = None, float("-inf")
            return at
        offset, leak = at - stamp_s, (_LEAK if slack else _STRICT_LEAK) * (at - self._last_at)
        if stamp_s > self._last_stamp or self._resolution_s:
            self._changes += stamp_s != self._last_stamp
            self._repeats = 0
            # Any offset is accepted: stamps that continue can fall behind only if frames wait.
            self._base = offset if self._base is None else min(offset, self._base + leak)
            self._last_at, self._last_stamp = at, stamp_s
        else:
            # A repeated stamp is accepted a few times, so that it does not hide a lag.
            self._repeats += 1
            if self._last_stamp - stamp_s > _BACK_SECONDS or self._repeats > _MOST_REPEATS:
                self._base, self._last_stamp = None, stamp_s
            if self._base is None:
                return at
        self.known = not self._resolution_s or self._changes > _COARSE_CHANGES
        return at - max(0.0, offset - self._base - self._resolution_s) if self.known else at


def skip_backlog(read: Callable[[], Grabbed], fps: float | None) -> Grabbed:
    """Skips the frames that gathered while a stream was opened, and returns the first that was waited for.

    Args:
        read: the capture's method.
        fps: the frames a second that the stream claims.
    """
    until = time.monotonic() + BACKLOG_SECONDS
    while True:
        asked_at = time.monotonic()
        grabbed = read()
        now = time.monotonic()
        if now - asked_at >= _WAITED / (fps or 25.0) or now > until:
            return grabbed
