"""Keeps a sink to itself: its own queue, and its failures too."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...core.errors import EdgesegError, OutputError, OutputGoneError
from ...core.labels import VOID
from ..clock import now
from ..forks import Owned, stays_with_this_process
from ..reasons import STALE
from ..sinks.base import Output, Sink, StopRequested
from ..status import SinkStatus, Status
from .mailbox import Mailbox
from .stage import Stage
from .trace import FrameKey

_BACKLOG = 4
_LOOK_SECONDS = 0.05
_NEWS_SECONDS = 1.0
_UNDER_WAY = 5
"""Batches in the pipeline at once: being prepared, inferred and decoded, and waiting between these."""


log = logging.getLogger(__name__)


class SinkWorker:
    """Feeds one sink from a mailbox, and isolates the run from it: one that raises too often or hangs gets no more.

    Args:
        sink: not yet written to; the worker closes it.
        newest_wins: drop the oldest outputs where the sink is too slow, instead of making the run wait.
        patience_seconds: how long the run waits for room before it gives the sink up.
        on_stop: called where the sink asks for the end of the run.
        on_failure: called with the sink's name and error, once.
        stage: measures it.
        on_change: called when the sink has taken an output, so that there is room again.
        batch: the most frames that are inferred at once.
        max_age_s: how old a valid result may be for a sink that is acted on; one that has grown older in the queue is
            given as ``stale``. None where results do not grow old.
    """

    def __init__(
        self,
        sink: Sink,
        newest_wins: bool,
        patience_seconds: float,
        on_stop: Callable[[], None],
        on_failure: Callable[[str, Exception], None],
        stage: Stage,
        on_change: Callable[[], None] = lambda: None,
        batch: int = 1,
        max_age_s: float | None = None,
    ) -> None:
        self.sink = sink
        stays_with_this_process(sink, Owned(sink.name, OutputError, refuses=("write", "announce")))
        self.stage = stage
        self.failure: Exception | None = None
        self.written = self.errors = 0
        self.closing = False
        self.kept_as = ""
        self._newest_wins = newest_wins
        self._max_age_s = max_age_s if sink.is_acted_on else None
        self._room = _BACKLOG if newest_wins else max(2 * _BACKLOG, _UNDER_WAY * batch)
        self._mailbox: Mailbox[Output] = Mailbox(self._room, newest_wins, on_change)
        # Announcements take no room from results: there is but one, the newest, and the sink's thread looks for it.
        self._announces = type(sink).announce is not Sink.announce
        self._announcement: tuple[Status, float] | None = None
        self._busy_since: float | None = None
        self._failures_in_a_row = 0
        self._last_error = ""
        self._full_since: float | None = None
        self._patience_seconds = patience_seconds
        self._on_stop = on_stop
        self._on_failure = on_failure

    @property
    def dropped(self) -> int:
        """How many outputs the sink was too slow for."""
        return self._mailbox.dropped

    @property
    def waiting(self) -> int:
        """How many outputs wait for the sink."""
        return self._mailbox.waiting

    def is_full(self, under_way: int) -> bool:
        """Whether the run must wait for the sink; if it has waited too long, gives the sink up.

        So no output is ever offered that has no place, and one slow sink holds its own source back and no other.

        Args:
            under_way: frames that are in the pipeline and will be offered.
        """
        waiting = self._mailbox.waiting
        if self._newest_wins or self._mailbox.closed or waiting + under_way < self._room:
            self._full_since = None
            return False
        looked_at = time.monotonic()
        if not waiting or self._full_since is None:
            self._full_since = looked_at
        elif looked_at - self._full_since > self._patience_seconds:
            self.give_up()
            return False
        return True

    def offer(self, output: Output) -> None:
        """Hands an output over; does nothing once the sink has failed. Called by the run."""
        if not self._mailbox.put(output, self._patience_seconds) and not self._mailbox.closed:
            self.give_up()

    def beat(self, output: Output | None, status: Status) -> None:
        """Tells the sink how the run is doing, where it has room and cares. Called by the run at a fixed rate.

        Args:
            output: that there is no new frame; None where there is one.
            status: of the run.
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
        """How the sink is doing."""
        disabled = self.failure is not None
        return SinkStatus(self.sink.name, self.written, self.dropped, self.errors, disabled, self._last_error)

    def give_up(self) -> None:
        """Counts the sink as failed because it does not answer. Called by the run."""
        seconds = f"{self._patience_seconds:g} s"
        self._disable(OutputError(f"{self.sink.name} has not taken a frame for {seconds} and was given up"))

    def end(self) -> None:
        """Lets the sink finish what is waiting. Called by the run."""
        self._mailbox.close()

    def cancel(self) -> None:
        """Throws away what is waiting. Called by the run."""
        self._mailbox.cancel()

    def run(self, commit: Callable[[], bool]) -> None:
        """Writes all outputs, then closes the sink. Called by the sink's thread.

        Args:
            commit: asked at the end: keep what was written?
        """
        while self.step(_LOOK_SECONDS if self._announces else None):
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
        """Writes one output, if one comes in time; False once there will be none. Called by the sink's thread."""
        output = self._mailbox.get(timeout)
        announced, self._announcement = self._announcement, None
        # What waited for long, while the sink was busy or the machine slept, says nothing of now; more is to come.
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
                self._on_stop()
            except Exception as error:  # reported, so that inference and the other sinks go on
                self._failed(error)
            self._busy_since = None
        return not self._mailbox.finished

    def _as_of_now(self, output: Output) -> Output:
        """What was valid as it was handed over may have waited for the sink since, or the machine slept."""
        result = output.result
        if self._max_age_s is None or not result.valid or now() - result.captured_at <= self._max_age_s:
            return output
        void = np.full(result.classes.shape, VOID, np.uint8)
        return Output(
            output.frame_bgr,
            replace(result, classes=void, valid=False, reason=STALE, margin=None),
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
            self._on_failure(self.sink.name, error)


def described(error: Exception) -> str:
    """An error for people: one that is not ours with its kind, without which its text may say nothing."""
    return str(error) if isinstance(error, EdgesegError) else f"{type(error).__name__}: {error}"
