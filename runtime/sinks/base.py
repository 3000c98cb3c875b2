"""The contract of every sink, and what a sink is given."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..preprocess import Frame
from ..result import Segmentation
from ..status import Status


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
        shares: the share of the frame that each class covers, float64 [C], each 0 to 1.
        beat: whether there is no new frame: the run says that the last result is no longer valid, and why.
            ``frame_bgr`` is then the newest frame there was, or black where there was none.
        hole: a beat for the frames that are missing in a film before this one; None where none is.
        time_s: when the frame is to be shown, in seconds from its film's first; None where the source is no film.
        finished_at: ``edgeseg.now()`` in seconds when the result was there.
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
        """The frame with its classes drawn over it, uint8 [H, W, 3]. Drawn once, for the first sink that asks."""
        with self._lock:
            if self._overlay is None:
                self._overlay = self.draw()
            return self._overlay


class Sink(ABC):
    """Takes results one after another, in a thread of its own.

    A pipeline calls :meth:`write`, :meth:`announce` and :meth:`close` in that one thread, so a sink needs no lock for
    them. Once a pipeline has it, a forked child leaves it alone: there they raise OutputError, or do nothing.

    A sink checks in its constructor what can be checked before the first frame, and raises ``OutputError``.

    Attributes:
        name: for people.
        lossless: wants every frame of a source that is not live: the run waits for it. Otherwise, and always for a
            live source, a sink that is too slow loses its oldest frames.
        foreground: must be written to by the thread that runs the pipeline, as toolkits demand of windows.
        beats: also wants to be told, several times a second, that there is no new frame: see :attr:`Output.beat`.
        most_failures: after so many :meth:`write` calls in a row that raised, the sink gets no more. 1 where what it
            writes would not be whole without the lost frame.
        ephemeral: nothing is left at the end, as of a window.
        is_acted_on: somebody acts on what it is given at once. A live result that has grown too old while the sink was
            busy is given to it as ``stale``; one that is kept holds for its frame, however late it is written.
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
        """Whether the sink takes nothing now, as a recording that is switched off; what it is given does not count."""
        return False

    @property
    def kept_as(self) -> str:
        """What is left once the sink was closed, for people, as after "wrote"; empty where nothing is."""
        return "" if self.ephemeral else self.name

    @abstractmethod
    def write(self, output: Output) -> None:
        """Takes one result.

        Raises:
            OutputError: it cannot be written. After :attr:`most_failures` of these the sink gets no more.
            OutputGoneError: nor can anything that comes after. The sink gets no more at once.
            StopRequested: the run is to end.
        """

    def announce(self, status: Status) -> None:
        """Is told at a fixed rate how the run is doing, by the thread that also calls :meth:`write`.

        Most sinks need not know. Raises as :meth:`write`.
        """
        return

    @abstractmethod
    def close(self, commit: bool) -> None:
        """Ends the output; called exactly once.

        Args:
            commit: keep what was written. Otherwise the run or the sink failed, and nothing half-written stays.

        Raises:
            OutputError: what was written is not whole. Nothing of it stays.
        """
