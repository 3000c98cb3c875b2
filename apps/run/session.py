"""The session of one run, from the request to the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ...core.callbacks import OnMessage
from ...core.outputs import prepare_output
from ...core.printable import printable_lines
from ...core.source import Source
from ...embedding.mavlink.link import MavlinkLink
from ...runtime.batching import BatchChoice, measure_batches
from ...runtime.pipeline import Pipeline, PipelineOptions, RunReport, Stream
from ...runtime.pipeline.trace import Trace
from ...runtime.segmenter import Segmenter
from ...runtime.sinks.base import Sink
from ...runtime.threads import ThreadChoice
from ..console import StatusLine
from ..preview.options import PreviewOptions
from ..recording.head import head_of_run
from ..recording.sink import RecordingSink
from ..service.board import BoardReader
from ..service.systemd import Notifier
from ..tiling.request import TileRequest
from ..tiling.run import run_tiled
from .autopilot import add_sink, open_link
from .ending import conclude, ends, tell
from .opening import (
    builds_engines,
    close_steps,
    open_segmenter,
    open_sources,
    open_steps,
    opencv_in_one_thread,
    read_names,
    reads_of,
)
from .outputs import check_all, check_apart, claim_all, open_sinks
from .recordings import Recordings
from .request import RunRequest
from .stop import Stop
from .vehicle import open_postprocessors
from .watch import Watch, now_and_then

if TYPE_CHECKING:
    from ..preview.server import PreviewServer

T = TypeVar("T")

_MORE_SECONDS = 60.0
"""Extension of systemd's start timeout, sent every two seconds: building an engine takes minutes."""


@dataclass(frozen=True)
class Opened:
    """The parts of a run that are opened before its outputs."""

    segmenter: Segmenter
    threads: ThreadChoice
    steps: Sequence[Segmenter | float]
    batches: BatchChoice
    sources: Sequence[Source]
    frames: int | None
    trace: Trace | None
    notifier: Notifier
    link: MavlinkLink | None


