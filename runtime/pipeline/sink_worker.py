"""Keeps a sink to itself: its own queue, and its failures too."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import OutputError
from ..sinks.base import Output, Sink, StopRequested
from .mailbox import Mailbox
from .stage import Stage
from .trace import FrameKey

_BACKLOG = 4
_UNDER_WAY = 5
"""Batches in the pipeline at once: being prepared, inferred and decoded, and waiting between these."""


class SinkWorker:
    """Feeds one sink from a mailbox, and isolates the run from it.

    Args:
        sink: not yet written to; the worker closes it.
        newest_wins: drop the oldest outputs where the sink is too slow, instead of making the run wait.
        patience_seconds: how long the run waits for room before it gives the sink up.
        on_stop: called where the sink asks for the end of the run.
        on_failure: called with the sink's name and error, once.
        stage: measures it.
        on_change: called when the sink has taken an output, so that there is room again.
        batch: the most frames that are inferred at once.
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
    ) -> None:
        self.sink = sink
        self.stage = stage
        self.failure: Exception | None = None
        self.written = 0
        self.kept = False
        self._newest_wins = newest_wins
        self._room = _BACKLOG if newest_wins else max(2 * _BACKLOG, _UNDER_WAY * batch)
        self._mailbox: Mailbox[Output] = Mailbox(self._room, newest_wins, on_change)
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
        now = time.monotonic()
        if not waiting or self._full_since is None:
            self._full_since = now
        elif now - self._full_since > self._patience_seconds:
            self.give_up()
            return False
        return True

    def offer(self, output: Output) -> None:
        """Hands an output over; does nothing once the sink has failed. Called by the run."""
        if not self._mailbox.put(output, self._patience_seconds) and not self._mailbox.closed:
            self.give_up()

    def give_up(self) -> None:
        """Counts the sink as failed because it does not answer. Called by the run."""
        seconds = f"{self._patience_seconds:g} s"
        self._fail(OutputError(f"{self.sink.name} has not taken a frame for {seconds} and was given up"))

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
        while self.step(timeout=None):
            pass
        keep = self.failure is None and commit()
        try:
            self.sink.close(commit=keep)
            self.kept = keep
        except Exception as error:  # reported, so that the other outputs still end well
            self._fail(error)

    def step(self, timeout: float | None) -> bool:
        """Writes one output, if one comes in time; False once there will be none. Called by the sink's thread."""
        output = self._mailbox.get(timeout)
        if output is None:
            return not self._mailbox.finished
        start = time.monotonic()
        try:
            self.sink.write(output)
            self.written += 1
            self.stage.done(start, [FrameKey(output.source, output.result.frame_id)])
        except StopRequested:
            self._on_stop()
        except Exception as error:  # reported, so that inference and the other sinks go on
            self._fail(error)
        return not self._mailbox.finished

    def _fail(self, error: Exception) -> None:
        self._mailbox.cancel()
        if self.failure is None:
            self.failure = error
            self._on_failure(self.sink.name, error)
