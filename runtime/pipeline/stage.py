"""What one thread of the pipeline does, measured: how long it was busy, and its row of the trace."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from ..clock import now
from .trace import FrameKey, Trace


class Order(IntEnum):
    """The kinds of stages, on a frame's way."""

    CAPTURE = 1
    PREPROCESS = 2
    INFERENCE = 3
    DECODE = 4
    SINK = 5


class Stage:
    """One thread's work on frames. That thread alone calls it; any may read what it measured.

    Args:
        name: for people: ``inference``, or a sink's name.
        order: of its kind, on a frame's way.
        trace: to add to, where there is one.
    """

    def __init__(self, name: str, order: Order, trace: Trace | None = None) -> None:
        self.name = name
        self._busy_seconds = self._before_mark = 0.0
        self._track = trace.track(name, order) if trace is not None else None

    @property
    def busy_seconds(self) -> float:
        """How long it has worked since :meth:`mark`, waiting not counted."""
        return self._busy_seconds - self._before_mark

    def mark(self) -> None:
        """Begins to count now. Any thread may call it."""
        self._before_mark = self._busy_seconds

    def done(self, start: float, frames: Sequence[FrameKey], step: str = "", verb: str = "") -> float:
        """Notes that frames have been worked on since ``start``.

        Args:
            start: ``edgeseg.now()`` in seconds.
            frames: which.
            step: of their arrows, as :meth:`.trace.Track.arrow` has it; none where empty.
            verb: the slice's name; the stage's where empty.

        Returns:
            Now.
        """
        end = now()
        self._busy_seconds += end - start
        if self._track is not None:
            self._track.slice(verb or self.name, start, end, frames)
            if step:
                for key in frames:
                    self._track.arrow(step, (start + end) / 2, key)
        return end

    def start_arrow(self, start: float, end: float, key: FrameKey) -> None:
        """Lets a frame's arrow begin in a slice that is there already; any thread may call it."""
        if self._track is not None:
            self._track.arrow("s", (start + end) / 2, key)