class Session:
    """One run, which it opens, runs and closes.

    Args:
        request: the checked options.
        stop: the request to end.
        status: the line on the terminal.
        on_message: prints a line.

    Attributes:
        stuck: True if a part does not respond at the end, so that only the end of the process can stop it.

    Raises:
        UsageError: two outputs have the same name. Nothing has been opened then.
        OutputError: an output may not be written.
    """

    def __init__(self, request: RunRequest, stop: Stop, status: StatusLine, on_message: OnMessage) -> None:
        self._request, self._stop, self._status, self._on_message = request, stop, status, on_message
        self.stuck = False
        sources = len(read_names(request))
        check_apart(request.outputs, sources)
        segmented = request.sinks.segment_seconds is not None
        check_all(request.outputs, sources, reads_of(request), segmented=segmented)

    def run(self) -> int:
        """Opens, runs and closes everything.

        Returns:
            The exit status.

        Raises:
            EdgesegError: something cannot be opened, or failed in a run over files.
            Stopped: the user asked for the end before the run had begun.
        """
        return self._run_stream() if self._request.tile is None else self._run_tiles(self._request.tile)

    def _run_tiles(self, tile: TileRequest) -> int:
        request = self._request
        with ExitStack() as stack:
            with self._stop.on_signals():
                claim_all(stack, request.outputs, 1)
                segmenter, _ = self._within_limit(partial(open_segmenter, request.network, self._on_message))
            stack.enter_context(segmenter)
            return run_tiled(tile, segmenter, self._on_message)

    def _run_stream(self) -> int:
        request = self._request
        if request.stats is not None:
            prepare_output(request.stats, request.force)
        with ExitStack() as stack:
            stack.enter_context(self._stop.on_signals())
            claim_all(stack, request.outputs, len(read_names(request)))
            opened = self._open(stack)
            report = self._run(stack, opened)
            if report.stuck:
                self.stuck = True
                stack.pop_all()  # a part that does not respond cannot be closed either
                if opened.trace is not None:
                    opened.trace.close()
        self._status.clear()
        tell(report, opened.segmenter, opened.threads, opened.batches, request, self._print)
        return conclude(report, request, self._print)

    def _open(self, stack: ExitStack) -> Opened:
        """Opens everything except the outputs; the stack closes it."""
        request, network, stop = self._request, self._request.network, self._stop
        notifier = stack.enter_context(Notifier())
        patience = partial(notifier.extend_timeout, _MORE_SECONDS)
        trace = None
        if request.trace is not None:
            trace = Trace(request.trace, request.force)
            stack.push(ends(trace, self._on_message))
        link = open_link(request.sinks.mavlink, len(read_names(request)))
        if link is not None:
            stack.enter_context(link)
        segmenter, threads = self._within_limit(partial(open_segmenter, network, self._on_message), patience)
        stack.enter_context(segmenter)
        steps = self._within_limit(partial(open_steps, network, segmenter), patience)
        stack.callback(close_steps, steps)
        if threads.threads is not None:
            stack.enter_context(opencv_in_one_thread())
        measure = partial(measure_batches, segmenter, len(read_names(request)))
        batches = BatchChoice(network.batch) if network.batch else self._within_limit(measure, patience)
        sources, frames = stop.unless(partial(open_sources, request, self._on_message, stop.event), patience)
        for source in sources:
            stack.enter_context(source)
        return Opened(segmenter, threads, steps, batches, sources, frames, trace, notifier, link)

    def _within_limit(self, work: Callable[[], T], tick: Callable[[], None] = lambda: None) -> T:
        """Opens a part of the network within the time limit. Raises as :meth:`.stop.Stop.unless`."""
        limit_s = self._request.limits.start_timeout_s
        seconds = None if builds_engines(self._request.network) else limit_s
        return self._stop.unless(
            work,
            tick,
            seconds,
            f"the network was not ready after {limit_s:g} s, and is not waited for any longer;"
            " see where the bundle comes from, or set another --start-timeout",
        )

    def _run(self, stack: ExitStack, opened: Opened) -> RunReport:
        segmenter, sources, request = opened.segmenter, opened.sources, self._request
        head = partial(head_of_run, segmenter, threads=opened.threads.threads)
        sinks = open_sinks(request, sources, segmenter.labels, head, self._on_message)
        try:
            page = None if request.preview is None else self._make_page(request.preview, segmenter, sinks)
            add_sink(opened.link, sinks)
            poses = None if opened.link is None else opened.link.poses
            told_within_s = request.limits.told_within_s
            processors = open_postprocessors(request.vehicle, sources, segmenter.labels, told_within_s, poses)
            streams = [Stream(*parts) for parts in zip(sources, sinks, processors, strict=True)]
            options = PipelineOptions(
                max_frames=opened.frames,
                batch=opened.batches.batch,
                degrade=opened.steps,
                stopping=self._stop.event,
                trace=opened.trace,
                on_result=self._status.update,
                on_beat=Watch(opened.notifier, 2 * request.limits.inference_timeout_s),
                board=now_and_then(BoardReader().read),
            )
            pipeline = Pipeline(streams, segmenter, limits=request.limits, options=options)
            if page is not None:
                page.start(pipeline.status)
                stack.callback(page.close)
        except BaseException:
            for sink in (sink for its in sinks for sink in its):
                sink.close(commit=False)
            raise
        opened.notifier.ready(
            f"{segmenter.bundle.name}, {segmenter.variant.name} on {segmenter.backend.device}"
        )
        return pipeline.run()

    def _print(self, line: str) -> None:
        """Prints a line of the closing report; on stderr if events go to standard output."""
        print(
            printable_lines(line), file=sys.stderr if self._request.sinks.take_standard_output else sys.stdout
        )

    def _make_page(
        self, options: PreviewOptions, segmenter: Segmenter, sinks: Sequence[list[Sink]]
    ) -> PreviewServer:
        """Makes the preview page, and adds its sinks to those of the sources."""
        from ..preview.server import PreviewServer

        recordings = [sink for its in sinks for sink in its if isinstance(sink, RecordingSink)]
        page = PreviewServer(options, segmenter.labels, Recordings(recordings), self._on_message)
        for number, its in enumerate(sinks, 0 if len(sinks) == 1 else 1):
            its.append(page.sink(number))
        return page
