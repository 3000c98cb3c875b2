"""A budget of restarts: when it is spent, something counts as broken."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class RestartBudget:
    """Allows a number of restarts within a time window, by the monotonic clock.

    Something that needs more restarts is not repaired by another one: a run that goes on trying only hides the
    problem. Any thread may call :meth:`spend`.

    Example:
        >>> budget = RestartBudget(most=1, within_seconds=60)
        >>> budget.spend(), budget.spend()
        (True, False)

    Args:
        most: the largest number of restarts within the window; 0 allows none.
        within_seconds: length of the window, which moves with time.
        clock: gives seconds; for tests.

    Raises:
        ValueError: ``most`` is negative, or ``within_seconds`` not above 0.
    """

    def __init__(self, most: int, within_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        if most < 0 or not within_seconds > 0:
            raise ValueError(
                f"expected 0 restarts or more within more than 0 s; got {most}, {within_seconds}"
            )
        self.most = most
        self.within_seconds = within_seconds
        self._clock = clock
        self._spent: deque[float] = deque()
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Uses one restart. Returns False, and uses none, if none is left."""
        with self._lock:
            now = self._clock()
            while self._spent and now - self._spent[0] >= self.within_seconds:
                self._spent.popleft()
            if len(self._spent) >= self.most:
                return False
            self._spent.append(now)
            return True
