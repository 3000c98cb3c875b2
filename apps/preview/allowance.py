"""An amount that may be spent, and is restored over time."""

from __future__ import annotations

import time


class Allowance:
    """A limit on the cost of a client over time, with a reserve for short bursts.

    Args:
        a_second: the amount that is restored each second.
        most: the amount at the start, and its upper limit.
    """

    def __init__(self, a_second: float, most: float) -> None:
        self._a_second = a_second
        self._most = most
        self._left = most
        self._at = time.monotonic()

    def spend(self, amount: float) -> bool:
        """Spends an amount. Returns False, and spends nothing, if less is left."""
        self._restore()
        if amount > self._left:
            return False
        self._left -= amount
        return True

    @property
    def full(self) -> bool:
        """True once the whole amount is restored."""
        self._restore()
        return self._left >= self._most

    def _restore(self) -> None:
        at = time.monotonic()
        self._left = min(self._most, self._left + (at - self._at) * self._a_second)
        self._at = at
