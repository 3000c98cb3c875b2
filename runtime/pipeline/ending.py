"""How a run that was asked to end does so within a second, whatever does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from .sink_worker import SinkWorker
from .streams import Lane

SOURCES, STAGES, SINKS, CAPTURES, CLOSING = 0.25, 0.5, 0.7, 0.85, 5.0
"""Seconds after the end is asked for: until then a source may give its last frame, the stages may finish theirs, sinks
may write theirs, and a source without a frame may return. A sink that is closing its file may take the last on top."""

_POLL_SECONDS = 0.02


class Ending:
    """Notices the wish to end, and says how long each part is waited for: long, and from that wish on hardly at all.

    The thread that runs the pipeline alone calls it.

    Args:
        lanes: of the run.
        stopping: set where the run is to end.
        patience_seconds: for which a source or sink is waited for while nobody wants the end.

    Attributes:
        impatient: whether the end was asked for twice, so that no sink is waited for that is closing its file.
    """

    def __init__(self, lanes: Sequence[Lane], stopping: threading.Event, patience_seconds: float) -> None:
        self._lanes, self._stopping, self._patience_seconds = lanes, stopping, patience_seconds
        self._asked_at = 0.0
        self.impatient = False

    @property
    def asked(self) -> bool:
        """Whether the wish to end has been noticed."""
        return bool(self._asked_at)

    def notice(self) -> bool:
        """Whether the end has been asked for; the first time, lets the sources know."""
        if self._stopping.is_set() and not self._asked_at:
            self._asked_at = time.monotonic()
            for lane in self._lanes:
                lane.source.interrupt()
                if lane.live:
                    lane.captured.cancel()
        return self.asked

    def is_over(self, seconds: float) -> bool:
        """Whether the end was asked for longer ago than that."""
        return self.asked and time.monotonic() - self._asked_at > seconds

    def patience(self, once_asked: float) -> float:
        """Seconds that are left: many, or until so long after the end was asked for."""
        if not self.asked:
            return self._patience_seconds
        return max(0.0, self._asked_at + once_asked - time.monotonic())

    def await_sinks(self, sinks: Mapping[SinkWorker, threading.Thread]) -> None:
        """Lets the sinks write what waits and close; gives up those that do not answer."""
        deadline = time.monotonic() + self.patience(SINKS)
        for worker, thread in sinks.items():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive() and self.asked:
                worker.cancel()
                thread.join(_POLL_SECONDS)
                if worker.closing and not self.impatient:
                    thread.join(CLOSING)
            if thread.is_alive():
                worker.give_up()

    def await_captures(self, captures: Mapping[Lane, threading.Thread]) -> list[Lane]:
        """Lets the sources return from their last read; gives the lanes of those that do not."""
        for lane in captures:
            lane.source.interrupt()
        deadline = time.monotonic() + self.patience(CAPTURES)
        for thread in captures.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return [lane for lane, thread in captures.items() if thread.is_alive()]
