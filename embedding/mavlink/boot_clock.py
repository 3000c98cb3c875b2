"""When the autopilot measured something, by our clock, from the ``time_boot_ms`` of its messages.

Messages wait in queues, and arrive late and in bursts. So their own time counts: moved by the offset from TIMESYNC, or
else by the smallest difference to their arrival that was seen lately, which is the transport's shortest time too late.
"""

from __future__ import annotations

_BACK_SECONDS = 1.0
_BACK_MESSAGES = 20
_SLOT_SECONDS = 5.0
_SETTLE_SECONDS = 1.0
_DISAGREE_SECONDS = 0.5


class BootClock:
    """Maps the autopilot's time since its start to ``edgeseg.now()``, and notices when it starts anew.

    Attributes:
        restarts: number of times that its clock went back.
        by: what the mapping comes from: ``timesync``, ``arrival``, or empty as long as neither is known.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self._begin()

    def _begin(self) -> None:
        self.by = ""
        self._newest_s = -1.0
        self._newest_at = 0.0
        self._back = 0
        self._first_at: float | None = None
        self._slot_at = 0.0
        self._least: float | None = None
        self._least_before: float | None = None

    def moment(self, boot_s: float, arrived_at: float, offset_s: float | None) -> float | None:
        """Returns when a message's content was measured, ``edgeseg.now()`` in seconds.

        Args:
            boot_s: the message's time since the autopilot's start, in seconds.
            arrived_at: ``edgeseg.now()`` in seconds.
            offset_s: of TIMESYNC; None if it is not known.

        Returns:
            None if the message is more than a second late, or the mapping is not known yet. After a restart
            :attr:`restarts` has grown.
        """
        if not self._follows(boot_s, arrived_at):
            return None
        arrival = self._by_arrival(boot_s, arrived_at)
        if offset_s is not None and abs(boot_s - offset_s - arrival) < _DISAGREE_SECONDS:
            self.by = "timesync"
            return min(boot_s - offset_s, arrived_at)
        # A TIMESYNC that disagrees is about another clock than that of the messages.
        assert self._first_at is not None
        if arrived_at - self._first_at < _SETTLE_SECONDS:
            return None  # the first messages may be late ones
        self.by = "arrival"
        return min(arrival, arrived_at)

    def _follows(self, boot_s: float, arrived_at: float) -> bool:
        """True if a message belongs to the present run of the autopilot and is not much too late."""
        if boot_s >= self._newest_s - _BACK_SECONDS:
            if boot_s > self._newest_s:
                self._newest_s, self._newest_at = boot_s, arrived_at
            self._back = 0
            return True
        self._back += 1
        # A clock that began after the last message was heard cannot be further than the time since then.
        began_since = boot_s <= arrived_at - self._newest_at + _BACK_SECONDS
        if not began_since and self._back < _BACK_MESSAGES:
            return False
        self._begin()
        self.restarts += 1
        self._newest_s, self._newest_at = boot_s, arrived_at
        return True

    def _by_arrival(self, boot_s: float, arrived_at: float) -> float:
        """Returns the moment by the smallest delay of the last five to ten seconds."""
        if self._first_at is None:
            self._first_at = self._slot_at = arrived_at
        if arrived_at - self._slot_at >= _SLOT_SECONDS:
            self._slot_at, self._least_before, self._least = arrived_at, self._least, None
        difference = arrived_at - boot_s
        self._least = difference if self._least is None else min(self._least, difference)
        before = self._least if self._least_before is None else self._least_before
        return boot_s + min(self._least, before)
