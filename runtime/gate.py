"""A gate: lets one thread at a time use what can be closed at any moment."""

from __future__ import annotations

import threading
from types import MethodType, TracebackType
from typing import cast
from weakref import WeakMethod

from ..core.errors import EdgesegError


class Gate:
    """Lets one thread at a time inside, and closes what is inside once nobody is there any more.

    :meth:`shut` waits for nobody: where a thread is inside, that thread closes as it leaves. So closing neither pulls
    memory away from under a library that is using it, nor hangs with a library that never returns.

    Args:
        close: the owner's method that closes what is inside; called once. The owner is not kept alive.
    """

    def __init__(self, close: object) -> None:
        self._close = WeakMethod(cast(MethodType, close))
        self._lock: threading.Lock | _Barred = threading.Lock()
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

    def bar(self, error: EdgesegError) -> None:
        """Lets nobody in any more, and closes nothing: in a forked child, where what is inside is the parent's."""
        self._lock, self._done = _Barred(error), True

    def _finish(self) -> None:
        if not self._done and self._lock.acquire(blocking=False):
            try:
                close = self._close()
                done, self._done = self._done, True
                if not done and close is not None:
                    close()
            finally:
                self._lock.release()


class _Barred:
    """Stands where a gate's lock was."""

    def __init__(self, error: EdgesegError) -> None:
        self._error = error

    def acquire(self, blocking: bool = True) -> bool:
        raise self._error

    def release(self) -> None:
        return
