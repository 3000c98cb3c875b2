"""The streams of a pipeline, each a source with its own mailbox, statistics and sinks; and the turns they take."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...core.arrays import Frame
from ...core.pose import VehiclePose
from ...core.source import Source
from ..health.frames import FrameChecks
from ..health.validity import Validity
from ..postprocessor import PostProcessor
from ..sinks.base import Output, Sink
from .mailbox import Mailbox
from .options import Conditions
from .sink_worker import SinkWorker
from .stats import RunStats
from .trace import FrameKey, Order, Stage

_LONGEST_WAIT_SECONDS = 0.25


@dataclass(frozen=True)
class Stream:
    """A source, and what its results pass through.

    Attributes:
        source: open; whoever opened it closes it.
        sinks: not yet written to; the pipeline closes them.
        postprocessors: work on each result, in this order, before the sinks get it.
    """

    source: Source
    sinks: Sequence[Sink] = field(default_factory=tuple)
    postprocessors: Sequence[PostProcessor] = field(default_factory=tuple)


class Channel:
    """A stream during a run.

    Args:
        number: as below.
        name: as below.
        stream: the source and its sinks.
        run: what the parts of the run share.

    Attributes:
        number: the stream's number, from 1; 0 if it is the only one.
        name: the source's name, unique among the streams.
        source: the source.
        live: True if the source is live.
        stats: the statistics of its results.
        captured: frames that wait to be segmented.
        capture: the stage that reads them.
        postprocessors: work on each result before the sinks get it.
        workers: the workers of the sinks.
        frames_read: number of frames read from the source so far.
        next_number: the number of the next frame if none is missing before it.
        delivered: number of frames whose results were given to the sinks.
        last: the output that was given to the sinks last, if the source is a video file; else None.
        error: the error that ended the source; None if there is none.
        checks: the checks of its frames.
        validity: the validity of its newest result.
        clock_is_ours: True if the source has never given a capture time later than now.
        newest_bgr: the newest frame that was taken, uint8 [H, W, 3]; None before the first.
    """

    def __init__(self, number: int, name: str, stream: Stream, run: Conditions) -> None:
        self.number, self.name, self.source = number, name, stream.source
        self.live = stream.source.live
        self.stats = RunStats(run.labels)
        capacity = 1 if self.live else max(2, run.options.batch)
        self.captured: Mailbox[Captured] = Mailbox(capacity, self.live, run.on_change)
        name_in_trace = "capture" if number == 0 else f"capture {number}"
        self.capture = Stage(name_in_trace, Order.CAPTURE, run.options.trace)
        self.postprocessors = stream.postprocessors
        self.workers = [SinkWorker(sink, self.live, run) for sink in stream.sinks]
        self.frames_read = self.delivered = 0
        self.next_number = 0
        self.last: Output | None = None
        self.error: Exception | None = None
        self.checks = FrameChecks(self.live, run.limits.frozen_after_s, run.limits.check_frames)
        self.validity = Validity(self.live, run.limits.max_age_s)
        self.clock_is_ours = True
        self.newest_bgr: Frame | None = None
        self._max_frames = run.options.max_frames
        self._taken = 0

    @property
    def must_wait(self) -> bool:
        """True if a sink has no room, so that frames must wait. A sink without room for too long is given up."""
        under_way = self._taken - self.delivered
        return any([worker.is_full(under_way) for worker in self.workers])

    @property
    def missing(self) -> int:
        """The number of frames that the source lacks, for example in a damaged video."""
        return self.source.missing

    @property
    def dropped(self) -> int:
        """The number of frames dropped for newer ones, here or inside the source."""
        return self.captured.dropped + self.source.dropped

    def take(self) -> Captured | None:
        """Takes the oldest captured frame. Returns None if there is none, or the sinks have no room for its result."""
        if not self.captured.waiting or self.must_wait:
            return None
        item = self.captured.get(timeout=0)
        if item is not None:
            self._taken += 1
            if self._taken == self._max_frames:
                self.captured.cancel()
        return item

    def fail(self, error: Exception) -> None:
        """Ends only this stream. Its sinks keep their output only if the source is live: it cannot be made again."""
        self.error = self.error or error
        if self.live:
            self.captured.cancel()
        else:
            self.cancel()

    def cancel(self) -> None:
        """Discards the frames and outputs that wait to be segmented or written."""
        self.captured.cancel()
        for worker in self.workers:
            worker.cancel()


@dataclass(frozen=True)
class Captured:
    """A frame on its way through the pipeline.

    Attributes:
        channel: the frame's stream.
        frame_bgr: uint8 [H, W, 3].
        key: the frame's source and number.
        asked_at: ``edgeseg.now()`` in seconds when the source was asked for it.
        at: its capture time, ``edgeseg.now()`` in seconds.
        name: the frame's name, if frames have names.
        fault: the reason that the source gives for an invalid frame; else empty.
        time_s: the time to show it, in seconds from its video's first frame; None if the source is no video file.
        missing: number of frames missing between it and the one before.
        pose: of the vehicle when it was captured, if the source knows it; else None.
    """

    channel: Channel
    frame_bgr: Frame
    key: FrameKey
    asked_at: float
    at: float
    name: str
    fault: str = ""
    time_s: float | None = None
    missing: int = 0
    pose: VehiclePose | None = None


class Intake:
    """Takes captured frames from all streams in turn: one from each that has any, even if another is faster."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: list[Channel] = []
        self._turn = 0

    def watch(self, channels: Sequence[Channel]) -> None:
        """Sets the streams. Called before the first frame is taken."""
        self._open = list(channels)

    def notify(self) -> None:
        """Makes :meth:`take` check the streams again. Any thread may call it."""
        with self._changed:
            self._changed.notify_all()

    def take(self, most: int) -> tuple[list[Captured], list[Channel]]:
        """Waits for frames, or for the end of a stream.

        Args:
            most: the largest number of frames to take.

        Returns:
            The frames, and the streams that will give no more. Both are empty once all streams have ended.
        """
        with self._changed:
            while True:
                frames = self._round(most)
                ended = [channel for channel in self._open if channel.captured.finished]
                self._open = [channel for channel in self._open if channel not in ended]
                if frames or ended or not self._open:
                    return frames, ended
                must_wait = any([channel.must_wait for channel in self._open])
                self._changed.wait(_LONGEST_WAIT_SECONDS if must_wait else None)

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
