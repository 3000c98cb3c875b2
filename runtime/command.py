"""``edgeseg run``: a bundle on a camera, a video or pictures."""

from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .errors import BundleError, EdgesegError, UsageError
from .tiling.command import add_options, is_tiled, run_tiled

if TYPE_CHECKING:
    from .pipeline import RunReport
    from .pipeline.trace import Trace
    from .segmenter import Segmenter
    from .sources.base import Source
    from .threads import ThreadChoice

_DEFAULT_BUNDLE = Path("bundle/lraspp")
_FALLBACK_SOURCE = "aerial:7"
_FALLBACK_FRAMES = 300
_AUTO = "auto"
_OUTPUTS = ("--save", "--masks", "--stats", "--trace", "--out")

Say = Callable[[str], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg run``."""
    parser.add_argument(
        "--bundle", type=Path, default=_DEFAULT_BUNDLE, metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--source",
        action="append",
        metavar="S",
        help="camera index, video file, picture, folder or glob of pictures, or aerial:SEED; give it again for"
        " several that share the network; default: the first camera, else the aerial world",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE.mp4",
        help="write the overlay as a video; of several sources each gets its number, at the end or for {source}",
    )
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="write each class map as a palette PNG; numbered likewise"
    )
    parser.add_argument("--show", action="store_true", help="show the overlay in a window; q or Esc ends")
    parser.add_argument("--stats", type=Path, metavar="FILE.json", help="write what was measured")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE.json", help="write when each stage had each frame, for Perfetto"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="end after N frames, of each source")
    parser.add_argument("--variant", metavar="V", help="precision to run; default: the bundle's own choice")
    parser.add_argument(
        "--backend",
        default="onnxruntime",
        help="onnxruntime, openvino, tensorrt or auto; default: %(default)s",
    )
    parser.add_argument(
        "--device",
        help="one that the backend knows: cpu, cpu-spin, cpu-f32, cuda, …; default: the backend's own choice",
    )
    parser.add_argument(
        "--threads",
        default=_AUTO,
        metavar="N",
        help="CPU threads for inference; default: auto, what a measurement at the start favours",
    )
    parser.add_argument(
        "--batch",
        default=_AUTO,
        metavar="N",
        help="the most frames that are inferred at once; default: auto, more than one where that is measured to"
        " be faster for several sources",
    )
    parser.add_argument("--force", action="store_true", help="overwrite outputs that exist")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Runs a bundle over a source; returns 0, or 2 where an output failed.

    Raises:
        EdgesegError: an option, the bundle, the source or an output cannot work.
    """
    # What goes wrong is told in one line; OpenCV and FFmpeg, loaded below, would tell it again in their own way.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames {args.frames}: expected 1 or more")

    from .batching import BatchChoice, measure_batches
    from .console import StatusLine, head_line, head_of, summary_table
    from .outputs import prepare_output, write_atomically
    from .pipeline import Pipeline, Stream
    from .pipeline.trace import Trace
    from .sinks.opening import Outputs, check_apart, open_sinks

    status = StatusLine()
    batch = _number_or_auto("--batch", args.batch)
    tile = is_tiled(args)
    check_apart({name: getattr(args, name[2:]) for name in _OUTPUTS}, args.source or [_FALLBACK_SOURCE])
    if tile:
        if len(args.source) > 1:
            raise UsageError(f"--tile takes one picture; got {len(args.source)} times --source")
        tiled = copy.copy(args)
        tiled.source = args.source[0]
        with _open_segmenter(args, status.say)[0] as segmenter:
            return run_tiled(tiled, segmenter, status.say)
    if args.stats is not None:
        prepare_output(args.stats, args.force)
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(_signals_call(stopping.set))
        trace = None
        if args.trace is not None:
            trace = Trace(args.trace, args.force)
            stack.push(_ends(trace, status.say))
        segmenter, threads = _open_segmenter(args, status.say)
        stack.enter_context(segmenter)
        if threads.threads is not None:
            stack.enter_context(_opencv_in_one_thread())
        segmenter.warmup()
        batches = BatchChoice(batch) if batch else measure_batches(segmenter, len(args.source or [""]))
        sources, max_frames = _open_sources(args, status.say)
        for source in sources:
            stack.enter_context(source)
        needed = not (args.save or args.masks or args.stats or args.trace)
        outputs = Outputs(args.save, args.masks, args.show, needed, args.force)
        sinks = open_sinks(outputs, sources, segmenter.labels, status.say)
        pipeline = Pipeline(
            [Stream(source, its) for source, its in zip(sources, sinks, strict=True)],
            segmenter,
            max_frames=max_frames,
            on_result=status.update,
            on_failure=lambda name, error: status.say(f"{name} failed: {error}"),
            stopping=stopping,
            batch=batches.batch,
            trace=trace,
        )
        report = pipeline.run()
    status.clear()
    print(head_line(segmenter))
    if threads.threads is not None:
        print(f"{'threads':18}{threads.line}")
    if len(sources) > 1 or batches.batch > 1:
        print(f"{'batch':18}{batches.line}")
    print(summary_table(report.stats) + "\n")
    if args.stats is not None:
        tuned = {"threads": threads.summary(), "batch": batches.summary()}
        text = json.dumps({**head_of(segmenter), **tuned, **report.stats}, indent=2) + "\n"
        write_atomically(args.stats, text.encode(), args.force)
        print(f"wrote statistics {args.stats}")
    if trace is not None:
        print(f"wrote trace {args.trace}")
    return _conclude(report)


def _number_or_auto(option: str, text: str) -> int | None:
    """None for ``auto``."""
    if text == _AUTO:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"{option} {text}: expected a number of 1 or more, or {_AUTO}")
    return int(text)


