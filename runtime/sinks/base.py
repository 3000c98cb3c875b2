"""The contract of every sink, and what a sink is given."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from ..preprocess import Frame
from ..result import Segmentation


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """A sink's user wants the run to end, as by closing its window."""


@dataclass
class Output:
    """One frame's outcome, shared by all sinks. None of them may write into its arrays.

    Attributes:
        frame_bgr: uint8 [H, W, 3], as captured.
        result: its segmentation.
        name: of the frame, where frames have names; else empty.
        draw: makes the overlay.
        source: the number of its source, from 1; 0 where there is but one.
    """

    frame_bgr: Frame
    result: Segmentation
    name: str
    draw: Callable[[], Frame]
    source: int = 0
    _overlay: Frame | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def overlay_bgr(self) -> Frame:
        """The frame with its classes drawn over it, uint8 [H, W, 3]. Drawn once, for the first sink that asks."""
        with self._lock:
            if self._overlay is None:
                self._overlay = self.draw()
            return self._overlay


class Sink(ABC):
    """Takes results one after another, in a thread of its own.

    A sink checks in its constructor what can be checked before the first frame, and raises ``OutputError``.

    Attributes:
        name: for people.
        lossless: wants every frame of a source that is not live: the run waits for it. Otherwise, and always for a
            live source, a sink that is too slow loses its oldest frames.
        foreground: must be written to by the thread that runs the pipeline, as toolkits demand of windows.
    """

    name: str
    lossless: bool = True
    foreground: bool = False

    @abstractmethod
    def write(self, output: Output) -> None:
        """Takes one result.

        Raises:
            OutputError: it cannot be written. The sink gets no more.
            StopRequested: the run is to end.
        """

    @abstractmethod
    def close(self, commit: bool) -> None:
        """Ends the output; called exactly once.

        Args:
            commit: keep what was written. Otherwise the run or the sink failed, and nothing half-written stays.

        Raises:
            OutputError: what was written is not whole. Nothing of it stays.
        """
