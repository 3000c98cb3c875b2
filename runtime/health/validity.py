"""Whether the newest class map of a source may be acted on at this moment."""

from __future__ import annotations

import threading
from typing import NamedTuple

from ..reasons import BACKEND_FAILED, SOURCE_LOST, STALE
from ..result import Segmentation


class Verdict(NamedTuple):
    """Whether to act.

    Attributes:
        valid: whether the newest class map may be acted on.
        reason: why not, a word of :mod:`edgeseg.runtime.reasons`; empty where valid.
        age_seconds: since the frame of the newest valid result was captured; None where there was none.
    """

    valid: bool
    reason: str
    age_seconds: float | None


class Validity:
    """Remembers the newest results of one source, and judges them as time goes by. Any thread may call it.

    Args:
        live: whether results grow old; those of a file do not.
        max_age_s: how old a live result may be, in seconds.
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
        """Takes in a result."""
        with self._lock:
            self._newest = result
            if result.valid:
                self._valid_at = result.captured_at

    def judge(self, now: float, connected: bool = True, inferring: bool = True) -> Verdict:
        """Judges the newest result.

        Args:
            now: ``edgeseg.now()`` in seconds.
            connected: whether the source is there.
            inferring: whether inference answers.
        """
        with self._lock:
            newest, valid_at = self._newest, self._valid_at
        age = None if valid_at is None else max(0.0, now - valid_at)
        recent = newest is not None and (not self._live or now - newest.captured_at <= self._max_age_s)
        if newest is not None and recent:
            return Verdict(newest.valid, newest.reason, age)
        reason = SOURCE_LOST if not connected else STALE if inferring else BACKEND_FAILED
        return Verdict(False, reason, age)
