"""A build's progress, from TensorRT's own monitor, and a way to stop the build."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(frozen=True)
class BuildProgress:
    """A build's progress.

    Attributes:
        fraction: the part of the whole build that is done, 0 to 1; it never falls. TensorRT counts steps, whose lengths
            differ.
        phase: TensorRT's name of what it is doing.
        step: the number of steps of this phase that are done.
        steps: the number of all its steps.
    """

    fraction: float
    phase: str
    step: int
    steps: int


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class ProgressTracker:
    """Computes one fraction from TensorRT's nested phases. TensorRT may call it from several threads.

    An exception of ``on_progress`` must not pass through TensorRT: it is kept in ``error`` and stops the build.
    """

    def __init__(self, on_progress: Callable[[BuildProgress], None], stopping: threading.Event) -> None:
        self.error: Exception | None = None
        self._on_progress = on_progress
        self._stopping = stopping
        self._phases: dict[str, _Phase] = {}
        self._fraction = 0.0
        self._lock = threading.Lock()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Begins a phase, inside its parent's current step."""
        with self._lock:
            self._phases[name] = _Phase(parent, max(1, steps))

    def finish(self, name: str) -> None:
        """Ends a phase, done or abandoned."""
        with self._lock:
            self._phases.pop(name, None)

    def step(self, name: str, index: int) -> bool:
        """Counts a finished step of a phase; returns True if the build shall go on."""
        with self._lock:
            phase = self._phases.get(name)
            if phase is not None and self.error is None:
                phase.done = max(phase.done, index + 1)
                self._fraction = max(self._fraction, self._done(None))
                try:
                    self._on_progress(BuildProgress(self._fraction, name, phase.done, phase.steps))
                except Exception as error:
                    self.error = error
            return self.error is None and not self._stopping.is_set()

    def _done(self, parent: str | None) -> float:
        inside = [(name, phase) for name, phase in self._phases.items() if phase.parent == parent]
        return max((min(1.0, (p.done + self._done(name)) / p.steps) for name, p in inside), default=0.0)


def make_monitor(trt: Any, tracker: ProgressTracker) -> Any:
    """Makes a TensorRT progress monitor that reports to a tracker."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tracker.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return tracker.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            tracker.finish(phase_name)

    return Monitor()


@contextmanager
def signals_stop(stopping: threading.Event) -> Iterator[None]:
    """Makes Ctrl-C and SIGTERM set an event; after the block, raises what they would have raised.

    An exception must not pass through TensorRT, and a signal's could, from any of TensorRT's calls to Python. Nothing
    is changed if a signal ends the process at once, or outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        caught.append((number, frame))
        stopping.set()

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in previous.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            first, frame = caught[0]
            handlers[signal.Signals(first)](first, frame)
