"""The bound on what arrivals may cost, so that a flood takes no more than a share of one CPU."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

_UNITS_PER_SECOND = 500_000
"""A unit is about the work for one byte. An autopilot at 921600 baud with all its messages needs 200,000."""
_ARRIVAL, _FRAME, _ERROR, _DECODE = 50, 50, 100, 200


class WorkBudget:
    """Counts the work of each second. Times are of ``time.monotonic()``, in seconds.

    Args:
        units_per_second: what a second may cost.
    """

    def __init__(self, units_per_second: int = _UNITS_PER_SECOND) -> None:
        self._most = units_per_second
        self._spent = 0
        self._began_at = 0.0
        self._told = False
        self._resumed = False

    def spend(self, size: int, frames: int = 0, errors: int = 0) -> None:
        """Counts what arrived at once: its bytes, the frames in it, and the places that looked like frames."""
        self._spent += _ARRIVAL + size + _FRAME * frames + _ERROR * errors

    def resumes(self) -> bool:
        """True once after a pause. What has queued up meanwhile is old, and mostly what caused the pause."""
        resumed, self._resumed = self._resumed, False
        return resumed

    def spend_decode(self) -> None:
        """Counts a message that is decoded."""
        self._spent += _DECODE

    def pause(self, at: float) -> float:
        """Returns the seconds for which nothing more may be read; 0 if something may."""
        if not 0 <= at - self._began_at < 1:
            self._resumed = self._spent >= self._most
            self._told = self._told and self._resumed
            self._began_at, self._spent = at, 0
        if self._spent < self._most:
            return 0.0
        if not self._told:
            self._told = True
            log.warning(
                "More arrives from the MAVLink network than is read: what is too much is lost",
                extra={"event": "mavlink-flood", "fields": {}},
            )
        return max(0.001, self._began_at + 1 - at)
