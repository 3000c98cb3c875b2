"""One run, from the options to the exit status: opens what is needed, flies, and closes all of it."""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..batching import BatchChoice, measure_batches
from ..console import StatusLine
from ..errors import UsageError
from ..outputs import prepare_output
from ..pipeline import Pipeline, RunReport, Stream
from ..pipeline.trace import Trace
from ..preview.options import preview_options
from ..printable import printable_lines
from ..recording.head import head_of_run
from ..recording.sink import RecordingSink
from ..segmenter import Segmenter
from ..service.board import BoardReader
from ..service.systemd import Notifier
from ..sinks.base import Sink
from ..sinks.options import sink_options
from ..sources.base import Source
from ..status import Status
from ..threads import ThreadChoice
from ..tiling.command import is_tiled, run_tiled
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
from .options import limits_of, number_or_auto, steps_of
from .outputs import Outputs, check_all, check_apart, claim_all, open_sinks
from .recordings import Recordings
from .stop import Stop
from .watch import Watch, now_and_then

if TYPE_CHECKING:
    from ..preview.server import PreviewServer

T = TypeVar("T")

_OUTPUTS = ("--save", "--masks", "--stats", "--trace", "--out", "--record")
_MORE_SECONDS = 60.0
"""systemd is told every two seconds that opening may still take so long: building an engine takes minutes."""


@dataclass(frozen=True)
class Opened:
    """What a run has opened before its outputs."""

    segmenter: Segmenter
    threads: ThreadChoice
    steps: Sequence[Segmenter | float]
    batches: BatchChoice
    sources: Sequence[Source]
    frames: int | None
    trace: Trace | None
    notifier: Notifier


