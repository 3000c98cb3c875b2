"""Takes in the wish to end, from Ctrl-C, SIGTERM or SIGHUP, in every state that a run can be in."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from ...core.errors import FlightError
from ...core.signals import ending_signals

T = TypeVar("T")

_POLL_SECONDS = 0.02
_TICK_SECONDS = 2.0
_SAME_WISH_SECONDS = 0.3


class Stopped(KeyboardInterrupt):
    """The end was asked for before the run had begun.

    Attributes:
        busy: whether something is still going on in a library, which only the end of the process ends.
    """

    def __init__(self, busy: bool) -> None:
        super().__init__()
        self.busy = busy


class OverdueError(FlightError):
    """Something has not come to its end in the time that it has, and is still going on in a library."""


class Stop:
    """The wish to end. The first Ctrl-C, SIGTERM or SIGHUP sets it, the next interrupts whatever goes on.

    What comes right after the first is the same wish: a key that is held, or a terminal and a wrapper that both tell.
    A terminal that closes may send more than one SIGHUP: these never interrupt.

    Attributes:
        event: set once the end is asked for.
    """

    def __init__(self) -> None:
        self.event = threading.Event()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Lets these signals ask for the end while the block runs; in the main thread, else nothing is changed."""
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
            elif number != signal.SIGHUP and now - first_at > _SAME_WISH_SECONDS:
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
        """Does what may take long inside a library, where Python answers no signal, and leaves it at the wish to end.

        Args:
            work: is called in a thread of its own.
            tick: is called every two seconds meanwhile.
            within_s: how many seconds it may take; any where None.
            overdue: what to say where it takes longer.

        Raises:
            Stopped: the end was asked for.
            OverdueError: it has taken longer than it may, and goes on.
            BaseException: whatever ``work`` raises.
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
        tick_at = began_at + _TICK_SECONDS
        while thread.is_alive() and not self.event.is_set():
            thread.join(_POLL_SECONDS)
            if time.monotonic() >= tick_at:
                tick_at += _TICK_SECONDS
                tick()
            if within_s is not None and time.monotonic() - began_at > within_s and thread.is_alive():
                raise OverdueError(overdue)
        if errors:
            raise errors[0]
        if self.event.is_set():
            raise Stopped(busy=thread.is_alive())
        return results[0]