def _open_segmenter(args: argparse.Namespace, say: Say) -> tuple[Segmenter, ThreadChoice]:
    from .bundle import Bundle
    from .cpu import usable_cpus
    from .segmenter import Segmenter
    from .threads import ThreadChoice, decode_threads, open_fastest

    given = _number_or_auto("--threads", args.threads)
    _check_bundle_is_there(args.bundle)
    bundle, cpus = Bundle.load(args.bundle), usable_cpus()

    def open_with(threads: int, like: Segmenter | None) -> Segmenter:
        beside = decode_threads(threads, cpus)
        if like is None:
            return Segmenter(bundle, args.variant, args.backend, args.device, threads, say, beside)
        backend = like.backend
        return Segmenter(
            bundle, like.variant.name, backend.name, backend.device, threads, decode_threads=beside
        )

    if given is None:
        return open_fastest(open_with, cpus)
    return open_with(given, None), ThreadChoice(given, cpus)


@contextmanager
def _opencv_in_one_thread() -> Iterator[None]:
    """Leaves the CPUs to inference; the stages that OpenCV works in have a thread each as it is."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _ends(
    trace: Trace, say: Say
) -> Callable[[type[BaseException] | None, BaseException | None, object], None]:
    """Closes the trace, also where the run failed: what it did until then is worth most."""

    def end(kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        try:
            trace.close()
        except EdgesegError as failure:
            if error is None:
                raise
            say(str(failure))
            return
        if error is not None:
            say(f"wrote trace {trace.path}")
        if trace.cut:
            say(f"{trace.path} has grown to its limit and lacks the end of the run")

    return end


def _check_bundle_is_there(folder: Path) -> None:
    if folder == _DEFAULT_BUNDLE and not folder.exists():
        raise BundleError(f"there is no {folder} here; make it with: python export.py --model lraspp")


def _open_sources(args: argparse.Namespace, say: Say) -> tuple[list[Source], int | None]:
    from .sources import open_source
    from .sources.camera import camera_indices

    if args.source:
        sources: list[Source] = []
        try:
            sources.extend(open_source(uri) for uri in args.source)
        except BaseException:
            for source in sources:
                source.close()
            raise
        return sources, args.frames
    cameras = camera_indices()
    if cameras:
        say(f"no --source given: taking camera {cameras[0]}")
        return [open_source(str(cameras[0]))], args.frames
    max_frames = args.frames or (None if args.show else _FALLBACK_FRAMES)
    length = f"{max_frames} frames of it" if max_frames else "until you end it"
    say(f"no --source given and no camera found: playing the aerial world ({_FALLBACK_SOURCE}), {length}")
    return [open_source(_FALLBACK_SOURCE)], max_frames


@contextmanager
def _signals_call(stop: Callable[[], None]) -> Iterator[None]:
    """Ends the run cleanly on the first Ctrl-C or SIGTERM, and at once on the second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.default_int_handler)
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _conclude(report: RunReport) -> int:
    for name in report.kept:
        if not name.startswith("window"):
            print(f"wrote {name}")
    for error in report.failures.values():
        if not isinstance(error, EdgesegError):
            raise error  # a bug, which keeps its traceback
    return EdgesegError.exit_status if report.failures else 0
