"""How old the pictures of a byte stream are, by how their bytes arrive.

A picture's arrival is its capture only where nothing waited on its way. Whether it did can be seen: a camera pauses
between its pictures, a link that is full pauses anywhere, and what was held back comes faster than a camera takes
pictures. A moment at which the stream had run dry between two pictures is proof that nothing was on its way.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_WINDOW = 8
"""Pictures whose pauses are looked at: enough that a few that happen to fall between pictures prove nothing."""

_SHARE = 0.6
"""Of the pauses, each by its square, so much must lie between pictures. A link of which three quarters are used by
evenly spread bytes is just below."""

_LEAST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE = 1.5
"""In intervals between pictures; a longer pause counts as one of this length, so that a single one is no verdict."""

_SILENCE, _SILENCE_SECONDS = 2.5, 0.05
"""A pause of more intervals than this, and so many seconds, may be the network's and not the camera's."""

_OWN_RATE = 0.7
"""Pictures that come after less than this share of the usual interval may be catching up."""

_INTERVALS = 32


_LEAST_SPANS = 8
_JUDGED_EVERY = 4


class _Span(NamedTuple):
    """From one known beginning to another: seconds, pictures, and the bytes of those before and up to the latter."""

    seconds: float
    pictures: int
    before: int
    after: int


class Load:
    """Finds out whether a link sets the pace: then a large picture is followed late, and a small one soon.

    Attributes:
        full: whether all that arrives comes as fast as the link carries it.
        slack: whether it certainly does not.
    """

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque(maxlen=16)
        self._began_at: float | None = None
        self._size = self._count = self._before = self._after = 0
        self.full = self.slack = False
        self._since_judged = 0

    def add(self, at: float | None, size: int) -> None:
        """Takes in a picture or packet.

        Args:
            at: seconds of a steady clock when it began to arrive; None where that is not known.
            size: in bytes.
        """
        self._count += 1
        # Either it begins to arrive once all before it was sent, or comes at once when all of it was.
        self._before, self._after, self._size = self._before + self._size, self._after + size, size
        if at is None:
            return
        if self._began_at is not None:
            self._spans.append(_Span(at - self._began_at, self._count, self._before, self._after))
        self._began_at, self._count, self._before, self._after = at, 0, 0, 0
        self._since_judged += 1
        if len(self._spans) >= _LEAST_SPANS and self._since_judged >= _JUDGED_EVERY:
            self._since_judged = 0
            judged = [self._judged([span.before for span in self._spans])]
            judged.append(self._judged([span.after for span in self._spans]))
            self.full = any(off < 0.25 * spread for off, spread in judged)
            self.slack = all(off > 0.5 * spread > 0 for off, spread in judged) and not self.full

    def _judged(self, sizes: list[int]) -> tuple[float, float]:
        """How far times are from what they would be, did the link set the pace, and how far those are from even."""
        took = [span.seconds for span in self._spans]
        counts = [span.pictures for span in self._spans]
        pace, mean = sum(took) / max(1, sum(sizes)), sum(took) / sum(counts)
        off = spread = 0.0
        for seconds, count, size in zip(took, counts, sizes, strict=True):
            off += (seconds - pace * size) ** 2
            spread += (pace * size - mean * count) ** 2
        # Sizes that hardly vary tell nothing.
        return off, spread if spread > len(took) * (0.01 * mean) ** 2 else 0.0


class Arrivals:
    """Says of each picture since when it may have been on its way: the latest moment that can be proven.

    A reader tells it of each look at the stream, in order. All times are in seconds of one steady clock.

    Args:
        at: when the stream was opened.

    Attributes:
        captured_at: the last picture was not captured before; None while nothing is proven.
        proven: whether nothing had waited on its way when the last picture came.
        slack: whether the link has room, so that what arrives more and more slowly was sent more slowly.
    """

    def __init__(self, at: float) -> None:
        self.captured_at: float | None = None
        self.proven = self.slack = False
        self._seen_at = self._heard_at = at
        self._dry_at: float | None = None
        self._between = True
        self._before = self._inside = self._silence = 0.0
        self._silent_since = at
        self._pauses: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._begun: deque[float] = deque(maxlen=_INTERVALS + 1)
        self._load = Load()
        self._owed, self._own_interval = 0.0, 1.0
        self._vague_at: float | None = None

    def dry(self, at: float, between: bool) -> None:
        """Nothing is there.

        Args:
            at: now.
            between: whether no byte of the next picture has come yet.
        """
        if self._dry_at is None:
            self._dry_at, self._between = at, between
        self._seen_at = at

    def data(self, at: float, waited: bool) -> float:
        """Bytes have come.

        Args:
            at: now.
            waited: whether the reader waited for them; else they may have been there since it last looked.

        Returns:
            When they came, at the earliest.
        """
        came_at = at if waited else self._seen_at
        if at - came_at > _LEAST_PAUSE_SECONDS:
            self._vague_at = came_at
        if self._dry_at is not None:
            # What was not seen, while the reader was busy, says nothing.
            pause = came_at - self._dry_at
            if self._between:
                self._before += pause
                self._silence, self._silent_since = at - self._heard_at, self._heard_at
            else:
                self._inside += pause**2
        self._dry_at, self._seen_at, self._heard_at = None, at, at
        return came_at

    def part(self, at: float, size: int) -> None:
        """A picture is whole.

        Args:
            at: when its first byte came.
            size: in bytes.
        """
        usual = self._usual_interval()
        since = at - self._begun[-1] if self._begun else 0.0
        silence, self._silence = self._silence, 0.0
        waited = self._note_pauses(usual)
        if self.captured_at is None and self._begun:
            # What was gathered before the start says nothing of the camera's pace.
            self._begun = deque([self._begun[-1]], _INTERVALS + 1)
        self._begun.append(at)
        self._load.add(None if at == self._vague_at else at, size)
        between, inside = (sum(pauses) for pauses in zip(*self._pauses, strict=True))
        free = between >= _SHARE * (between + inside) and between > 0 and not self._load.full
        self.slack = free
        self.proven = False
        if usual is not None and silence > _SILENCE * usual + _SILENCE_SECONDS:
            # The camera's pause, or the network's: then this picture, and as many as fit into it, were held back.
            if free and self.captured_at is not None:
                self.captured_at = max(self.captured_at, self._silent_since)
            self._owed, self._own_interval = silence / usual - 1, usual
            return
        self._owed = max(0.0, self._owed + since / self._own_interval - 1)
        if (
            waited
            and free
            and len(self._begun) > 1
            and (self._owed <= 0 or since >= _OWN_RATE * self._own_interval)
        ):
            self._owed = 0.0
            self._accept(at)

    def accept_first(self) -> bool:
        """Believes the first picture, because nothing came for long after it: nothing had been gathered before.

        Returns:
            Whether there is one.
        """
        if self.captured_at is None and self._begun:
            self._accept(self._begun[-1])
        return self.captured_at is not None

    def _accept(self, at: float) -> None:
        self.proven, self.captured_at = True, at

    def _note_pauses(self, usual: float | None) -> bool:
        """Takes in the pauses before and inside a picture; whether there was one before."""
        before, inside = self._before, self._inside
        self._before = self._inside = 0.0
        if usual is not None:
            most = _LONGEST_PAUSE * usual
            self._pauses.append((min(before, most) ** 2, min(inside, most**2)))
        else:
            self._pauses.append((before**2, inside))
        return before >= _LEAST_PAUSE_SECONDS

    def _usual_interval(self) -> float | None:
        """Seconds from one picture to the next, on average: what was held back comes all the same."""
        if len(self._begun) < 2 or self._begun[-1] <= self._begun[0]:
            return None
        return (self._begun[-1] - self._begun[0]) / (len(self._begun) - 1)
