"""How old a frame of a stream is as it arrives, by the sender's own stamps.

A frame that waited in the network arrives late, and to believe it new would let its age grow unseen.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .process.capture import Grabbed

_LEAK, _STRICT_LEAK = 0.01, 0.0005
"""How far sender's and own clock may drift apart, in seconds a second; beyond that, a drift counts as lag. The first is
for a link that is known to have room: it forgives cameras whose stamps follow a nominal rate. A link that is a little
too slow looks the same, so elsewhere only what a poor crystal drifts is forgiven."""

_BACK_SECONDS, _MOST_REPEATS = 1.0, 3
"""Stamps that go back further, or stand still more often, are no stamps."""

_COARSE_CHANGES = 2
"""Coarse stamps that have not changed more often than this may be those of a file."""

BACKLOG_SECONDS = 3.0
"""How long what was gathered while a stream was opened may be skipped."""

_WAITED = 0.5


class Lag:
    """Compares stamps with the own clock: the shortest way a frame ever took counts as no lag, the rest as lag.

    Args:
        resolution_s: of the stamps; what they cannot tell apart is no lag.

    Attributes:
        known: whether the last answer rests on stamps.
    """

    def __init__(self, resolution_s: float = 0.0) -> None:
        self.known = False
        self._resolution_s = resolution_s
        self._base: float | None = None
        self._last_at = self._last_stamp = float("-inf")
        self._repeats = self._changes = 0

    def captured_at(self, at: float, stamp_s: float | None, slack: bool = False) -> float:
        """Returns when a frame was captured, in seconds of the clock of ``at``; as it arrived where stamps do not say.

        Args:
            at: when it arrived.
            stamp_s: the sender's, in seconds since any moment; None where there is none.
            slack: whether the link is known to have room.
        """
        self.known = False
        if stamp_s is None:
            self._base, self._last_stamp = None, float("-inf")
            return at
        offset, leak = at - stamp_s, (_LEAK if slack else _STRICT_LEAK) * (at - self._last_at)
        if stamp_s > self._last_stamp or self._resolution_s:
            self._changes += stamp_s != self._last_stamp
            self._repeats = 0
            # However large it is: stamps that go on can fall behind only by what waits.
            self._base = offset if self._base is None else min(offset, self._base + leak)
            self._last_at, self._last_stamp = at, stamp_s
        else:
            # One that stands still is believed for a moment, so that it does not hide a lag.
            self._repeats += 1
            if self._last_stamp - stamp_s > _BACK_SECONDS or self._repeats > _MOST_REPEATS:
                self._base, self._last_stamp = None, stamp_s
            if self._base is None:
                return at
        self.known = not self._resolution_s or self._changes > _COARSE_CHANGES
        return at - max(0.0, offset - self._base - self._resolution_s) if self.known else at


def skip_backlog(read: Callable[[], Grabbed], fps: float | None) -> Grabbed:
    """Reads past what a stream gathered while it was opened: the first frame that had to be waited for.

    Args:
        read: of the capture.
        fps: frames a second that it claims.
    """
    until = time.monotonic() + BACKLOG_SECONDS
    while True:
        asked_at = time.monotonic()
        grabbed = read()
        now = time.monotonic()
        if now - asked_at >= _WAITED / (fps or 25.0) or now > until:
            return grabbed
