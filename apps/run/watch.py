"""The watch on a run: it reports progress to systemd, and changes of the results' validity to the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ...runtime.reasons import MEANING
from ...runtime.status import STOPPING, Board, SourceStatus, Status
from ..service.systemd import Notifier

log = logging.getLogger(__name__)

_BOARD_SECONDS = 1.0


class Watch:
    """Checks the run on each beat.

    Args:
        notifier: of systemd.
        patience_seconds: if frames are captured and no result comes for so long, the run hangs.
        clock: gives seconds.
    """

    def __init__(
        self, notifier: Notifier, patience_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._notifier, self._patience_seconds, self._clock = notifier, patience_seconds, clock
        self._stopping = False
        self._reported: dict[int, str] = {}
        self._seen: dict[int, tuple[int, int]] = {}
        self._progress_at: dict[int, float] = {}

    def __call__(self, status: Status) -> None:
        """Checks one status of the run."""
        for source in status.sources:
            self._tell(source, several=len(status.sources) > 1)
        if all([self._makes_progress(source) for source in status.sources]):
            self._notifier.progress()
        if status.state == STOPPING and not self._stopping:
            self._stopping = True
            self._notifier.stopping()
        if not self._stopping:
            self._notifier.status(_line(status))

    def _makes_progress(self, source: SourceStatus) -> bool:
        """True if captured frames get results. A source without frames, such as a lost camera, is no hang."""
        now, seen = self._clock(), (source.captured, source.results)
        before = self._seen.get(source.number, (-1, -1))
        if source.results != before[1] or source.captured == before[0]:
            self._seen[source.number] = seen
            self._progress_at[source.number] = now
        return now - self._progress_at[source.number] <= self._patience_seconds

    def _tell(self, source: SourceStatus, several: bool) -> None:
        before = self._reported.get(source.number, "")
        if source.reason == before or not source.results:
            return
        self._reported[source.number] = source.reason
        of = f"{source.name}: " if several else ""
        fields = {"source": source.name, "reason": source.reason}
        if source.valid:
            log.info("%sresults are valid again", of, extra={"event": "valid", "fields": fields})
        else:
            log.warning(
                "%sno valid result: %s (%s)",
                of,
                source.reason,
                MEANING.get(source.reason, ""),
                extra={"event": "not-valid", "fields": fields},
            )


def now_and_then(
    read: Callable[[], Board], clock: Callable[[], float] = time.monotonic
) -> Callable[[], Board]:
    """Returns a function that reads the board's sensors at most once a second, however often it is called."""
    read_at, board = -_BOARD_SECONDS, Board()

    def ask() -> Board:
        nonlocal read_at, board
        now = clock()
        if now - read_at >= _BOARD_SECONDS:
            read_at, board = now, read()
        return board

    return ask


def _line(status: Status) -> str:
    parts = []
    for source in status.sources:
        state = f"{source.fps:.1f} fps" if source.valid else f"not valid: {source.reason or 'no result yet'}"
        parts.append(f"{source.name}: {state}" if len(status.sources) > 1 else state)
    return "; ".join(parts) + (f"; degraded: {status.degraded}" if status.degraded else "")
