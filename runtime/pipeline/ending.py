"""The end of a run, which comes within a second even if parts of it do not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from .sink_worker import SinkWorker
from .streams import Channel

SOURCES, STAGES, SINKS, CAPTURES, CLOSING = 0.25, 0.5, 0.7, 0.85, 5.0
"""Deadlines in seconds after the end was asked for: for a source's last frame, for the stages to finish it, for sinks
to write it, and for a source without a frame to return. A sink that is closing its file gets the last in addition."""

_POLL_SECONDS = 0.02


class Ending:
    """Notices that the run must end, and sets the time to wait for each part: short once the end was asked for.

    Only the thread that runs the pipeline calls it.

    Args:
        channels: the run's streams.
        stopping: set when the run must end.
        patience_seconds: time to wait for a source or sink as long as the end was not asked for.

    Attributes:
        impatient: True if the end was asked for twice. Then a sink that is closing its file gets no more time.
    """

    def __init__(
        self, channels: Sequence[Channel], stopping: threading.Event, patience_seconds: float
    ) -> None:
        self._channels, self._stopping, self._patience_seconds = channels, stopping, patience_seconds
        self._asked_at = 0.0
        self.impatient = False

    @property
    def asked(self) -> bool:
        """True if :meth:`notice` has seen that the run must end."""
        return bool(self._asked_at)

    def notice(self) -> bool:
        """Returns True if the end was asked for. The first time, it interrupts the sources."""
        if self._stopping.is_set() and not self._asked_at:
            self._asked_at = time.monotonic()
            for channel in self._channels:
                channel.source.interrupt()
                if channel.live:
                    channel.captured.cancel()
        return self.asked

    def is_over(self, seconds: float) -> bool:
        """Returns True if the end was asked for more than ``seconds`` ago."""
        return self.asked and time.monotonic() - self._asked_at > seconds

    def patience(self, once_asked: float) -> float:
        """Returns the seconds left to wait. Once the end was asked for, they end ``once_asked`` seconds after that."""
        if not self.asked:
            return self._patience_seconds
        return max(0.0, self._asked_at + once_asked - time.monotonic())

    def await_sinks(self, sinks: Mapping[SinkWorker, threading.Thread]) -> None:
        """Lets the sinks write what waits, and close. Gives up the sinks that do not answer."""
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

    def await_captures(self, captures: Mapping[Channel, threading.Thread]) -> list[Channel]:
        """Lets the sources return from their last read. Returns the streams whose sources do not."""
        for channel in captures:
            channel.source.interrupt()
        deadline = time.monotonic() + self.patience(CAPTURES)
        for thread in captures.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return [channel for channel, thread in captures.items() if thread.is_alive()]
