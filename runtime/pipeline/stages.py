"""The stages of the pipeline: one function for each thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..clock import CLOCK_SLACK_SECONDS, now
from ..overlay import Overlay
from ..reasons import BACKEND_FAILED, NOT_FINITE, STALE
from ..result import Segmentation
from ..segmenter import Segmenter
from ..sinks.base import Output
from ..steps import Inference, PreparedFrame
from .degrade import Degrader
from .heartbeat import beat_of_hole
from .mailbox import Mailbox
from .network import Network
from .options import Conditions
from .stats import RunStats
from .streams import Captured, Channel, Intake
from .trace import FrameKey, Order, Stage

log = logging.getLogger(__name__)


@dataclass
class Work:
    """A frame, and the results of its stages so far.

    Attributes:
        item: the frame.
        segmenter: the segmenter that it is prepared for.
        fault: the reason that it is not inferred or decoded, a word of :mod:`edgeseg.runtime.reasons`; else empty.
        prepared, inference: the results of the first stages; None before that.
    """

    item: Captured
    segmenter: Segmenter
    fault: str = ""
    prepared: PreparedFrame | None = None
    inference: Inference | None = None


@dataclass
class Batch:
    """Frames that are inferred at once, and the streams that end after them."""

    frames: list[Work]
    ended: list[Channel]

    @property
    def keys(self) -> list[FrameKey]:
        """The keys of the frames."""
        return [work.item.key for work in self.frames]


class Stages:
    """Capture, preprocess, inference and decode, for the same streams. Each function runs in one thread.

    Frames of files are prepared while the network is busy. A live frame would grow old during that time. The
    pipeline takes it only once the network is free, so that it is always the newest.

    A frame that shows nothing is not inferred. A frame whose inference failed has no class map. Their results are
    not valid, and have a reason.

    Args:
        channels: the streams, in order of their numbers.
        intake: takes frames from the streams.
        network: infers the frames.
        degrader: gets the latency of each live result.
        total: the statistics over all streams.
        run: what the parts of the run share.

    Attributes:
        all: the stages whose work is measured.
        overlay: draws results.
        network: as given.
        degrader: as given.
        first_result_at: ``edgeseg.now()`` in seconds at the first result; None before. Work is measured from then on.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        intake: Intake,
        network: Network,
        degrader: Degrader,
        total: RunStats,
        run: Conditions,
    ) -> None:
        trace = run.options.trace
        self._preprocess_stage = Stage("preprocess", Order.PREPROCESS, trace)
        self._inference_stage = Stage("inference", Order.INFERENCE, trace)
        self._decode_stage = Stage("decode", Order.DECODE, trace)
        self._channels, self._intake, self._total = channels, intake, total
        self.network, self.degrader = network, degrader
        self._run, self._trace = run, trace
        self._prepare_ahead = not any(channel.live for channel in channels)
        sinks = [worker.stage for channel in channels for worker in channel.workers]
        # A live source waits for its camera or server, and that is not work.
        captures = [channel.capture for channel in channels if not channel.live]
        self.all = [*captures, self._preprocess_stage, self._inference_stage, self._decode_stage, *sinks]
        self.first_result_at: float | None = None
        self._prepared: Mailbox[Batch] = Mailbox(1)
        self._inferred: Mailbox[Batch] = Mailbox(1)
        self.overlay = Overlay(run.labels)

    def capture(self, channel: Channel) -> None:
        """Reads a stream's source until its end."""
        dropped = 0
        source = channel.source
        try:
            while not self._run.stopping.is_set():
                asked_at = now()
                frame_bgr = source.read()
                if frame_bgr is None:
                    break
                number = channel.frames_read if source.frame_number is None else source.frame_number
                key = FrameKey(channel.number, number)
                read_at = channel.capture.done(asked_at, [key])
                captured_at, fault = source.frame_at, source.frame_fault
                if not channel.frames_read:
                    channel.capture.mark()  # the time to start a source says nothing about its rate
                channel.frames_read += 1
                at = read_at if captured_at is None else captured_at
                if not at - read_at <= CLOCK_SLACK_SECONDS:
                    at, fault = read_at, fault or self._from_the_future(channel, at)
                missing, channel.next_number = max(0, number - channel.next_number), number + 1
                item = Captured(
                    channel,
                    frame_bgr,
                    key,
                    asked_at,
                    at,
                    source.frame_name,
                    fault,
                    source.frame_time_s,
                    missing,
                    source.frame_pose,
                )
                if not channel.captured.put(item):
                    break
                if self._trace is not None and channel.dropped > dropped:
                    dropped = channel.dropped
                    self._trace.counter(
                        "dropped", {each.capture.name: each.dropped for each in self._channels}
                    )
        finally:
            channel.captured.close()

    def preprocess(self) -> None:
        """Takes frames of all streams in turn, checks their content, and resizes them for the network."""
        stage = self._preprocess_stage
        freed_at = time.monotonic()
        while self._prepare_ahead or self._prepared.wait_until_wanted():
            self._rest(time.monotonic() - freed_at)
            freed_at = time.monotonic()
            self.network.level = self.degrader.step.level
            items, ended = self._intake.take(self._run.options.batch)
            batch = Batch([Work(item, self.network.current, item.fault) for item in items], ended)
            if not batch.frames and not batch.ended:
                break
            for work in batch.frames:
                start, item = now(), work.item
                item.channel.newest_bgr = item.frame_bgr
                work.fault = work.fault or item.channel.checks.check(item.frame_bgr, item.at)
                if not work.fault:
                    self._survive(work, self._prepare)
                stage.done(start, [item.key], step="t")
                item.channel.capture.start_arrow(item.asked_at, item.at, item.key)
            if not self._prepared.put(batch):
                break
        for channel in self._channels:
            channel.captured.cancel()
        self._prepared.close()

    def infer(self) -> None:
        """Runs the network."""
        while (batch := self._prepared.get()) is not None:
            if self.network.mend(self._inferred.wait_until_wanted):
                for work in batch.frames:
                    work.prepared, work.fault = None, work.fault or BACKEND_FAILED
            start = now()
            sound = [work for work in batch.frames if work.prepared is not None]
            if sound:
                prepared = [work.prepared for work in sound if work.prepared is not None]
                inferences = self.network.infer(sound[0].segmenter, prepared)
                for number, work in enumerate(sound):
                    work.fault = "" if inferences else BACKEND_FAILED
                    work.inference = inferences[number] if inferences else None
            if batch.frames:
                self._inference_stage.done(start, batch.keys, step="t")
            if not self._inferred.put(batch):
                break
        self._prepared.cancel()
        self._inferred.close()

    def decode(self) -> None:
        """Makes the class maps, counts them and gives them to the sinks."""
        while (batch := self._inferred.get()) is not None:
            for work in batch.frames:
                try:
                    self._finish(work)
                except MemoryError as error:  # no memory even for an invalid result: the heartbeat reports it
                    self.network.failed(error)
            for channel in batch.ended:
                for worker in channel.workers:
                    worker.end()
            if self._trace is not None:
                self._trace.counter("waiting", self._waiting())
            del batch  # so that its arrays can be used again

    def cancel(self) -> None:
        """Discards the frames in progress, and the outputs that wait to be written."""
        for channel in self._channels:
            channel.cancel()
        self.shut()

    def shut(self) -> None:
        """Discards the frames in progress. Sinks may still write the outputs that they were given."""
        for channel in self._channels:
            channel.captured.cancel()
        self._prepared.cancel()
        self._inferred.cancel()

    def _from_the_future(self, channel: Channel, at: float) -> str:
        """Logs once that a source uses another clock, by which its frames would never grow old. Returns the reason."""
        if channel.clock_is_ours:
            channel.clock_is_ours = False
            log.error(
                "%s says that a frame was captured at %.3f, which is still to come; frame_at is a moment of"
                " edgeseg.now()", channel.name, at,
                extra={"event": "clock", "fields": {"source": channel.name, "frame_at": at}},
            )  # fmt: skip
        return STALE

    def _rest(self, busy_seconds: float) -> None:
        """Leaves the network idle after a frame, if a lower rate was chosen."""
        if self.degrader.step.rate < 1 and not self._prepare_ahead:
            self._run.stopping.wait(busy_seconds * (1 / self.degrader.step.rate - 1))

    def _survive(
        self, work: Work, step: Callable[[Work], Segmentation | None], name: str = "inference"
    ) -> Segmentation | None:
        """Does a step of a frame. A failure loses only the frame, if the run survives it."""
        try:
            return step(work)
        except Exception as error:  # any library's error: failed() counts it, or raises it again
            self.network.failed(error, name)
            work.fault = BACKEND_FAILED
            return None

    def _prepare(self, work: Work) -> None:
        item = work.item
        work.prepared = work.segmenter.prepare(item.frame_bgr, item.at, item.key.frame)

    def _decoded(self, work: Work) -> Segmentation | None:
        return None if work.inference is None else work.segmenter.decode(work.inference)

    def _processed(self, work: Work, result: Segmentation | None) -> Segmentation:
        """Returns a frame's result after all post-processors; not valid without a class map, or if one failed."""
        item = work.item
        if result is None:
            result = Segmentation.without_classes(item.frame_bgr, item.key.frame, item.at, work.fault)
        done = self._survive(
            work, partial(self._through, replace(result, pose=item.pose)), "a search in the class map"
        )
        if done is None:
            return Segmentation.without_classes(item.frame_bgr, item.key.frame, item.at, work.fault)
        return done

    def _through(self, result: Segmentation, work: Work) -> Segmentation:
        for processor in work.item.channel.postprocessors:
            result = processor.process(work.item.frame_bgr, result)
        return result

    def _finish(self, work: Work) -> None:
        start, item, channel = now(), work.item, work.item.channel
        result = None if work.fault else self._survive(work, self._decoded)
        if result is not None:
            self.network.succeeded()
        result = self._processed(work, result)
        finished_at = now()
        latency_ms = (finished_at - item.at) * 1e3
        if channel.live and finished_at - item.at > self._run.limits.max_age_s and result.valid:
            result = result.invalidated(STALE)
        elif result.reason == NOT_FINITE:
            self.network.count_not_finite()
        if channel.live and not work.fault and self.degrader.record(latency_ms, finished_at):
            channel.stats.deadline_misses += 1
            if self._total is not channel.stats:
                self._total.deadline_misses += 1
        channel.validity.record(result)
        shares = channel.stats.record(result, finished_at)
        if self._total is not channel.stats:
            self._total.record(result, finished_at, shares)
        # A frame of a file waits for its turn, so its latency says nothing. Only a live frame has an age.
        ms = latency_ms if channel.live else sum(result.timings_ms.values())
        status = f"{channel.stats.recent_fps:.1f} fps   {ms:.0f} ms"
        draw = partial(self.overlay.draw, item.frame_bgr, result, shares, status)
        hole = (
            beat_of_hole(item, channel.last, self.overlay)
            if item.missing and channel.last is not None
            else None
        )
        output = Output(
            item.frame_bgr, result, item.name, draw, item.key.source, shares,
            finished_at=finished_at, time_s=item.time_s, hole=hole,
        )  # fmt: skip
        self._decode_stage.done(start, [item.key], step="f")
        if item.time_s is not None:
            channel.last = output if hole is None else replace(output, hole=None)
        for worker in channel.workers:
            worker.offer(output)
        channel.delivered += 1
        if self.first_result_at is None:
            self.first_result_at = finished_at
            for stage in self.all:
                stage.mark()  # until then, stages only waited for the first frame
        self._intake.notify()
        self._run.options.on_result(self._total)

    def _waiting(self) -> dict[str, int]:
        waiting = {channel.capture.name: channel.captured.waiting for channel in self._channels}
        waiting |= {"prepared": self._prepared.waiting, "inferred": self._inferred.waiting}
        return waiting | {
            worker.sink.name: worker.waiting for channel in self._channels for worker in channel.workers
        }
