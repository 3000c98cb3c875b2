"""How old a frame of a stream is as it arrives, by the sender's own stamps.

A frame that waited in the network arrives late, and to believe it new would let its age grow unseen.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .capture import Grabbed

_LEAK = 0.01
"""How far sender's and own clock may drift apart, in seconds a second; beyond that, a drift counts as lag."""

_JUMP_SECONDS = 30.0
"""Beyond this the stamps have begun anew."""

_BACKLOG_SECONDS = 3.0
_WAITED = 0.5


class Lag:
    """Compares stamps with the own clock: the shortest way a frame ever took counts as no lag, the rest as lag."""

    def __init__(self) -> None:
        self._base: float | None = None
        self._last_at = self._last_stamp = float("-inf")

    def captured_at(self, at: float, stamp_s: float | None) -> float:
        """When a frame was captured, in seconds of ``edgeseg.now()``.

        Args:
            at: when it arrived.
            stamp_s: the sender's, in seconds since any moment; None where there is none.
        """
        if stamp_s is None or stamp_s <= self._last_stamp:
            # Stamps that stand still, or go back, tell nothing of this frame.
            self._base, self._last_stamp = None, float("-inf") if stamp_s is None else stamp_s
            return at
        offset = at - stamp_s
        if self._base is None or abs(offset - self._base) > _JUMP_SECONDS:
            self._base = offset
        else:
            self._base = min(offset, self._base + _LEAK * (at - self._last_at))
        self._last_at, self._last_stamp = at, stamp_s
        return at - (offset - self._base)


def skip_backlog(read: Callable[[], Grabbed], fps: float | None) -> Grabbed:
    """Reads past what a stream gathered while it was opened: the first frame that had to be waited for.

    Args:
        read: of the capture.
        fps: frames a second that it claims.
    """
    until = time.monotonic() + _BACKLOG_SECONDS
    while True:
        asked_at = time.monotonic()
        grabbed = read()
        now = time.monotonic()
        if now - asked_at >= _WAITED / (fps or 25.0) or now > until:
            return grabbed
