"""The offset between the autopilot's clock and ours, by TIMESYNC."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

_EXCHANGES = 32
_OUTSTANDING = 8
_LONGEST_NS = 1_000_000_000
_SLACK_NS = 10_000_000


@dataclass(frozen=True)
class _Exchange:
    """A question and its answer: the autopilot's clock lies between these offsets from ours, in nanoseconds."""

    sent_ns: int
    received_ns: int
    theirs_ns: int

    @property
    def round_trip_ns(self) -> int:
        return self.received_ns - self.sent_ns

    @property
    def offset_ns(self) -> int:
        return self.theirs_ns - (self.sent_ns + self.received_ns) // 2

    def disagrees_with(self, other: _Exchange) -> bool:
        """True if no one offset can explain both."""
        apart = abs(self.offset_ns - other.offset_ns)
        return apart > (self.round_trip_ns + other.round_trip_ns) // 2 + _SLACK_NS


class TimeSync:
    """Asks for the autopilot's time, and takes the offset of the exchange with the smallest round trip.

    Attributes:
        asked: number of questions since the last answer.
        refused: number of answers that were not to a question of ours, or took too long.
    """

    def __init__(self) -> None:
        self._outstanding: OrderedDict[int, None] = OrderedDict()
        self._exchanges: deque[_Exchange] = deque(maxlen=_EXCHANGES)
        self.asked = 0
        self.refused = 0

    def ask(self, now_ns: int) -> dict[str, int]:
        """Returns the fields of a question.

        Args:
            now_ns: ``edgeseg.now()`` in nanoseconds.
        """
        self._outstanding[now_ns] = None
        if len(self._outstanding) > _OUTSTANDING:
            self._outstanding.popitem(last=False)
        self.asked += 1
        return {"tc1": 0, "ts1": now_ns}

    @staticmethod
    def answer(ts1: int, now_ns: int) -> dict[str, int]:
        """Returns the fields of the answer to the autopilot's question ``ts1``."""
        return {"tc1": now_ns, "ts1": ts1}

    def take(self, tc1: int, ts1: int, now_ns: int) -> None:
        """Takes an answer. Autopilots send answers to everybody, so one to another's question is not counted."""
        if ts1 not in self._outstanding:
            self.refused += 1
            return
        del self._outstanding[ts1]
        if not 0 < now_ns - ts1 < _LONGEST_NS or tc1 <= 0:
            self.refused += 1
            return
        exchange = _Exchange(ts1, now_ns, tc1)
        if self._exchanges and exchange.disagrees_with(self._best):
            self._exchanges.clear()  # the autopilot's clock was set anew
        self._exchanges.append(exchange)
        self.asked = 0

    @property
    def _best(self) -> _Exchange:
        return min(self._exchanges, key=lambda exchange: exchange.round_trip_ns)

    @property
    def offset_s(self) -> float | None:
        """The autopilot's clock minus ``edgeseg.now()``, in seconds; None if it has never answered."""
        return self._best.offset_ns * 1e-9 if self._exchanges else None

    @property
    def answers(self) -> int:
        """Number of exchanges that the offset is taken from."""
        return len(self._exchanges)

    def clear(self) -> None:
        """Forgets all, as after a restart of the autopilot."""
        self._outstanding.clear()
        self._exchanges.clear()
        self.asked = 0
