"""The validity of a source's newest class map at this moment."""

from __future__ import annotations

import threading
from typing import NamedTuple

from ..reasons import BACKEND_FAILED, SOURCE_LOST, STALE
from ..result import Segmentation


class Verdict(NamedTuple):
    """The validity of a source's newest class map.

    Attributes:
        valid: True if the newest class map may be acted on.
        reason: the reason if not valid, a word of :mod:`edgeseg.runtime.reasons`; empty if valid.
        age_seconds: seconds since the frame of the newest valid result was captured; None if there was none.
    """

    valid: bool
    reason: str
    age_seconds: float | None


class Validity:
    """Keeps the newest results of one source, and judges them at any later time. Any thread may call it.

    Args:
        live: True if results grow old; results of a file do not.
        max_age_s: the greatest age of a valid live result, in seconds.
    """

    def __init__(self, live: bool, max_age_s: float) -> None:
        self._live, self._max_age_s = live, max_age_s
        self._lock = threading.Lock()
        self._valid_at: float | None = None
        self._newest: Segmentation | None = None

    @property
    def newest(self) -> Segmentation | None:
        """The newest result, valid or not."""
        with self._lock:
            return self._newest

    def record(self, result: Segmentation) -> None:
        """Stores a result as the newest."""
        with self._lock:
            self._newest = result
            if result.valid:
                self._valid_at = result.captured_at

    def judge(self, now: float, connected: bool = True, inferring: bool = True) -> Verdict:
        """Judges the newest result.

        Args:
            now: ``edgeseg.now()`` in seconds.
            connected: True if the source is there.
            inferring: True if inference answers.
        """
        with self._lock:
            newest, valid_at = self._newest, self._valid_at
        age = None if valid_at is None else max(0.0, now - valid_at)
        recent = newest is not None and (not self._live or now - newest.captured_at <= self._max_age_s)
        if newest is not None and recent:
            return Verdict(newest.valid, newest.reason, age)
        if not connected:
            return Verdict(False, SOURCE_LOST, age)
        return Verdict(False, STALE if inferring else BACKEND_FAILED, age)
