"""A gate: lets one thread at a time use what can be closed at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class Gate:
    """Lets one thread at a time inside, and closes what is inside once nobody is there any more.

    :meth:`shut` waits for nobody: where a thread is inside, that thread closes as it leaves. So closing neither pulls
    memory away from under a library that is using it, nor hangs with a library that never returns.

    Args:
        close: closes what is inside; called once.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._done = False
        self.is_shut = False

    def __enter__(self) -> None:
        # Whoever enters looks for himself whether it is shut: that is his error to word.
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        if self.is_shut:
            self._finish()

    def shut(self) -> None:
        """Closes now, or as soon as the thread that is inside leaves. Any thread may call it, and more than once."""
        self.is_shut = True
        self._finish()

    def _finish(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                done, self._done = self._done, True
                if not done:
                    self._close()
            finally:
                self._lock.release()
