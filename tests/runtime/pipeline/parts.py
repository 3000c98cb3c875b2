"""Sources and sinks made for the tests of the pipeline. They keep what they get, and misbehave at chosen moments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from edgeseg.core.source import Source
from edgeseg.runtime.sinks.base import Output, Sink

LEVELS = (40, 128, 215)
"""Of the classes dark, grey and bright."""

Act = Callable[[int], None]
"""Called before each frame with the number of those before it. It may wait, or raise an error."""


def does_nothing(number: int) -> None:
    """Lets every frame pass at once."""


def pauses(seconds: float) -> Act:
    """Waits before each frame."""
    return lambda number: time.sleep(seconds)


def hangs(release: threading.Event, at: int | None = None) -> Act:
    """Waits for an event, before each frame or before one of them."""

    def act(number: int) -> None:
        if at is None or number == at:
            release.wait()

    return act


def fails(at: int, error: Exception) -> Act:
    """Raises an error before one of the frames, each time that it is to come."""

    def act(number: int) -> None:
        if number == at:
            raise error

    return act


class FakeSource(Source):
    """Gives frames whose brightness follows from their number, so that each has a class that no neighbour has.

    Args:
        frames: number of frames.
        name: its name.
        live: whether it drops frames that are not read in time.
        size_hw: height and width of the frames.
        before: called before each frame.

    Attributes:
        next: number of frames so far.
    """

    def __init__(
        self,
        frames: int,
        name: str = "fake",
        live: bool = False,
        size_hw: tuple[int, int] = (24, 36),
        before: Act = does_nothing,
    ) -> None:
        self.name, self.live, self.next = name, live, 0
        self._frames, self._size_hw, self._before = frames, size_hw, before

    def read(self) -> np.ndarray | None:
        self._before(self.next)
        if self.next == self._frames:
            return None
        frame = np.full((*self._size_hw, 3), LEVELS[self.next % 3], np.uint8)
        self.frame_name = f"frame-{self.next}"
        self.next += 1
        return frame

    def close(self) -> None:
        return


class FakeSink(Sink):
    """Keeps what it gets.

    Args:
        name: its name.
        before: called before each output is kept.
        close_error: the error of :meth:`close`; None for none.
        foreground, lossless: as for every sink.

    Attributes:
        outputs: so far.
        commits: the arguments of :meth:`close`.
        threads: the threads that wrote.
        closed: set at its end.
    """

    def __init__(
        self,
        name: str = "sink",
        before: Act = does_nothing,
        close_error: Exception | None = None,
        foreground: bool = False,
        lossless: bool = True,
    ) -> None:
        self.name, self.foreground, self.lossless = name, foreground, lossless
        self.outputs: list[Output] = []
        self.commits: list[bool] = []
        self.threads: set[threading.Thread] = set()
        self.closed = threading.Event()
        self._before, self._close_error = before, close_error

    @property
    def ids(self) -> list[int]:
        return [output.result.frame_id for output in self.outputs]

    def write(self, output: Output) -> None:
        self.threads.add(threading.current_thread())
        self._before(len(self.outputs))
        self.outputs.append(output)

    def close(self, commit: bool) -> None:
        self.commits.append(commit)
        self.closed.set()
        if self._close_error is not None:
            raise self._close_error
