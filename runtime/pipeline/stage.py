"""The measurement of one thread of the pipeline: its busy time, and its row of the trace."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from ..clock import now
from .trace import FrameKey, Trace


class Order(IntEnum):
    """The kinds of stages, in the order that a frame passes them."""

    CAPTURE = 1
    PREPROCESS = 2
    INFERENCE = 3
    DECODE = 4
    SINK = 5


class Stage:
    """Measures one thread's work on frames. Only that thread calls it; any thread may read the results.

    Args:
        name: the name to show: ``inference``, or a sink's name.
        order: the stage's kind, and its place on a frame's way.
        trace: the trace to add to, if there is one.
    """

    def __init__(self, name: str, order: Order, trace: Trace | None = None) -> None:
        self.name = name
        self._busy_seconds = self._before_mark = 0.0
        self._track = trace.track(name, order) if trace is not None else None

    @property
    def busy_seconds(self) -> float:
        """Seconds of work since :meth:`mark`, without waiting."""
        return self._busy_seconds - self._before_mark

    def mark(self) -> None:
        """Starts the count again from now. Any thread may call it."""
        self._before_mark = self._busy_seconds

    def done(self, start: float, frames: Sequence[FrameKey], step: str = "", verb: str = "") -> float:
        """Records work on frames from ``start`` until now.

        Args:
            start: ``edgeseg.now()`` in seconds.
            frames: the keys of the frames.
            step: the step of their arrows, as in :meth:`.trace.Track.arrow`; no arrows if empty.
            verb: the slice's name; if empty, the stage's name.

        Returns:
            The time now, ``edgeseg.now()`` in seconds.
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
        """Starts a frame's arrow in a slice that exists already. Any thread may call it."""
        if self._track is not None:
            self._track.arrow("s", (start + end) / 2, key)
