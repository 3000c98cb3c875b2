"""The options of a pipeline, and the conditions that all parts of one run share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...core.errors import UsageError
from ...core.labels import LabelMap
from ..health.limits import Limits
from ..segmenter import Segmenter
from ..status import Board, Status
from .stats import RunStats
from .trace import Trace


@dataclass(frozen=True)
class PipelineOptions:
    """The rarer choices of a run: its length, its batches, what it does when it is late, and who is told what.

    The pipeline calls the functions in its own threads, each by one thread at a time.

    Example:
        >>> Pipeline(source, segmenter, options=PipelineOptions(max_frames=100, batch=2)).run()  # doctest: +SKIP

    Attributes:
        max_frames: number of results after which each source ends; None to read each source to its end.
        batch: the largest number of frames inferred at once. The pipeline never waits for a batch to fill.
        degrade: the steps to do in turn while the deadline is missed: another open segmenter of the same size and
            labels, or a number below 1: the share of frames to process. Undone when the deadline is kept again.
        recover_after_seconds: time without a missed deadline after which a step is undone. It doubles, up to five
            minutes, each time that this was too early.
        patience_seconds: time to wait for a source or sink that does not answer before giving it up; less once the
            run has been stopped.
        stopping: the caller sets it to end the run, like :meth:`Pipeline.stop`; it may be set before the run begins.
        trace: receives the run's trace, if given; the caller closes it.
        on_result: called after each result with the statistics so far, in the decode thread.
        on_failure: called for each sink that fails, with its name and error, in any thread; also for each source that
            fails if there are several.
        on_beat: called at a fixed rate with the run's status, in its own thread.
        board: reads the board's sensors.

    Raises:
        UsageError: a number is out of its range.
    """

    max_frames: int | None = None
    batch: int = 1
    degrade: Sequence[Segmenter | float] = ()
    recover_after_seconds: float = 10.0
    patience_seconds: float = 20.0
    stopping: threading.Event | None = None
    trace: Trace | None = None
    on_result: Callable[[RunStats], None] = lambda stats: None
    on_failure: Callable[[str, Exception], None] = lambda name, error: None
    on_beat: Callable[[Status], None] = lambda status: None
    board: Callable[[], Board] = Board

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise UsageError(f"max_frames is {self.max_frames}; expected 1 or more, or None for all frames")
        if self.batch < 1:
            raise UsageError(f"batch is {self.batch}; expected 1 or more frames")
        for name in ("recover_after_seconds", "patience_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}; expected more than 0 seconds")


@dataclass(frozen=True)
class Conditions:
    """The conditions that all parts of one run share.

    Attributes:
        labels: the classes.
        limits: the limits of the run.
        options: the options of the run.
        stopping: set when the run must end; ``options.stopping`` if that is given.
        on_change: called when a frame or an output was put somewhere or taken from there: the run may go on.
    """

    labels: LabelMap
    limits: Limits
    options: PipelineOptions
    stopping: threading.Event
    on_change: Callable[[], None]
