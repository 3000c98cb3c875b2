"""The stages of the pipeline: what each of its threads does, one function a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..overlay import Overlay
from ..segmenter import Inference, Prepared, Segmenter
from ..sinks.base import Output
from .mailbox import Mailbox
from .stage import Order, Stage
from .stats import RunStats
from .streams import Captured, Intake, Lane
from .trace import FrameKey, Trace


@dataclass
class Batch:
    """Frames that are inferred at once, and the lanes that end after them."""

    frames: list[Captured]
    ended: list[Lane]
    prepared: list[Prepared] = field(default_factory=list)
    inferences: list[Inference] = field(default_factory=list)

    @property
    def keys(self) -> list[FrameKey]:
        """Which frames."""
        return [item.key for item in self.frames]


class Stages:
    """Capture, preprocess, inference and decode, over the same lanes. Each function serves one thread.

    Frames of files are prepared while the network is busy. A live frame is not, it would grow old waiting: it is
    taken once the network is free, so that this is always the newest.

    Args:
        lanes: in order of their numbers.
        intake: that takes from them.
        segmenter: open.
        batch: the most frames that are inferred at once.
        total: the statistics over all lanes.
        on_result: called after each result with ``total``.
        stopping: when set, nothing more is captured.
        trace: to add to, where there is one.

    Attributes:
        all: the stages whose work is measured.
        first_result_at: ``time.monotonic()`` in seconds, from when on it is.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        intake: Intake,
        segmenter: Segmenter,
        batch: int,
        total: RunStats,
        on_result: Callable[[RunStats], None],
        stopping: threading.Event,
        trace: Trace | None,
    ) -> None:
        self._preprocess_stage = Stage("preprocess", Order.PREPROCESS, trace)
        self._inference_stage = Stage("inference", Order.INFERENCE, trace)
        self._decode_stage = Stage("decode", Order.DECODE, trace)
        self._lanes, self._intake, self._segmenter = lanes, intake, segmenter
        self._batch, self._total, self._on_result = batch, total, on_result
        self._stopping, self._trace = stopping, trace
        self._prepare_ahead = not any(lane.live for lane in lanes)
        self._overlay = Overlay(segmenter.labels)
        sinks = [worker.stage for lane in lanes for worker in lane.workers]
        # What a live source takes to give a frame is the world's pace and no work.
        captures = [lane.capture for lane in lanes if not lane.live]
        self.all = [*captures, self._preprocess_stage, self._inference_stage, self._decode_stage, *sinks]
        self.first_result_at: float | None = None
        self._prepared: Mailbox[Batch] = Mailbox(1)
        self._inferred: Mailbox[Batch] = Mailbox(1)

    def capture(self, lane: Lane) -> None:
        """Reads a lane's source until its end."""
        dropped = 0
        while not self._stopping.is_set():
            asked_at = time.monotonic()
            frame_bgr = lane.source.read()
            if frame_bgr is None:
                break
            key = FrameKey(lane.number, lane.frames_read)
            at = lane.capture.done(asked_at, [key])
            name = getattr(lane.source, "frame_name", "")
            if not lane.frames_read:
                lane.capture.mark()  # what a source takes to begin says nothing of its pace
            lane.frames_read += 1
            if not lane.captured.put(Captured(lane, frame_bgr, key, asked_at, at, name)):
                break
            if self._trace is not None and lane.captured.dropped > dropped:
                dropped = lane.captured.dropped
                self._trace.counter(
                    "dropped", {each.capture.name: each.captured.dropped for each in self._lanes}
                )
        lane.captured.close()

    def preprocess(self) -> None:
        """Takes frames of all lanes in turn, and brings them to the network's size."""
        stage = self._preprocess_stage
        while self._prepare_ahead or self._prepared.wait_until_wanted():
            batch = Batch(*self._intake.take(self._batch))
            if not batch.frames and not batch.ended:
                break
            for item in batch.frames:
                start = time.monotonic()
                batch.prepared.append(self._segmenter.prepare(item.frame_bgr, item.at, item.key.frame))
                stage.done(start, [item.key], step="t")
                item.lane.capture.start_arrow(item.asked_at, item.at, item.key)
            if not self._prepared.put(batch):
                break
        for lane in self._lanes:
            lane.captured.cancel()
        self._prepared.close()

    def infer(self) -> None:
        """Runs the network."""
        while (batch := self._prepared.get()) is not None:
            start = time.monotonic()
            if len(batch.prepared) == 1:
                batch.inferences = [self._segmenter.infer(batch.prepared[0])]
            elif batch.prepared:
                batch.inferences = self._segmenter.infer_batch(batch.prepared)
            if batch.frames:
                self._inference_stage.done(start, batch.keys, step="t")
            if not self._inferred.put(batch):
                break
        self._prepared.cancel()
        self._inferred.close()

    def decode(self) -> None:
        """Makes the class maps, counts them and offers them to the sinks."""
        while (batch := self._inferred.get()) is not None:
            for item, inference in zip(batch.frames, batch.inferences, strict=True):
                self._finish(item, inference)
            for lane in batch.ended:
                for worker in lane.workers:
                    worker.end()
            if self._trace is not None:
                self._trace.counter("waiting", self._waiting())
            del batch  # its arrays may be used again

    def cancel(self) -> None:
        """Throws away what is under way."""
        for lane in self._lanes:
            lane.cancel()
        self._prepared.cancel()
        self._inferred.cancel()

    def _finish(self, item: Captured, inference: Inference) -> None:
        start, lane = time.monotonic(), item.lane
        result = self._segmenter.decode(inference)
        finished_at = time.monotonic()
        shares = lane.stats.record(result, finished_at)
        if self._total is not lane.stats:
            self._total.record(result, finished_at, shares)
        # A frame of a file waits its turn; only a live one has an age.
        ms = (finished_at - item.at) * 1e3 if lane.live else sum(result.timings_ms.values())
        status = f"{lane.stats.recent_fps:.1f} fps   {ms:.0f} ms"
        draw = partial(self._overlay.draw, item.frame_bgr, result, shares, status)
        output = Output(item.frame_bgr, result, item.name, draw, item.key.source)
        self._decode_stage.done(start, [item.key], step="f")
        for worker in lane.workers:
            worker.offer(output)
        lane.delivered += 1
        if self.first_result_at is None:
            self.first_result_at = finished_at
            for stage in self.all:
                stage.mark()  # nor does what the others waited for it
        self._intake.notify()
        self._on_result(self._total)

    def _waiting(self) -> dict[str, int]:
        waiting = {lane.capture.name: lane.captured.waiting for lane in self._lanes}
        waiting |= {"prepared": self._prepared.waiting, "inferred": self._inferred.waiting}
        return waiting | {worker.sink.name: worker.waiting for lane in self._lanes for worker in lane.workers}
