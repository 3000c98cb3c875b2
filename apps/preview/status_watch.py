"""Asks for the run's status at a fixed rate, in a thread of its own: a missing answer blocks no other thread."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ...core.errors import EdgesegError
from ...runtime.clock import now
from ...runtime.status import SourceStatus, Status

log = logging.getLogger(__name__)

PERIOD_SECONDS = 0.25
SILENT_SECONDS = 2.0
"""A status older than this is out of date."""

_HISTORY_SECONDS = 60


class StatusWatch:
    """Keeps the newest status, and the history of the last minute.

    Args:
        on_status: called after each answer, in the watch's thread.
    """

    def __init__(self, on_status: Callable[[], None] = lambda: None) -> None:
        self._on_status = on_status
        self._ending = threading.Event()
        self._newest: tuple[Status, float] | None = None
        self._history: dict[int, deque[dict[str, Any]]] = {}
        self._seconds = 0
        self._lock = threading.Lock()
        self._failing = False

    def start(self, status: Callable[[], Status]) -> None:
        """Starts the thread, which asks the run through ``status``."""
        threading.Thread(target=self._run, args=(status,), name="edgeseg preview status", daemon=True).start()

    def stop(self) -> None:
        """Stops the thread."""
        self._ending.set()

    @property
    def newest(self) -> Status | None:
        """The newest status; None if there is none, or it is out of date."""
        newest = self._newest
        if newest is None or now() - newest[1] > SILENT_SECONDS:
            return None
        return newest[0]

    def history(self) -> dict[int, list[dict[str, Any]]]:
        """The last minute of each source, one point a second, oldest first."""
        with self._lock:
            return {number: list(points) for number, points in self._history.items()}

    def last_points(self) -> dict[int, dict[str, Any]]:
        """The newest point of each source."""
        with self._lock:
            return {number: points[-1] for number, points in self._history.items() if points}

    def _run(self, ask: Callable[[], Status]) -> None:
        next_point_at = 0.0
        while not self._ending.wait(PERIOD_SECONDS):
            try:
                status = ask()
            except Exception as error:  # logged once; the page shows that the run does not answer
                if not self._failing:
                    log.warning(
                        "The preview page cannot get the state of the run: %s",
                        error,
                        exc_info=not isinstance(error, EdgesegError),  # a bug keeps its traceback
                        extra={"event": "preview-status-failed", "fields": {}},
                    )
                self._failing = True
                continue
            self._failing = False
            at = now()
            self._newest = (status, at)
            if at >= next_point_at:
                next_point_at = max(next_point_at + 1, at + 0.5)
                self._add_points(status)
            self._on_status()

    def _add_points(self, status: Status) -> None:
        self._seconds += 1
        with self._lock:
            for source in status.sources:
                points = self._history.setdefault(source.number, deque(maxlen=_HISTORY_SECONDS))
                points.append(_point(self._seconds, source))


def _point(second: int, source: SourceStatus) -> dict[str, Any]:
    return {
        "at": second,
        "fps": round(source.fps, 2),
        "p50": round(source.latency_ms.get("p50", 0.0), 2),
        "p99": round(source.latency_ms.get("p99", 0.0), 2),
        "valid": source.valid,
    }
