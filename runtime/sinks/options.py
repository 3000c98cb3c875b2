"""The options of ``edgeseg run`` that say where results go, and the sinks that they ask for."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ..labels import LabelMap
    from .base import Sink

PNG, NPZ = "png", "npz"

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_LEAST_BYTES = 10**7
_LONGEST_SEGMENT_SECONDS = 86_400.0


@dataclass(frozen=True)
class SinkOptions:
    """What is asked for beside a window.

    Attributes:
        segment_seconds: how long each file of a video lasts; None for one file.
        save_limit_bytes: of a video's segments together; None without a bound.
        masks_format: ``png`` or ``npz``.
        events: targets.
        shm: name of shared memory.
        shm_frames: whether frames go there too.
        record: folder of a recording.
        record_limit_bytes: of it; None without a bound.
    """

    segment_seconds: float | None = None
    save_limit_bytes: int | None = None
    masks_format: str = PNG
    events: tuple[str, ...] = ()
    shm: str | None = None
    shm_frames: bool = False
    record: Path | None = None
    record_limit_bytes: int | None = None

    @property
    def any_asked(self) -> bool:
        """Whether results go anywhere by these options alone."""
        return bool(self.events or self.shm or self.record)

    @property
    def take_standard_output(self) -> bool:
        """Whether events go to standard output, so that nothing else may."""
        return "-" in self.events


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of sinks to those of ``edgeseg run``."""
    group = parser.add_argument_group("where results go")
    group.add_argument(
        "--segment",
        metavar="SECONDS",
        help="write --save as FILE-000001.mp4 and on, each so long: a power cut loses the last at most",
    )
    group.add_argument(
        "--save-limit",
        metavar="BYTES",
        help="with --segment: the oldest files go beyond so much, such as 20G",
    )
    group.add_argument(
        "--masks-format",
        choices=(PNG, NPZ),
        default=PNG,
        help="a palette PNG a mask, or a compressed NumPy array a few seconds; default: %(default)s",
    )
    group.add_argument(
        "--events",
        action="append",
        metavar="TARGET",
        help="write JSON lines to -, a FILE or udp://HOST:PORT; give it again for several",
    )
    group.add_argument(
        "--shm",
        metavar="NAME",
        help="publish class maps in shared memory, for another process on this machine",
    )
    group.add_argument("--shm-frames", action="store_true", help="with --shm: publish the frames too")
    group.add_argument(
        "--record", type=Path, metavar="DIR", help="keep frames, masks and timings, for `edgeseg replay`"
    )
    group.add_argument(
        "--record-limit",
        metavar="BYTES",
        help="with --record: the oldest segments go beyond so much, such as 50G",
    )


def sink_options(args: argparse.Namespace) -> SinkOptions:
    """What was asked for.

    Args:
        args: parsed by a parser that :func:`add_options` and ``--save`` and ``--masks`` were added to.

    Raises:
        UsageError: a value cannot be, or an option stands without the one that it belongs to.
    """
    for option, needed in (
        ("segment", "save"), ("save_limit", "segment"), ("shm_frames", "shm"), ("record_limit", "record"),
    ):  # fmt: skip
        if getattr(args, option) and not getattr(args, needed):
            flag, other = (f"--{name.replace('_', '-')}" for name in (option, needed))
            raise UsageError(f"{flag} goes with {other} alone; give {other} too, or leave it out")
    if args.masks_format != PNG and not args.masks:
        raise UsageError("--masks-format goes with --masks alone; give --masks too, or leave it out")
    if len(args.events or ()) != len(set(args.events or ())):
        raise UsageError("--events names one target twice; give each once")
    return SinkOptions(
        segment_seconds=None if args.segment is None else _seconds("--segment", args.segment),
        save_limit_bytes=None if args.save_limit is None else parse_bytes("--save-limit", args.save_limit),
        masks_format=args.masks_format,
        events=tuple(args.events or ()),
        shm=args.shm,
        shm_frames=args.shm_frames,
        record=args.record,
        record_limit_bytes=None
        if args.record_limit is None
        else parse_bytes("--record-limit", args.record_limit),
    )


def open_video(options: SinkOptions, path: Path, fps: float, live: bool, force: bool) -> Sink:
    """The sink of ``--save``: one file, or segments.

    Args:
        options: as asked for.
        path: of this source.
        fps: that it plays at.
        live: of the source.
        force: whether one file may replace another; segments replace none.

    Raises:
        OutputError: as :class:`~edgeseg.runtime.sinks.video.VideoSink`.
    """
    from .video import SegmentedVideoSink, VideoSink

    if options.segment_seconds is None:
        return VideoSink(path, fps, live, force)
    return SegmentedVideoSink(path, fps, options.segment_seconds, live, options.save_limit_bytes)


def open_masks(options: SinkOptions, folder: Path, labels: LabelMap, live: bool, force: bool) -> Sink:
    """The sink of ``--masks``: PNGs, all at the end of a file and at once of a live source; or arrays.

    Args:
        options: as asked for.
        folder: of this source.
        labels: the classes.
        live: of the source.
        force: whether PNGs of a file may replace others.

    Raises:
        OutputError: the folder cannot be written, or holds something else.
    """
    from .mask_arrays import MaskArraysSink
    from .masks import LiveMasksSink, MasksSink

    if options.masks_format == NPZ:
        return MaskArraysSink(folder, labels)
    return LiveMasksSink(folder, labels) if live else MasksSink(folder, labels, force)


def open_others(
    options: SinkOptions,
    labels: LabelMap,
    head: Mapping[str, Any],
    source: int = 0,
    named: Callable[[Path], Path] = lambda path: path,
) -> list[Sink]:
    """The sinks of ``--events``, ``--shm`` and ``--record``, in this order.

    Args:
        options: as asked for.
        labels: the classes.
        head: what runs, for the recording.
        source: the source's number, from 1; 0 where there is but one.
        named: gives an output its name for this source.

    Raises:
        UsageError: a target of events cannot be.
        OutputError: an output cannot be written.
    """
    from ..recording.sink import RecordingSink
    from .events import EventsSink
    from .shared_memory import SharedMemorySink

    sinks: list[Sink] = []
    try:
        # Events say which source they are of, and so share their target.
        sinks += [EventsSink(target, labels, source) for target in options.events]
        if options.shm is not None:
            name = str(named(Path(options.shm)))
            sinks.append(SharedMemorySink(name, labels, with_frames=options.shm_frames))
        if options.record is not None:
            sinks.append(
                RecordingSink(named(options.record), labels, head, most_bytes=options.record_limit_bytes)
            )
    except BaseException:
        for sink in sinks:
            sink.close(commit=False)
        raise
    return sinks


def parse_bytes(option: str, text: str) -> int:
    """A size such as ``500M`` or ``20G``, in bytes; units are powers of 1000.

    Raises:
        UsageError: it is none, or less than ten megabytes.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    size = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size < _LEAST_BYTES:
        raise UsageError(f"{option} {text}: expected a size of 10M or more, such as 500M or 20G")
    return size


def _seconds(option: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _LONGEST_SEGMENT_SECONDS:
        raise UsageError(f"{option} {text}: expected 1 to {_LONGEST_SEGMENT_SECONDS:.0f} seconds")
    return seconds
