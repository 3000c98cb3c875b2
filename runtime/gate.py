"""A gate: lets one thread at a time use a resource that can be closed at any moment."""

from __future__ import annotations

import threading
from types import MethodType, TracebackType
from typing import cast
from weakref import WeakMethod

from ..core.errors import EdgesegError


class Gate:
    """Lets one thread at a time use a resource, and closes it when no thread uses it any more.

    :meth:`shut` does not wait: a thread that is inside closes the resource when it leaves. So memory is never freed
    while a library uses it, and closing does not hang if a library never returns.

    Args:
        close: the owner's method that closes the resource; called once. The owner is not kept alive.
    """

    def __init__(self, close: object) -> None:
        self._close = WeakMethod(cast(MethodType, close))
        self._lock: threading.Lock | _Barred = threading.Lock()
        self._done = False
        self.is_shut = False

    def __enter__(self) -> None:
        # The caller checks `is_shut` itself, because it knows the error to raise.
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        if self.is_shut:
            self._finish()

    def shut(self) -> None:
        """Closes now, or when the thread that is inside leaves. Any thread may call it, also more than once."""
        self.is_shut = True
        self._finish()

    def bar(self, error: EdgesegError) -> None:
        """Lets no thread in any more, and closes nothing. For a forked child, whose parent owns the resource."""
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
    """Replaces a gate's lock after :meth:`Gate.bar`."""

    def __init__(self, error: EdgesegError) -> None:
        self._error = error

    def acquire(self, blocking: bool = True) -> bool:
        raise self._error

    def release(self) -> None:
        return
