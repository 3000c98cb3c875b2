"""The contract of every sink, and the output that a sink is given."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame
from ..result import Segmentation
from ..status import Status


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """A sink's user asks the run to end, for example by closing its window."""


@dataclass
class Output:
    """One frame's outcome, shared by all sinks. None of them may write into its arrays.

    Attributes:
        frame_bgr: uint8 [H, W, 3], as captured.
        result: its segmentation.
        name: of the frame, if frames have names; else empty.
        draw: makes the overlay.
        source: the number of its source, from 1; 0 if there is only one.
        shares: the share of the frame that each class covers, float64 [C], each 0 to 1.
        beat: True if there is no new frame: the run reports that the last result is no longer valid, and why.
            ``frame_bgr`` is then the newest frame so far, or black if there was none.
        hole: a beat for the frames that are missing in a video before this one; None if none is missing.
        time_s: display time of the frame, in seconds from its video's first; None if the source is no video.
        finished_at: ``edgeseg.now()`` in seconds when the result was ready.
    """

    frame_bgr: Frame
    result: Segmentation
    name: str
    draw: Callable[[], Frame]
    source: int = 0
    shares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    beat: bool = False
    finished_at: float = 0.0
    time_s: float | None = None
    hole: Output | None = None
    _overlay: Frame | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def overlay_bgr(self) -> Frame:
        """The frame with its classes drawn over it, uint8 [H, W, 3]. It is drawn once, on first use."""
        with self._lock:
            if self._overlay is None:
                self._overlay = self.draw()
            return self._overlay


class Sink(ABC):
    """Takes results one after another, in a thread of its own.

    A pipeline calls :meth:`write`, :meth:`announce` and :meth:`close` in that one thread, so a sink needs no lock for
    them. Once a pipeline has the sink, a forked child cannot use it: there they raise OutputError, or do nothing.

    A sink's constructor makes all checks that need no frame, and raises ``OutputError``.

    Attributes:
        name: for display.
        lossless: the sink gets every frame of a source that is not live: the run waits for it. Otherwise, and always
            for a live source, a sink that is too slow loses its oldest frames.
        foreground: the thread that runs the pipeline must write to it, as toolkits require for windows.
        beats: the sink also gets a beat, several times a second, while there is no new frame: see :attr:`Output.beat`.
        most_failures: after so many :meth:`write` calls in a row that raised, the sink gets no more. It is 1 if the
            sink's output would not be whole without the lost frame.
        ephemeral: nothing is left at the end, as with a window.
        is_acted_on: results are acted on at once. A live result that became too old while the sink was busy is given
            to it as ``stale``. Other sinks keep results: theirs hold for their frame, however late they are written.
    """

    name: str
    lossless: bool = True
    foreground: bool = False
    beats: bool = False
    most_failures: int = 1
    ephemeral: bool = False
    is_acted_on: bool = False

    @property
    def idle(self) -> bool:
        """True while the sink ignores outputs, as a recording that is switched off does. These are not counted."""
        return False

    @property
    def kept_as(self) -> str:
        """The name of what remains after closing, for display, as after "wrote"; empty if nothing remains."""
        return "" if self.ephemeral else self.name

    @abstractmethod
    def write(self, output: Output) -> None:
        """Takes one result.

        Raises:
            OutputError: it cannot be written. After :attr:`most_failures` of these the sink gets no more.
            OutputGoneError: no later result can be written either. The sink gets no more, at once.
            StopRequested: the user asks the run to end.
        """

    def announce(self, status: Status) -> None:
        """Receives the run's status at a fixed rate, in the thread that also calls :meth:`write`.

        Most sinks ignore it. Raises as :meth:`write`.
        """
        return

    @abstractmethod
    def close(self, commit: bool) -> None:
        """Ends the output; called exactly once.

        Args:
            commit: keep what was written. If False, the run or the sink failed, and nothing half-written stays.

        Raises:
            OutputError: what was written is not whole. Nothing of it stays.
        """
