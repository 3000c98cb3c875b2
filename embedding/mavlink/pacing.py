"""Paces what is sent: at a bounded rate, the newest, only while it is young, and not right after a switch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Message = tuple[str, Mapping[str, Any]]
"""A message's name and its fields."""

_SAME_METRES = 0.5
"""Places nearer to each other are the same: less than an autopilot's own error."""


class Pacer(Generic[T]):
    """Holds the newest of one kind, and says when to send it. Times are of ``time.monotonic()``, in seconds.

    Args:
        period_s: the least time between two.
        quiet_s: the silence before something about another place, counted from the last one that was sent.
    """

    def __init__(self, period_s: float = 0.1, quiet_s: float = 0.0) -> None:
        self._period_s, self._quiet_s = period_s, quiet_s
        self._newest: T | None = None
        self._expires_at = 0.0
        self._sent_at = -math.inf
        self._quiet_until = -math.inf
        self._place: tuple[float, float] | None = None
        self._sent_place: tuple[float, float] | None = None

    def offer(self, item: T | None, expires_at: float, place: tuple[float, float] | None = None) -> None:
        """Takes the newest, which replaces the one before.

        Args:
            item: None for nothing to send.
            expires_at: when it is too old to be sent, or sent again.
            place: metres of what it is about, if a switch to another place matters.
        """
        self._newest, self._expires_at, self._place = item, expires_at, place
        elsewhere = (
            place is not None
            and self._sent_place is not None
            and not math.dist(place, self._sent_place) <= _SAME_METRES  # so that NaN is elsewhere
        )
        self._quiet_until = self._sent_at + self._quiet_s if elsewhere else -math.inf

    def take(self, at: float) -> T | None:
        """Returns what is to be sent now; None if nothing is."""
        if self._newest is None or at >= self._expires_at or at < self._next_at:
            return None
        self._sent_at, self._sent_place = at, self._place
        return self._newest

    def next_in(self, at: float) -> float:
        """Returns the seconds until :meth:`take` may have something; infinite if it will not by itself."""
        due = max(self._next_at, at)
        return due - at if self._newest is not None and due < self._expires_at else math.inf

    @property
    def _next_at(self) -> float:
        return max(self._sent_at + self._period_s, self._quiet_until)


class Announcer:
    """Tells a state as text when it changes, and not too often: of several changes the newest is told.

    Args:
        period_s: the least time between two texts.
    """

    def __init__(self, period_s: float = 2.0) -> None:
        self._period_s = period_s
        self._told: str | None = None
        self._newest: tuple[str, int] | None = None
        self._told_at = -math.inf

    def offer(self, text: str, severity: int) -> None:
        """Takes the state of now."""
        self._newest = text, severity

    def take(self, at: float) -> Message | None:
        """Returns the STATUSTEXT to send now, if any."""
        if not self._due or at < self._told_at + self._period_s:
            return None
        assert self._newest is not None
        self._told, severity = self._newest
        self._told_at = at
        return status_text(self._told, severity)

    def next_in(self, at: float) -> float:
        """Returns the seconds until there is something to tell; infinite if there is nothing."""
        return max(0.0, self._told_at + self._period_s - at) if self._due else math.inf

    @property
    def _due(self) -> bool:
        return self._newest is not None and self._newest[0] != self._told


def status_text(text: str, severity: int) -> Message:
    """Returns a STATUSTEXT. Its 50 bytes are ASCII; what is longer is cut.

    Args:
        text: without the program's name, which goes before it.
        severity: of MAV_SEVERITY: 4 a warning, 5 a notice, 6 information.
    """
    line = f"edgeseg: {text}".encode("ascii", "replace")[:50]
    return "STATUSTEXT", {"severity": severity, "text": line}
