"""The streams of a pipeline: a source each, with its own mailbox, statistics and sinks; and whose turn it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...core.labels import LabelMap
from ...core.source import Source
from ..health.frames import FrameChecks
from ..health.limits import Limits
from ..health.validity import Validity
from ..preprocess import Frame
from ..sinks.base import Output, Sink
from .mailbox import Mailbox
from .sink_worker import SinkWorker
from .stage import Order, Stage
from .stats import RunStats
from .trace import FrameKey, Trace

_LONGEST_WAIT_SECONDS = 0.25


@dataclass(frozen=True)
class Stream:
    """A source, and where its results go.

    Attributes:
        source: open; whoever opened it closes it.
        sinks: not yet written to; the pipeline closes them.
    """

    source: Source
    sinks: Sequence[Sink] = field(default_factory=tuple)


@dataclass(frozen=True)
class Conditions:
    """What holds for all streams of a run.

    Attributes:
        labels: the classes.
        max_frames: end each after so many results; with its source where None.
        batch: the most frames that are inferred at once.
        patience_seconds: how long a sink may not answer.
        stop: ends the run.
        on_failure: called with the name and error of what failed.
        trace: to add to, where there is one.
        limits: when a result may be acted on.
    """

    labels: LabelMap
    max_frames: int | None
    batch: int
    patience_seconds: float
    stop: Callable[[], None]
    on_failure: Callable[[str, Exception], None]
    trace: Trace | None
    limits: Limits


class Lane:
    """A stream under way.

    Attributes:
        number: of the stream, from 1.
        name: of its source; no other lane has it.
        captured: frames that wait to be segmented.
        capture: the stage that reads them.
        workers: of the sinks.
        frames_read: from the source so far.
        next_number: that the next frame has where none is missing before it.
        delivered: frames that the sinks were offered.
        last: the output that its sinks were offered last, where the source is a film; else None.
        error: why the source failed.
        checks: of its frames.
        validity: of its newest result.
        clock_is_ours: whether the source has never said that a frame was captured later than now.
        newest_bgr: the newest frame that was taken, uint8 [H, W, 3]; None before the first.
    """

    def __init__(
        self, number: int, name: str, stream: Stream, run: Conditions, on_change: Callable[[], None]
    ) -> None:
        self.number, self.name, self.source = number, name, stream.source
        self.live = stream.source.live
        self.stats = RunStats(run.labels)
        capacity = 1 if self.live else max(2, run.batch)
        self.captured: Mailbox[Captured] = Mailbox(capacity, newest_wins=self.live, on_change=on_change)
        self.capture = Stage("capture" if number == 0 else f"capture {number}", Order.CAPTURE, run.trace)
        self.workers = [
            SinkWorker(
                sink,
                self.live or not sink.lossless,
                run.patience_seconds,
                run.stop,
                run.on_failure,
                Stage(sink.name, Order.SINK, run.trace),
                on_change,
                run.batch,
                run.limits.max_age_s if self.live else None,
            )
            for sink in stream.sinks
        ]
        self.frames_read = self.delivered = 0
        self.next_number = 0
        self.last: Output | None = None
        self.error: Exception | None = None
        self.checks = FrameChecks(self.live, run.limits.frozen_after_s, run.limits.check_frames)
        self.validity = Validity(self.live, run.limits.max_age_s)
        self.clock_is_ours = True
        self.newest_bgr: Frame | None = None
        self._max_frames = run.max_frames
        self._taken = 0

    @property
    def held_back(self) -> bool:
        """Whether a sink has no room, so that frames must wait. Without patience left, the sink is given up."""
        under_way = self._taken - self.delivered
        return any([worker.is_full(under_way) for worker in self.workers])

    @property
    def missing(self) -> int:
        """How many frames the source lacks, as a damaged film does."""
        return self.source.missing

    @property
    def dropped(self) -> int:
        """How many frames gave way to newer ones, here or inside the source."""
        # Sources may be of other classes than Source; those drop none.
        return self.captured.dropped + self.source.dropped

    def take(self) -> Captured | None:
        """The oldest captured frame, where there is one and the sinks have room for what becomes of it."""
        if not self.captured.waiting or self.held_back:
            return None
        item = self.captured.get(timeout=0)
        if item is not None:
            self._taken += 1
            if self._taken == self._max_frames:
                self.captured.cancel()
        return item

    def fail(self, error: Exception) -> None:
        """Ends this stream alone. Its sinks keep nothing, but for those of a live source: that cannot be had again."""
        self.error = self.error or error
        if self.live:
            self.captured.cancel()
        else:
            self.cancel()

    def cancel(self) -> None:
        """Throws away what waits to be segmented or written."""
        self.captured.cancel()
        for worker in self.workers:
            worker.cancel()


@dataclass(frozen=True)
class Captured:
    """A frame on its way through the pipeline.

    Attributes:
        lane: whose it is.
        frame_bgr: uint8 [H, W, 3].
        key: which it is.
        asked_at, at: ``edgeseg.now()`` in seconds when it was asked for, and when it was there.
        name: of the frame, where frames have names.
        fault: why the source does not believe the frame; else empty.
        time_s: when it is to be shown, in seconds from its film's first frame; None where the source is no film.
        missing: frames that should be between it and the one before.
    """

    lane: Lane
    frame_bgr: Frame
    key: FrameKey
    asked_at: float
    at: float
    name: str
    fault: str = ""
    time_s: float | None = None
    missing: int = 0


class Intake:
    """Takes captured frames from all lanes in turn: one of each that has any, however fast another is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: list[Lane] = []
        self._turn = 0

    def watch(self, lanes: Sequence[Lane]) -> None:
        """Sets the lanes, before the first frame is taken."""
        self._open = list(lanes)

    def notify(self) -> None:
        """Looks again at the lanes. Any thread may call it."""
        with self._changed:
            self._changed.notify_all()

    def take(self, most: int) -> tuple[list[Captured], list[Lane]]:
        """Waits for frames, or for a lane's end.

        Args:
            most: how many frames at most.

        Returns:
            Those that are there, and the lanes that will give no more. Neither, once all lanes have ended.
        """
        with self._changed:
            while True:
                frames = self._round(most)
                ended = [lane for lane in self._open if lane.captured.finished]
                self._open = [lane for lane in self._open if lane not in ended]
                if frames or ended or not self._open:
                    return frames, ended
                held_back = any([lane.held_back for lane in self._open])
                self._changed.wait(_LONGEST_WAIT_SECONDS if held_back else None)

    def _round(self, most: int) -> list[Captured]:
        frames: list[Captured] = []
        without = 0
        while len(frames) < most and without < len(self._open):
            self._turn = (self._turn + 1) % len(self._open)
            item = self._open[self._turn].take()
            without = 0 if item is not None else without + 1
            if item is not None:
                frames.append(item)
        return frames
