"""The hand-over between two threads of the pipeline: a bounded queue that can always be shut."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A first-in, first-out queue of bounded size.

    Unlike :class:`queue.Queue` it can be closed from either end while the other waits, so that no thread of a
    pipeline is left hanging, and it can prefer new items to old ones.

    Args:
        capacity: the most items that wait, at least 1.
        newest_wins: a full mailbox drops its oldest item for a new one, instead of making the writer wait.
    """

    def __init__(self, capacity: int, newest_wins: bool = False) -> None:
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items gave way to newer ones."""
        with self._changed:
            return self._dropped

    def put(self, item: T, timeout: float | None = None) -> bool:
        """Adds an item, waiting for room unless the newest wins.

        Args:
            item: what to add.
            timeout: seconds to wait at most; for ever where None.

        Returns:
            Whether it was added. Not where the mailbox is closed, or the time is up.
        """
        with self._changed:
            if self._newest_wins:
                while len(self._items) >= self._capacity:
                    self._items.popleft()
                    self._dropped += 1
            self._changed.wait_for(lambda: len(self._items) < self._capacity or self._closed, timeout)
            if self._closed or len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> T | None:
        """Takes the oldest item, waiting for one.

        Args:
            timeout: seconds to wait at most; for ever where None.

        Returns:
            The item; None where the mailbox is closed and empty, or the time is up.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    @property
    def closed(self) -> bool:
        """Whether the mailbox takes no more items."""
        with self._changed:
            return self._closed

    @property
    def finished(self) -> bool:
        """Whether the mailbox is closed and empty."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Takes no more items; those inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Takes no more items and throws away those inside."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
