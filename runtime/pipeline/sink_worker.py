"""The worker of one sink: gives it its own queue, and contains its failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from ...core.errors import EdgesegError, OutputError, OutputGoneError
from ..clock import now
from ..forks import Owned, stays_with_this_process
from ..reasons import STALE
from ..sinks.base import Output, Sink, StopRequested
from ..status import SinkStatus, Status
from .mailbox import Mailbox
from .options import Conditions
from .trace import FrameKey, Order, Stage

_BACKLOG = 4
_POLL_SECONDS = 0.05
_NEWS_SECONDS = 1.0
_UNDER_WAY = 5
"""Batches in the pipeline at once: in preparation, in inference, in decode, and two that wait in between."""


log = logging.getLogger(__name__)


class SinkWorker:
    """Writes outputs from a mailbox to one sink, and protects the run: a sink that raises too often or hangs is ended.

    For a live source, and for a sink that is not lossless, a sink that is too slow loses its oldest outputs; otherwise
    the run waits for it. A sink that is acted on gets a live result that grew too old in the queue as ``stale``.

    Args:
        sink: not yet written to; the worker closes it.
        live: True if its source is live.
        run: what the parts of the run share.

    Attributes:
        stage: measures the sink.
        failure: the error that ended the sink; None if there is none.
        written: number of outputs that it has written.
        errors: number of its failures.
        closing: True once it closes its output.
        kept_as: the name of what it left; empty before its end, or if nothing is left.
    """

    def __init__(self, sink: Sink, live: bool, run: Conditions) -> None:
        self.sink = sink
        stays_with_this_process(sink, Owned(sink.name, OutputError, refuses=("write", "announce")))
        self.stage = Stage(sink.name, Order.SINK, run.options.trace)
        self.failure: Exception | None = None
        self.written = self.errors = 0
        self.closing = False
        self.kept_as = ""
        self._run = run
        self._newest_wins = live or not sink.lossless
        self._max_age_s = run.limits.max_age_s if live and sink.is_acted_on else None
        self._room = _BACKLOG if self._newest_wins else max(2 * _BACKLOG, _UNDER_WAY * run.options.batch)
        self._mailbox: Mailbox[Output] = Mailbox(self._room, self._newest_wins, run.on_change)
        # Announcements use no room in the mailbox: only the newest is kept, and the sink's thread polls for it.
        self._announces = type(sink).announce is not Sink.announce
        self._announcement: tuple[Status, float] | None = None
        self._busy_since: float | None = None
        self._failures_in_a_row = 0
        self._last_error = ""
        self._full_since: float | None = None
        self._patience_seconds = run.options.patience_seconds

    @property
    def dropped(self) -> int:
        """The number of outputs dropped because the sink was too slow."""
        return self._mailbox.dropped

    @property
    def waiting(self) -> int:
        """The number of outputs that wait for the sink."""
        return self._mailbox.waiting

    def is_full(self, under_way: int) -> bool:
        """Returns True if the run must wait for the sink. Gives the sink up if the run has waited too long.

        So every output that is offered has room, and a slow sink delays only its own source.

        Args:
            under_way: the number of frames that are in the pipeline and will be offered.
        """
        waiting = self._mailbox.waiting
        if self._newest_wins or self._mailbox.closed or waiting + under_way < self._room:
            self._full_since = None
            return False
        checked_at = time.monotonic()
        if not waiting or self._full_since is None:
            self._full_since = checked_at
        elif checked_at - self._full_since > self._patience_seconds:
            self.give_up()
            return False
        return True

    def offer(self, output: Output) -> None:
        """Queues an output for the sink; does nothing once the sink has failed. Called by the run."""
        if not self._mailbox.put(output, self._patience_seconds) and not self._mailbox.closed:
            self.give_up()

    def beat(self, output: Output | None, status: Status) -> None:
        """Gives the sink a heartbeat, if it uses heartbeats and has room. Called by the run at a fixed rate.

        Args:
            output: the output for when there is no new frame; None if there is one.
            status: the run's status.
        """
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > self._patience_seconds:
            self.give_up()
        if output is not None and self.sink.beats:
            self._mailbox.put_if_room(output)
        if self._announces:
            self._announcement = status, now()

    @property
    def status(self) -> SinkStatus:
        """The sink's status."""
        disabled = self.failure is not None
        return SinkStatus(self.sink.name, self.written, self.dropped, self.errors, disabled, self._last_error)

    def give_up(self) -> None:
        """Marks the sink as failed because it does not answer. Called by the run."""
        seconds = f"{self._patience_seconds:g} s"
        self._disable(OutputError(f"{self.sink.name} has not taken a frame for {seconds} and was given up"))

    def end(self) -> None:
        """Lets the sink write the outputs that wait, and then ends it. Called by the run."""
        self._mailbox.close()

    def cancel(self) -> None:
        """Discards the outputs that wait. Called by the run."""
        self._mailbox.cancel()

    def run(self, commit: Callable[[], bool]) -> None:
        """Writes all outputs, then closes the sink. Called by the sink's thread.

        Args:
            commit: called at the end; returns True if the written output is to be kept.
        """
        while self.step(_POLL_SECONDS if self._announces else None):
            pass
        self.closing = True
        keep = self.failure is None and commit()
        try:
            self.sink.close(commit=keep)
            if keep and (self.written or (self.sink.beats and not self.sink.idle)):
                self.kept_as = self.sink.kept_as
        except Exception as error:  # reported, so that the other outputs still end well
            self._disable(error)

    def step(self, timeout: float | None) -> bool:
        """Writes one output if one comes in time. Called by the sink's thread.

        Returns:
            False once no more outputs will come.
        """
        output = self._mailbox.get(timeout)
        announced, self._announcement = self._announcement, None
        # An old announcement (the sink was busy, or the machine slept) says nothing about now; a newer one follows.
        announcement = (
            announced[0] if announced is not None and now() - announced[1] <= _NEWS_SECONDS else None
        )
        if output is not None or announcement is not None:
            self._busy_since, start = time.monotonic(), now()
            try:
                if announcement is not None and self.failure is None:
                    self.sink.announce(announcement)
                if output is not None:
                    idle = self.sink.idle
                    if output.hole is not None and self.sink.beats:
                        self.sink.write(output.hole)
                    self.sink.write(self._as_of_now(output))
                    self.written += not (output.beat or idle)
                    self.stage.done(start, [FrameKey(output.source, output.result.frame_id)])
                self._failures_in_a_row = 0
            except StopRequested:
                self._run.stopping.set()
            except Exception as error:  # reported, so that inference and the other sinks go on
                self._failed(error)
            self._busy_since = None
        return not self._mailbox.finished

    def _as_of_now(self, output: Output) -> Output:
        """Returns the output, made ``stale`` if it became too old in the queue or while the machine slept."""
        result = output.result
        if self._max_age_s is None or not result.valid or now() - result.captured_at <= self._max_age_s:
            return output
        return Output(
            output.frame_bgr,
            result.invalidated(STALE),
            output.name,
            lambda: output.frame_bgr,
            output.source,
            np.zeros(output.shares.shape),
            finished_at=output.finished_at,
            time_s=output.time_s,
        )

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self._failures_in_a_row += 1
        self._last_error = described(error)
        if isinstance(error, OutputGoneError) or self._failures_in_a_row >= self.sink.most_failures:
            self._disable(error)
            return
        log.warning(
            "%s failed: %s", self.sink.name, self._last_error,
            extra={"event": "sink-failed", "fields": {"sink": self.sink.name, "errors": self.errors}},
        )  # fmt: skip
        if not isinstance(error, EdgesegError):
            log.debug("%s failed there", self.sink.name, exc_info=error)

    def _disable(self, error: Exception) -> None:
        self._mailbox.cancel()
        if self.failure is None:
            self.failure = error
            self._last_error = described(error)
            again = self._failures_in_a_row > 1 and not self.closing
            suffix = "; it gets no more" if again else ""
            log.error(
                "%s failed: %s%s", self.sink.name, self._last_error, suffix,
                exc_info=error if not isinstance(error, EdgesegError) and log.isEnabledFor(logging.DEBUG) else None,
                extra={"event": "disabled", "fields": {"name": self.sink.name}},
            )  # fmt: skip
            self._run.options.on_failure(self.sink.name, error)


def described(error: Exception) -> str:
    """Returns an error as text. An error of another library includes its type: its message alone may be unclear."""
    return str(error) if isinstance(error, EdgesegError) else f"{type(error).__name__}: {error}"