class Flight:
    """A run as the command line describes it.

    Args:
        args: the options.
        stop: the wish to end.
        status: the line on the terminal.
        say: tells people a line.

    Attributes:
        stuck: whether something has not answered to the end, so that only the end of the process ends it.

    Raises:
        UsageError: an option has a value that cannot work. Nothing has been opened then.
    """

    def __init__(
        self, args: argparse.Namespace, stop: Stop, status: StatusLine, say: Callable[[str], None]
    ) -> None:
        self._args, self._stop, self._status, self._say = args, stop, status, say
        self.stuck = False
        self._batch = number_or_auto("--batch", args.batch)
        number_or_auto("--threads", args.threads)
        self._tiled = is_tiled(args)
        self._outputs = outputs = {name: getattr(args, name[2:]) for name in _OUTPUTS}
        outputs["--events"] = sink_options(args).event_files
        sources = read_names(args)
        check_apart(outputs, len(sources))
        check_all(outputs, len(sources), reads_of(args), segmented=args.segment is not None)
        if self._tiled and len(args.source) > 1:
            raise UsageError(f"--tile takes one picture; got {len(args.source)} times --source")
        steps_of(args.degrade)
        self._limits, self._sinks, self._preview = limits_of(args), sink_options(args), preview_options(args)

    def run(self) -> int:
        """Opens, runs and closes everything.

        Returns:
            The exit status.

        Raises:
            EdgesegError: something cannot be opened, or failed in a run over files.
            Stopped: the end was asked for before the run had begun.
        """
        return self._tile() if self._tiled else self._fly()

    def _tile(self) -> int:
        args = copy.copy(self._args)
        args.source = args.source[0]
        with ExitStack() as stack:
            with self._stop.on_signals():
                claim_all(stack, self._outputs, 1)
                segmenter, _ = self._within_limit(partial(open_segmenter, args, self._say))
            stack.enter_context(segmenter)
            return run_tiled(args, segmenter, self._say)

    def _fly(self) -> int:
        args = self._args
        if args.stats is not None:
            prepare_output(args.stats, args.force)
        with ExitStack() as stack:
            stack.enter_context(self._stop.on_signals())
            claim_all(stack, self._outputs, len(read_names(args)))
            opened = self._open(stack)
            report = self._run(stack, opened)
            if report.stuck:
                self.stuck = True
                stack.pop_all()  # what does not answer cannot be closed either
                if opened.trace is not None:
                    opened.trace.close()
        self._status.clear()
        tell(report, opened.segmenter, opened.threads, opened.batches, args, self._print)
        return conclude(report, args, self._print)

    def _open(self, stack: ExitStack) -> Opened:
        """Opens everything but the outputs; the stack closes it."""
        args, stop = self._args, self._stop
        notifier = stack.enter_context(Notifier())
        patience = partial(notifier.extend_timeout, _MORE_SECONDS)
        trace = None
        if args.trace is not None:
            trace = Trace(args.trace, args.force)
            stack.push(ends(trace, self._say))
        segmenter, threads = self._within_limit(partial(open_segmenter, args, self._say), patience)
        stack.enter_context(segmenter)
        steps = self._within_limit(partial(open_steps, args, segmenter), patience)
        stack.callback(close_steps, steps)
        if threads.threads is not None:
            stack.enter_context(opencv_in_one_thread())
        measure = partial(measure_batches, segmenter, len(read_names(args)))
        batches = BatchChoice(self._batch) if self._batch else self._within_limit(measure, patience)
        sources, frames = stop.unless(partial(open_sources, args, self._say, stop.event), patience)
        for source in sources:
            stack.enter_context(source)
        return Opened(segmenter, threads, steps, batches, sources, frames, trace, notifier)

    def _within_limit(self, work: Callable[[], T], tick: Callable[[], None] = lambda: None) -> T:
        """Does a part of opening the network; :meth:`.stop.Stop.unless` has what is raised."""
        seconds = None if builds_engines(self._args) else self._limits.start_timeout_s
        return self._stop.unless(
            work,
            tick,
            seconds,
            f"the network was not ready after {self._limits.start_timeout_s:g} s, and is not waited for any longer;"
            " see where the bundle comes from, or set another --start-timeout",
        )

    def _run(self, stack: ExitStack, opened: Opened) -> RunReport:
        segmenter, sources = opened.segmenter, opened.sources
        args = self._args
        asked = (args.save, args.masks, args.stats, args.trace, self._preview, self._sinks.any_asked)
        head = partial(head_of_run, segmenter, threads=opened.threads.threads)
        outputs = Outputs(
            args.save,
            args.masks,
            args.show,
            needed=not any(asked),
            force=args.force,
            options=self._sinks,
            head=head,
            recordable=self._preview is not None,
        )
        sinks = open_sinks(outputs, sources, segmenter.labels, self._say)
        try:
            page = self._open_page(segmenter, sinks, lambda: pipeline.status()) if self._preview else None
            pipeline = Pipeline(
                [Stream(source, its) for source, its in zip(sources, sinks, strict=True)],
                segmenter,
                max_frames=opened.frames,
                on_result=self._status.update,
                stopping=self._stop.event,
                batch=opened.batches.batch,
                trace=opened.trace,
                limits=self._limits,
                degrade=opened.steps,
                on_beat=Watch(opened.notifier, 2 * self._limits.inference_timeout_s),
                board=now_and_then(BoardReader().read),
            )
            if page is not None:
                page.start()
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
        """Prints a line of the closing report, beside events that go to standard output."""
        print(printable_lines(line), file=sys.stderr if self._sinks.take_standard_output else sys.stdout)

    def _open_page(
        self, segmenter: Segmenter, sinks: Sequence[list[Sink]], status: Callable[[], Status]
    ) -> PreviewServer:
        """Makes the preview page, and adds its sinks."""
        from ..preview.server import PreviewServer

        assert self._preview is not None
        recordings = [sink for its in sinks for sink in its if isinstance(sink, RecordingSink)]
        page = PreviewServer(self._preview, segmenter.labels, status, Recordings(recordings), self._say)
        for number, its in enumerate(sinks, 0 if len(sinks) == 1 else 1):
            its.append(page.sink(number))
        return page
