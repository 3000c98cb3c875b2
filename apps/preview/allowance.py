"""An amount that may be spent, and comes back with time."""

from __future__ import annotations

import time


class Allowance:
    """Bounds what somebody costs in the long run, and lets them have some of it at once.

    Args:
        a_second: what comes back in a second.
        most: what there is at the start, and never more.
    """

    def __init__(self, a_second: float, most: float) -> None:
        self._a_second = a_second
        self._most = most
        self._left = most
        self._at = time.monotonic()

    def spend(self, amount: float) -> bool:
        """Takes an amount; False, and takes nothing, where there is less."""
        self._come_back()
        if amount > self._left:
            return False
        self._left -= amount
        return True

    @property
    def full(self) -> bool:
        """True once all of it has come back."""
        self._come_back()
        return self._left >= self._most

    def _come_back(self) -> None:
        at = time.monotonic()
        self._left = min(self._most, self._left + (at - self._at) * self._a_second)
        self._at = at
