"""``edgeseg run``: a bundle on a camera, a video or pictures."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .errors import BundleError, EdgesegError, UsageError
from .tiling.command import add_options, is_tiled, run_tiled

if TYPE_CHECKING:
    from .labels import LabelMap
    from .pipeline import RunReport
    from .sinks.base import Sink
    from .sources.base import Source

_DEFAULT_BUNDLE = Path("bundle/lraspp")
_FALLBACK_SOURCE = "aerial:7"
_FALLBACK_FRAMES = 300
_FALLBACK_VIDEO = "edgeseg-overlay.mp4"
_FALLBACK_FPS = 25.0

Say = Callable[[str], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg run``."""
    parser.add_argument(
        "--bundle", type=Path, default=_DEFAULT_BUNDLE, metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--source",
        metavar="S",
        help="camera index, video file, picture, folder or glob of pictures, or aerial:SEED;"
        " default: the first camera, else the aerial world",
    )
    parser.add_argument("--save", type=Path, metavar="FILE.mp4", help="write the overlay as a video")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="write each class map as a palette PNG")
    parser.add_argument("--show", action="store_true", help="show the overlay in a window; q or Esc ends")
    parser.add_argument("--stats", type=Path, metavar="FILE.json", help="write what was measured")
    parser.add_argument("--frames", type=int, metavar="N", help="end after N frames")
    parser.add_argument("--variant", metavar="V", help="precision to run; default: the bundle's own choice")
    parser.add_argument("--backend", default="onnxruntime", help="default: %(default)s")
    parser.add_argument(
        "--device", help="one that the backend knows: cpu, cuda, …; default: the backend's own choice"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads for inference")
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

    from .console import StatusLine, summary_table
    from .outputs import prepare_output, write_atomically
    from .pipeline import Pipeline
    from .segmenter import Segmenter

    status = StatusLine()
    if is_tiled(args):
        _check_bundle_is_there(args.bundle)
        with Segmenter(
            args.bundle, args.variant, args.backend, args.device, args.threads, status.say
        ) as segmenter:
            return run_tiled(args, segmenter, status.say)
    if args.stats is not None:
        prepare_output(args.stats, args.force)
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(_signals_call(stopping.set))
        _check_bundle_is_there(args.bundle)
        segmenter = stack.enter_context(
            Segmenter(args.bundle, args.variant, args.backend, args.device, args.threads, status.say)
        )
        source, max_frames = _open_source(args, status.say)
        stack.enter_context(source)
        sinks = _open_sinks(args, segmenter.labels, source, status.say)
        segmenter.warmup()
        pipeline = Pipeline(
            source,
            segmenter,
            sinks,
            max_frames,
            on_result=status.update,
            on_failure=lambda name, error: status.say(f"{name} failed: {error}"),
            stopping=stopping,
        )
        report = pipeline.run()
    status.clear()
    head = {
        "bundle": segmenter.bundle.name,
        "variant": segmenter.variant.name,
        "device": segmenter.backend.device,
    }
    print(f"{'bundle':18}{head['bundle']}, {head['variant']} on {head['device']}")
    print(summary_table(report.stats))
    if args.stats is not None:
        text = json.dumps({**head, **report.stats}, indent=2) + "\n"
        write_atomically(args.stats, text.encode(), args.force)
        print(f"\nwrote statistics {args.stats}")
    return _conclude(sinks, report)


def _check_bundle_is_there(folder: Path) -> None:
    if folder == _DEFAULT_BUNDLE and not folder.exists():
        raise BundleError(f"there is no {folder} here; make it with: python export.py --model lraspp")


def _open_source(args: argparse.Namespace, say: Say) -> tuple[Source, int | None]:
    from .sources import open_source
    from .sources.camera import camera_indices

    if args.source is not None:
        return open_source(args.source), args.frames
    cameras = camera_indices()
    if cameras:
        say(f"no --source given: taking camera {cameras[0]}")
        return open_source(str(cameras[0])), args.frames
    max_frames = args.frames or (None if args.show else _FALLBACK_FRAMES)
    length = f"{max_frames} frames of it" if max_frames else "until you end it"
    say(f"no --source given and no camera found: playing the aerial world ({_FALLBACK_SOURCE}), {length}")
    return open_source(_FALLBACK_SOURCE), max_frames


def _open_sinks(args: argparse.Namespace, labels: LabelMap, source: Source, say: Say) -> list[Sink]:
    from .sinks.masks import MasksSink
    from .sinks.video import VideoSink
    from .sinks.window import WindowSink, why_no_window

    sinks: list[Sink] = []
    save = args.save
    # A run that is given no output at all is to be looked at.
    if args.show or not (args.save or args.masks or args.stats):
        reason = why_no_window()
        if not reason:
            sinks.append(WindowSink())
        elif save is not None:
            say(f"not showing: {reason}")
        else:
            save = _free_name(_FALLBACK_VIDEO)
            say(f"not showing: {reason}; saving to {save} instead")
    if save is not None:
        sinks.append(VideoSink(save, source.fps or _FALLBACK_FPS, in_real_time=source.live, force=args.force))
    if args.masks is not None:
        sinks.append(MasksSink(args.masks, labels, args.force))
    return sinks


def _free_name(name: str) -> Path:
    path, number = Path(name), 1
    while path.exists():
        number += 1
        path = path.with_name(f"{Path(name).stem}-{number}{path.suffix}")
    return path


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


def _conclude(sinks: Sequence[Sink], report: RunReport) -> int:
    for sink in sinks:
        if sink.name not in report.failures and sink.name != "window":
            print(f"wrote {sink.name}")
    for error in report.failures.values():
        if not isinstance(error, EdgesegError):
            raise error  # a bug, which keeps its traceback
    return EdgesegError.exit_status if report.failures else 0
