"""The queue between two threads of the pipeline: it is bounded, and can be closed at any time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A first-in, first-out queue of bounded size.

    Unlike :class:`queue.Queue`, either thread can close it while the other waits, so that no thread of a pipeline
    waits for ever. It can also prefer new items to old ones.

    Args:
        capacity: the largest number of items that wait, at least 1.
        newest_wins: True if a full mailbox drops its oldest item for a new one. Otherwise the writer waits.
        on_change: called after each change, in the thread that made it, for a reader that watches several mailboxes.
    """

    def __init__(
        self, capacity: int, newest_wins: bool = False, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._on_change = on_change
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = self._readers = 0

    @property
    def dropped(self) -> int:
        """The number of items that were dropped for newer ones."""
        with self._changed:
            return self._dropped

    @property
    def waiting(self) -> int:
        """The number of items inside."""
        with self._changed:
            return len(self._items)

    def put(self, item: T, timeout: float | None = None) -> bool:
        """Adds an item. Waits for room unless the newest wins.

        Args:
            item: the item to add.
            timeout: seconds to wait at most; None for no limit.

        Returns:
            True if the item was added; False if the mailbox is closed, or the time is up.
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
        self._on_change()
        return True

    def put_if_room(self, item: T) -> bool:
        """Adds an item only if there is room. Returns True if it was added."""
        with self._changed:
            if self._closed or len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            self._changed.notify_all()
        self._on_change()
        return True

    def get(self, timeout: float | None = None) -> T | None:
        """Takes the oldest item, and waits for one if there is none.

        Args:
            timeout: seconds to wait at most; None for no limit.

        Returns:
            The item; None if the mailbox is closed and empty, or the time is up.
        """
        with self._changed:
            if not self._items and not self._closed:
                self._readers += 1
                self._changed.notify_all()
                try:
                    self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout)
                finally:
                    self._readers -= 1
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
        self._on_change()
        return item

    def wait_until_wanted(self) -> bool:
        """Waits until a reader waits in :meth:`get` for an item. Returns False if the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: (self._readers > 0 and not self._items) or self._closed)
            return not self._closed

    @property
    def closed(self) -> bool:
        """True if the mailbox accepts no more items."""
        with self._changed:
            return self._closed

    @property
    def finished(self) -> bool:
        """True if the mailbox is closed and empty."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Accepts no more items. Readers can still take those inside."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._on_change()

    def cancel(self) -> None:
        """Accepts no more items, and discards those inside."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
        self._on_change()
