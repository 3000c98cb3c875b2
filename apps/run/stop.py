"""The request to end a run, by Ctrl-C, SIGTERM or SIGHUP, in every state of the run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from ...core.errors import SessionError
from ...core.signals import ending_signals

T = TypeVar("T")

_POLL_SECONDS = 0.02
_SAME_REQUEST_SECONDS = 0.3


class Stopped(KeyboardInterrupt):
    """The user asked for the end before the run had begun.

    Attributes:
        busy: True if a library is still at work, which only the end of the process can stop.
    """

    def __init__(self, busy: bool) -> None:
        super().__init__()
        self.busy = busy


class OverdueError(SessionError):
    """A task has exceeded its time limit, and a library is still at work on it."""


class Stop:
    """The request to end. The first Ctrl-C, SIGTERM or SIGHUP sets it; the next one interrupts the work.

    A signal right after the first belongs to the same request: a key is held, or a terminal and a wrapper both send
    one. A terminal that closes may send more than one SIGHUP, so SIGHUP never interrupts.

    Args:
        tick_seconds: time between two calls of a ``tick`` of :meth:`unless`.

    Attributes:
        event: set once the end is requested.
    """

    def __init__(self, tick_seconds: float = 2.0) -> None:
        self._tick_seconds = tick_seconds
        self.event = threading.Event()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Makes these signals request the end while the block runs. Outside the main thread it changes nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        first_at = 0.0

        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal first_at
            now = time.monotonic()
            if not self.event.is_set():
                first_at = now
                self.event.set()
            elif number != signal.SIGHUP and now - first_at > _SAME_REQUEST_SECONDS:
                signal.default_int_handler(number, frame)

        previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, *ending_signals())}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def unless(
        self,
        work: Callable[[], T],
        tick: Callable[[], None] = lambda: None,
        within_s: float | None = None,
        overdue: str = "",
    ) -> T:
        """Does long work inside a library, where Python handles no signal, and leaves it when the end is requested.

        Args:
            work: is called in a thread of its own.
            tick: is called at a fixed rate during the work.
            within_s: time limit in seconds; None for no limit.
            overdue: message of the error if the work takes longer.

        Raises:
            Stopped: the end was requested.
            OverdueError: the work has exceeded the limit, and goes on.
            BaseException: any error of ``work``.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                results.append(work())
            except BaseException as error:  # raised below, in the thread that waits
                errors.append(error)

        thread = threading.Thread(target=guarded, name="edgeseg opening", daemon=True)
        thread.start()
        began_at = time.monotonic()
        tick_at = began_at + self._tick_seconds
        while thread.is_alive() and not self.event.is_set():
            thread.join(_POLL_SECONDS)
            if time.monotonic() >= tick_at:
                tick_at += self._tick_seconds
                tick()
            if within_s is not None and time.monotonic() - began_at > within_s and thread.is_alive():
                raise OverdueError(overdue)
        if errors:
            raise errors[0]
        if self.event.is_set():
            raise Stopped(busy=thread.is_alive())
        return results[0]
