"""The pipeline: capture, preprocess, inference, decode and output, in overlapping threads.

NumPy, OpenCV and ONNX Runtime release the interpreter's lock, so the stages run side by side::

    source -> capture -> [newest frame | every frame] -+                                      +-> one thread a sink
    source -> capture -> [newest frame | every frame] -+-> preprocess -> inference -> decode -+-> one thread a sink
                                                       |   (frames of all sources in turn)    |
                                                      ...                                    ...

Threads pass frames through bounded mailboxes, so memory is bounded. A failure anywhere can close all mailboxes, so no
thread waits for one that has ended. The pipeline accepts a frame only when the sinks of its source have room for the
result, so a slow sink delays only its own source.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from ...core.errors import EdgesegError, SessionError, SourceError, UsageError
from ...core.source import Source
from ..clock import now
from ..forks import Owned, is_left_alone, refuse_in_child, stays_with_this_process
from ..health.limits import Limits
from ..segmenter import Segmenter
from ..sinks.base import Sink
from ..status import Status
from . import ending
from .degrade import Degrader, steps_down
from .ending import Ending
from .heartbeat import Heartbeat
from .network import Network
from .options import Conditions, PipelineOptions
from .overview import Overview
from .report import RunReport, make_report
from .sink_worker import SinkWorker
from .stages import Stages
from .stats import RunStats
from .streams import Channel, Intake, Stream

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_BATCHES_KEPT = 3
"""Batches of prepared frames at once: in preparation, waiting and in inference. One more frame is kept as a spare."""

_IN_A_CHILD = Owned("the pipeline", UsageError, ignores=())


class Pipeline:
    """Runs a segmenter over one source or several, and gives the results to sinks. It runs once.

    Live sources drop stale frames: the newest wins. Other sources are processed whole and in order. A sink that
    fails is reported and gets no more frames; inference and the other sinks go on. The same holds for one of several
    sources. With a live source, a failed inference loses only its frame, and :meth:`status` and the sinks show at
    each moment whether the newest result is valid.

    Threads: any one thread calls :meth:`run`; others may call :meth:`status` and :meth:`stop`. The pipeline calls the
    functions it is given in its own threads, each by one thread at a time. It belongs to the process that made it: in
    a forked child :meth:`stop` does nothing, the other methods raise UsageError, and no sink is used.

    Example:
        >>> report = Pipeline(source, segmenter, sinks).run()  # doctest: +SKIP
        >>> streams = [Stream(front, [video]), Stream(rear)]  # doctest: +SKIP
        >>> Pipeline(streams, segmenter, options=PipelineOptions(batch=2)).run()  # doctest: +SKIP

    Args:
        source: open; the caller closes it. Or several streams, each with its sinks, that share the segmenter in turn.
        segmenter: open; the caller closes it.
        sinks: the sinks, or the one sink, of a single source; not yet written to. The pipeline closes them.
        limits: the limits of the run, such as the greatest age of a valid result; None for the defaults.
        options: the rarer choices; None for the defaults.

    Attributes:
        stats: the statistics over all streams so far.

    Raises:
        UsageError: there is no stream, ``sinks`` are given with several streams, or a segmenter of
            ``options.degrade`` does not fit.
    """

    def __init__(
        self,
        source: Source | Sequence[Stream],
        segmenter: Segmenter,
        sinks: Sequence[Sink] | Sink = (),
        limits: Limits | None = None,
        options: PipelineOptions | None = None,
    ) -> None:
        sinks = [sinks] if isinstance(sinks, Sink) else sinks
        streams = list(source) if isinstance(source, Sequence) else [Stream(source, sinks)]
        if not streams:
            raise UsageError("a pipeline needs a stream; got none")
        if sinks and isinstance(source, Sequence):
            raise UsageError("each stream has its own sinks; give them as Stream(source, sinks)")
        stays_with_this_process(self, _IN_A_CHILD)
        limits, self._options = limits or Limits(), options or PipelineOptions()
        self._stopping = self._options.stopping or threading.Event()
        self._has_run = False
        self._error: BaseException | None = None
        self._error_lock = threading.Lock()
        intake = Intake()
        run = Conditions(segmenter.labels, limits, self._options, self._stopping, intake.notify)
        self._channels = _channels_of(streams, run)
        intake.watch(self._channels)
        self._ending = Ending(self._channels, self._stopping, self._options.patience_seconds)
        self._workers = [worker for channel in self._channels for worker in channel.workers]
        self.stats = self._channels[0].stats if len(streams) == 1 else RunStats(segmenter.labels)
        steps, smaller = steps_down(segmenter, self._options.degrade)
        degrader = Degrader(steps, limits.deadline_ms, self._options.recover_after_seconds)
        survives = any(channel.live for channel in self._channels)
        keep_frames = _BATCHES_KEPT * self._options.batch + 1
        network = Network([segmenter, *smaller], limits, survives, keep_frames)
        self._stages = Stages(self._channels, intake, network, degrader, self.stats, run)
        self._overview = Overview(self._channels, network, degrader, self.stats, run)
        self._heartbeat = Heartbeat(self._channels, self._overview.status, self._stages.overlay, run)

    def stop(self) -> None:
        """Ends the run after the frames in progress. Any thread or signal handler may call it."""
        if not is_left_alone(self):  # in a child, a thread that no longer exists may hold the event's lock
            self._stopping.set()

    def status(self) -> Status:
        """Returns the run's status now. Any thread may call it.

        Raises:
            SessionError: inference is so late that the run is about to end.
        """
        refuse_in_child(self)
        return self._overview.status()

    def run(self) -> RunReport:
        """Runs until all sources end, ``options.max_frames`` are done or :meth:`stop` is called.

        When this raises, every thread that answers has ended and every sink is closed. With a live source, no
        failure during the run is raised: the report holds it, and the sinks keep their output.

        Raises:
            UsageError: the pipeline has run already.
            SourceError: the only source failed, and sinks keep nothing; or it does not answer.
            BackendError: inference failed. Sinks keep nothing.
        """
        refuse_in_child(self)
        with self._error_lock:
            has_run, self._has_run = self._has_run, True
        if has_run:
            raise UsageError("a pipeline runs once; make another for another run")
        captures = {
            channel: self._start(
                f"capture {channel.name}",
                partial(self._stages.capture, channel),
                partial(self._fail_channel, channel),
            )
            for channel in self._channels
        }
        stages = [
            self._start("preprocess", self._stages.preprocess),
            self._start("inference", self._stages.infer),
            self._start("decode", self._stages.decode),
        ]
        over = threading.Event()
        heartbeat = self._start("heartbeat", partial(self._heartbeat.run, over.wait))
        foreground = [worker for worker in self._workers if worker.sink.foreground]
        commits = {
            worker: partial(self._succeeded, channel)
            for channel in self._channels
            for worker in channel.workers
        }
        sinks = {
            worker: self._start(worker.sink.name, partial(worker.run, commits[worker]))
            for worker in self._workers
            if worker not in foreground
        }
        try:
            self._attend(stages, foreground)
        except BaseException as error:  # such as a second Ctrl-C: all threads must end before run() raises it
            self._fail(error)
            self._ending.impatient = not isinstance(error, Exception) and self._ending.notice()
        ended_at = now()
        over.set()
        for worker in self._workers:
            worker.end()
        for worker in foreground:
            worker.run(commits[worker])
        self._ending.await_sinks(sinks)
        self.stop()
        for channel in self._ending.await_captures(captures):
            if not self._ending.asked:
                waited = f"{self._options.patience_seconds:g} s"
                self._fail_channel(channel, SourceError(f"{channel.name} has not answered for {waited}"))
        heartbeat.join()
        if not any(thread.is_alive() for thread in stages):
            self._stages.network.close()
        stuck = any(thread.is_alive() for thread in (*stages, *captures.values(), *sinks.values()))
        if self._error is not None and not isinstance(self._error, SessionError):
            raise self._error
        seconds = ended_at - (self._stages.first_result_at or ended_at)
        return make_report(self._channels, self.stats, self._stages, seconds, self._error, stuck)

    def _attend(self, stages: Sequence[threading.Thread], foreground: Sequence[SinkWorker]) -> None:
        """Waits for the stages to end, and writes to the foreground sinks meanwhile."""
        while any(thread.is_alive() for thread in stages):
            for worker in foreground:
                worker.step(timeout=0)
            self._overview.stopping = self._ending.notice()
            # A source that hangs in read() cannot be asked to end, so the run goes on without its next frame.
            if self._ending.is_over(ending.SOURCES):
                for channel in self._channels:
                    channel.captured.close()
            if self._ending.is_over(ending.STAGES):
                self._stages.shut()
                return
            stages[-1].join(_POLL_SECONDS)
        self._ending.notice()

    def _succeeded(self, channel: Channel) -> bool:
        """Returns True if a stream's sinks keep their output. A camera's frames cannot be captured again."""
        return channel.live or (self._error is None and channel.error is None)

    def _start(
        self,
        name: str,
        target: Callable[[], None],
        on_error: Callable[[BaseException], None] | None = None,
    ) -> threading.Thread:
        def guarded() -> None:
            try:
                target()
            except BaseException as error:  # raised again by run(), or reported by it
                (on_error or self._fail)(error)

        thread = threading.Thread(target=guarded, name=f"edgeseg {name}", daemon=True)
        thread.start()
        return thread

    def _fail_channel(self, channel: Channel, error: BaseException) -> None:
        """Ends one of several streams, or the run if there is only one. The output of a live stream is kept."""
        keeps_output = channel.live and isinstance(error, EdgesegError)
        if not keeps_output and (len(self._channels) == 1 or not isinstance(error, Exception)):
            self._fail(error)
            return
        assert isinstance(error, Exception)
        channel.fail(error)
        log.error(
            "%s failed: %s",
            channel.name,
            error,
            extra={"event": "disabled", "fields": {"name": channel.name}},
        )
        self._options.on_failure(channel.name, error)

    def _fail(self, error: BaseException) -> None:
        with self._error_lock:
            self._error = self._error or error
        self._stopping.set()
        if isinstance(error, SessionError):
            self._stages.shut()
        else:
            self._stages.cancel()


def _channels_of(streams: Sequence[Stream], run: Conditions) -> list[Channel]:
    """Returns the streams during the run. They are numbered from 1; a single one has the number 0."""
    channels: list[Channel] = []
    for number, stream in enumerate(streams, 0 if len(streams) == 1 else 1):
        name = _name_beside([channel.name for channel in channels], stream.source.name)
        channels.append(Channel(number, name, stream, run))
    return channels


def _name_beside(others: Sequence[str], name: str) -> str:
    """Returns the name, with a number added if another stream has it."""
    number, free = 1, name
    while free in others:
        number += 1
        free = f"{name} ({number})"
    return free
