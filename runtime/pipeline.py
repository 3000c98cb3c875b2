"""The pipeline: capture, inference, decode and output, overlapped in threads.

NumPy, OpenCV and ONNX Runtime release the interpreter's lock, so the stages run side by side::

    source -> capture -> [newest frame | every frame] -> resize, inference -> decode -> one thread a sink

Every hand-over is a bounded mailbox, so memory is bounded and a failure anywhere can shut all of them: no thread
waits for one that has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .errors import SourceError
from .mailbox import Mailbox
from .overlay import Overlay
from .preprocess import Frame
from .segmenter import Inference, Segmenter
from .sinks.base import Output, Sink
from .sinks.worker import SinkWorker
from .sources.base import Source
from .stats import RunStats

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class RunReport:
    """How a run went.

    Attributes:
        stats: ready for JSON: what :meth:`RunStats.summary` gives, with ``source``, ``captured``, ``dropped`` and
            ``sinks`` added.
        failures: the error of each sink that failed, by its name.
    """

    stats: Mapping[str, Any]
    failures: Mapping[str, Exception]


@dataclass(frozen=True)
class _Captured:
    frame_bgr: Frame
    frame_id: int
    at: float
    name: str


class Pipeline:
    """Runs a segmenter over a source and hands the results to sinks. It runs once.

    Live sources drop stale frames, the newest wins; other sources are processed whole and in order. A sink that
    fails gets no more frames and is reported; inference and the other sinks go on.

    Args:
        source: open; the caller closes it.
        segmenter: open; the caller closes it.
        sinks: not yet written to; the pipeline closes them.
        max_frames: end after so many results; with the source where None.
        on_result: called after each result with the statistics so far, in the decode thread.
        on_failure: called for each sink that fails, with its name and error, in some thread.
        patience_seconds: how long to wait for a source or sink that does not answer before giving it up.
        stopping: set by the caller to end the run, as :meth:`stop` does, perhaps before it began.
    """

    def __init__(
        self,
        source: Source,
        segmenter: Segmenter,
        sinks: Sequence[Sink] = (),
        max_frames: int | None = None,
        on_result: Callable[[RunStats], None] = lambda stats: None,
        on_failure: Callable[[str, Exception], None] = lambda name, error: None,
        patience_seconds: float = 20.0,
        stopping: threading.Event | None = None,
    ) -> None:
        self.stats = RunStats(segmenter.labels)
        self._source = source
        self._segmenter = segmenter
        self._max_frames = max_frames
        self._on_result = on_result
        self._patience_seconds = patience_seconds
        self._overlay = Overlay(segmenter.labels)
        self._captured: Mailbox[_Captured] = Mailbox(1 if source.live else 2, newest_wins=source.live)
        self._inferred: Mailbox[tuple[_Captured, Inference]] = Mailbox(1)
        self._workers = [
            SinkWorker(sink, source.live or not sink.lossless, patience_seconds, self.stop, on_failure)
            for sink in sinks
        ]
        self._frames_read = 0
        self._stopping = stopping or threading.Event()
        self._error: BaseException | None = None
        self._error_lock = threading.Lock()

    def stop(self) -> None:
        """Ends the run after the frames under way. Any thread or signal handler may call it."""
        self._stopping.set()

    def run(self) -> RunReport:
        """Runs until the source ends, ``max_frames`` are done or :meth:`stop` is called.

        Whatever is raised, every thread that answers has ended and every sink is closed.

        Raises:
            SourceError: the source failed, so that sinks keep nothing; or it does not answer.
            BackendError: inference failed. Sinks keep nothing.
        """
        capture = self._start("capture", self._capture_frames)
        stages = [self._start("inference", self._infer_frames), self._start("decode", self._decode_frames)]
        foreground = [worker for worker in self._workers if worker.sink.foreground]
        sinks = {
            worker: self._start(worker.sink.name, partial(worker.run, self._succeeded))
            for worker in self._workers
            if worker not in foreground
        }
        try:
            self._attend(stages, foreground)
        except BaseException as error:  # a second Ctrl-C, say: shut everything, then raise it
            self._fail(error)
        for thread in stages:
            thread.join()
        for worker in foreground:
            worker.run(self._succeeded)
        for worker, thread in sinks.items():
            thread.join(self._patience_seconds)
            if thread.is_alive():
                worker.give_up()
        self.stop()
        capture.join(self._patience_seconds)
        if capture.is_alive():
            self._fail(SourceError(f"{self._source.name} has not answered for {self._patience_seconds:g} s"))
        if self._error is not None:
            raise self._error
        return self._report()

    def _capture_frames(self) -> None:
        while not self._stopping.is_set():
            frame_bgr = self._source.read()
            if frame_bgr is None:
                break
            item = _Captured(
                frame_bgr, self._frames_read, time.monotonic(), getattr(self._source, "frame_name", "")
            )
            self._frames_read += 1
            if not self._captured.put(item):
                break
        self._captured.close()

    def _infer_frames(self) -> None:
        done = 0
        while self._max_frames is None or done < self._max_frames:
            item = self._captured.get()
            if item is None:
                break
            prepared = self._segmenter.prepare(item.frame_bgr, item.at, item.frame_id)
            inference = self._segmenter.infer(prepared)
            if not self._inferred.put((item, inference)):
                break
            done += 1
        self._captured.cancel()
        self._inferred.close()

    def _decode_frames(self) -> None:
        while (pair := self._inferred.get()) is not None:
            item, inference = pair
            result = self._segmenter.decode(inference)
            finished_at = time.monotonic()
            shares = self.stats.record(result, finished_at)
            # A frame of a file waits its turn; only a live one has an age.
            ms = (finished_at - item.at) * 1e3 if self._source.live else sum(result.timings_ms.values())
            status = f"{self.stats.recent_fps:.1f} fps   {ms:.0f} ms"
            draw = partial(self._overlay.draw, item.frame_bgr, result, shares, status)
            output = Output(item.frame_bgr, result, item.name, draw)
            for worker in self._workers:
                worker.offer(output)
            self._on_result(self.stats)
        for worker in self._workers:
            worker.end()

    def _attend(self, stages: Sequence[threading.Thread], foreground: Sequence[SinkWorker]) -> None:
        """Waits for the stages to end, writing to the foreground sinks meanwhile."""
        stopped_at: float | None = None
        while any(thread.is_alive() for thread in stages):
            for worker in foreground:
                worker.step(timeout=0)
            if self._stopping.is_set():
                stopped_at = stopped_at or time.monotonic()
                # A source that hangs in read() cannot be asked to end: go on without its next frame.
                if time.monotonic() - stopped_at > self._patience_seconds:
                    self._captured.close()
            stages[-1].join(_POLL_SECONDS)

    def _report(self) -> RunReport:
        stats = {
            "source": self._source.name,
            "captured": self._frames_read,
            "dropped": self._captured.dropped,
            **self.stats.summary(),
            "sinks": {
                worker.sink.name: {
                    "written": worker.written,
                    "dropped": worker.dropped,
                    "error": str(worker.failure) if worker.failure else None,
                }
                for worker in self._workers
            },
        }
        return RunReport(stats, {w.sink.name: w.failure for w in self._workers if w.failure is not None})

    def _succeeded(self) -> bool:
        return self._error is None

    def _start(self, name: str, target: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                target()
            except BaseException as error:  # raised again by run()
                self._fail(error)

        thread = threading.Thread(target=guarded, name=f"edgeseg {name}", daemon=True)
        thread.start()
        return thread

    def _fail(self, error: BaseException) -> None:
        with self._error_lock:
            self._error = self._error or error
        self._stopping.set()
        self._captured.cancel()
        self._inferred.cancel()
        for worker in self._workers:
            worker.cancel()
