"""The age of a byte stream's images, from the arrival of their bytes.

An image's arrival is its capture only if nothing waited on its way. The bytes show this. A camera pauses between its
images, a full link pauses anywhere, and delayed images come faster than a camera captures them. A moment at which the
stream is empty between two images proves that nothing is on its way.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_WINDOW = 8
"""The number of images whose pauses count: enough that a few pauses between images by chance prove nothing."""

_SHARE = 0.6
"""The share of the squared pauses that must be between images. A link that is three quarters full with evenly spread
bytes is just below it."""

_LEAST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE = 1.5
"""In intervals between images; a longer pause counts as one of this length, so that a single pause does not decide."""

_SILENCE, _SILENCE_SECONDS = 2.5, 0.05
"""A pause of more than this many intervals plus this many seconds may be the network's and not the camera's."""

_OWN_RATE = 0.7
"""An image that comes after less than this share of the usual interval may be a delayed one."""

_INTERVALS = 32


_LEAST_SPANS = 8
_JUDGED_EVERY = 4


class _Span(NamedTuple):
    """The span between two known beginnings: seconds, images, and the bytes before and up to the second beginning."""

    seconds: float
    images: int
    before: int
    after: int


class Load:
    """Detects if a link sets the pace: then the next image comes late after a large image, and soon after a small one.

    Attributes:
        full: True if all data arrives as fast as the link carries it.
        slack: True if it certainly comes more slowly than that.
    """

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque(maxlen=16)
        self._began_at: float | None = None
        self._size = self._count = self._before = self._after = 0
        self.full = self.slack = False
        self._since_judged = 0

    def add(self, at: float | None, size: int) -> None:
        """Adds an image or packet.

        Args:
            at: seconds of a steady clock when it began to arrive; None if that is not known.
            size: in bytes.
        """
        self._count += 1
        # It arrives either as soon as all before it is sent, or at once when all of it is sent.
        self._before, self._after, self._size = self._before + self._size, self._after + size, size
        if at is None:
            return
        if self._began_at is not None:
            self._spans.append(_Span(at - self._began_at, self._count, self._before, self._after))
        self._began_at, self._count, self._before, self._after = at, 0, 0, 0
        self._since_judged += 1
        if len(self._spans) >= _LEAST_SPANS and self._since_judged >= _JUDGED_EVERY:
            self._since_judged = 0
            judged = [self._deviations([span.before for span in self._spans])]
            judged.append(self._deviations([span.after for span in self._spans]))
            self.full = any(off < 0.25 * spread for off, spread in judged)
            self.slack = all(off > 0.5 * spread > 0 for off, spread in judged) and not self.full

    def _deviations(self, sizes: list[int]) -> tuple[float, float]:
        """Returns squared differences: of the times from those at the link's pace, and of these from even times."""
        took = [span.seconds for span in self._spans]
        counts = [span.images for span in self._spans]
        pace, mean = sum(took) / max(1, sum(sizes)), sum(took) / sum(counts)
        off = spread = 0.0
        for seconds, count, size in zip(took, counts, sizes, strict=True):
            off += (seconds - pace * size) ** 2
            spread += (pace * size - mean * count) ** 2
        # Nothing follows from sizes that hardly vary.
        return off, spread if spread > len(took) * (0.01 * mean) ** 2 else 0.0


class Arrivals:
    """Finds the latest moment of which it is proven that an image was not captured before.

    The reader reports each of its reads of the stream, in order. All times are in seconds of one steady clock.

    Args:
        at: when the stream was opened.

    Attributes:
        captured_at: the last image was not captured before this time; None while nothing is proven.
        proven: True if nothing had waited on its way when the last image came.
        slack: True if the link has room, so that data that arrives more and more slowly was sent more slowly.
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
        self._delayed, self._own_interval = 0.0, 1.0
        self._uncertain_at: float | None = None

    def dry(self, at: float, between: bool) -> None:
        """Reports that no bytes are there.

        Args:
            at: now.
            between: True if no byte of the next image has come yet.
        """
        if self._dry_at is None:
            self._dry_at, self._between = at, between
        self._seen_at = at

    def data(self, at: float, waited: bool) -> float:
        """Reports that bytes have come.

        Args:
            at: now.
            waited: True if the reader waited for them; else they may have been there since its last read.

        Returns:
            The earliest time at which they can have come.
        """
        came_at = at if waited else self._seen_at
        if at - came_at > _LEAST_PAUSE_SECONDS:
            self._uncertain_at = came_at
        if self._dry_at is not None:
            # Nothing follows from a time when the reader was busy.
            pause = came_at - self._dry_at
            if self._between:
                self._before += pause
                self._silence, self._silent_since = at - self._heard_at, self._heard_at
            else:
                self._inside += pause**2
        self._dry_at, self._seen_at, self._heard_at = None, at, at
        return came_at

    def part(self, at: float, size: int) -> None:
        """Reports that an image is whole.

        Args:
            at: the time when its first byte came.
            size: in bytes.
        """
        usual = self._usual_interval()
        since = at - self._begun[-1] if self._begun else 0.0
        silence, self._silence = self._silence, 0.0
        waited = self._note_pauses(usual)
        if self.captured_at is None and self._begun:
            # Images that waited before the start do not show the camera's pace.
            self._begun = deque([self._begun[-1]], _INTERVALS + 1)
        self._begun.append(at)
        self._load.add(None if at == self._uncertain_at else at, size)
        between, inside = (sum(pauses) for pauses in zip(*self._pauses, strict=True))
        free = between >= _SHARE * (between + inside) and between > 0 and not self._load.full
        self.slack = free
        self.proven = False
        if usual is not None and silence > _SILENCE * usual + _SILENCE_SECONDS:
            # If the pause was the network's, this image, and as many as fit into the pause, were delayed.
            if free and self.captured_at is not None:
                self.captured_at = max(self.captured_at, self._silent_since)
            self._delayed, self._own_interval = silence / usual - 1, usual
            return
        self._delayed = max(0.0, self._delayed + since / self._own_interval - 1)
        if (
            waited
            and free
            and len(self._begun) > 1
            and (self._delayed <= 0 or since >= _OWN_RATE * self._own_interval)
        ):
            self._delayed = 0.0
            self._accept(at)

    def accept_first(self) -> bool:
        """Accepts the first image as new: nothing came for long after it, so no others were waiting.

        Returns:
            True if there is a first image.
        """
        if self.captured_at is None and self._begun:
            self._accept(self._begun[-1])
        return self.captured_at is not None

    def _accept(self, at: float) -> None:
        self.proven, self.captured_at = True, at

    def _note_pauses(self, usual: float | None) -> bool:
        """Adds the pauses before and inside an image; returns True if there was one before it."""
        before, inside = self._before, self._inside
        self._before = self._inside = 0.0
        if usual is not None:
            most = _LONGEST_PAUSE * usual
            self._pauses.append((min(before, most) ** 2, min(inside, most**2)))
        else:
            self._pauses.append((before**2, inside))
        return before >= _LEAST_PAUSE_SECONDS

    def _usual_interval(self) -> float | None:
        """Returns the mean seconds from one image to the next, which delays do not change."""
        if len(self._begun) < 2 or self._begun[-1] <= self._begun[0]:
            return None
        return (self._begun[-1] - self._begun[0]) / (len(self._begun) - 1)
