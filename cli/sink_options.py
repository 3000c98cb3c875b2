"""The options of ``edgeseg run`` for sinks of results."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from ..apps.run.request import NPZ, PNG, ROS_NAMESPACE, SinkOptions
from ..core.errors import UsageError
from ..runtime.sinks.event_targets import check_target
from ..runtime.sinks.shm_layout import SHM_NAME

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_ROS_NAMESPACE = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_LEAST_BYTES = 10**7
_LONGEST_SEGMENT_SECONDS = 86_400.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of sinks to those of ``edgeseg run``."""
    group = parser.add_argument_group("more outputs")
    group.add_argument(
        "--segment",
        metavar="SECONDS",
        help="write --save as files of this length, FILE-000001.mp4 and on: a power cut loses the last one at most",
    )
    group.add_argument(
        "--save-limit",
        metavar="BYTES",
        help="with --segment: keep all files together below this size, such as 20G; the oldest are deleted",
    )
    group.add_argument(
        "--masks-format",
        choices=(PNG, NPZ),
        default=PNG,
        help="a palette PNG for each mask, or a compressed NumPy array for every 10 s; default: %(default)s",
    )
    group.add_argument(
        "--events",
        action="append",
        metavar="TARGET",
        help="write JSON lines to - (standard output), a FILE or udp://HOST:PORT; may be repeated",
    )
    group.add_argument(
        "--shm",
        metavar="NAME",
        help="publish class maps in shared memory, for another process on this machine",
    )
    group.add_argument("--shm-frames", action="store_true", help="with --shm: publish the frames too")
    group.add_argument(
        "--ros2",
        nargs="?",
        const=ROS_NAMESPACE,
        metavar="NAMESPACE",
        help="publish class maps, diagnostics and findings as ROS 2 topics below this namespace; default:"
        " %(const)s",
    )
    group.add_argument(
        "--ros-args",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="with --ros2, and last: all that follows is for ROS, such as --params-file FILE.yaml or -r mask:=/mask",
    )
    group.add_argument(
        "--record", type=Path, metavar="DIR", help="keep frames, masks and timings, for `edgeseg replay`"
    )
    group.add_argument(
        "--record-limit",
        metavar="BYTES",
        help="keep a recording, also one that the preview page starts, below this size, such as 50G; its oldest"
        " segments are deleted",
    )


def sink_options(args: argparse.Namespace) -> SinkOptions:
    """Reads the options of sinks.

    Args:
        args: from a parser with the options of :func:`add_options`, ``--save`` and ``--masks``.

    Raises:
        UsageError: a value is invalid, or an option lacks the one that it belongs to.
    """
    belong = (("segment", "save"), ("save_limit", "segment"), ("shm_frames", "shm"), ("ros_args", "ros2"))
    for option, needed in belong:
        if getattr(args, option) and not getattr(args, needed):
            flag, other = (f"--{name.replace('_', '-')}" for name in (option, needed))
            raise UsageError(f"{flag} goes with {other} alone; give {other} too, or leave it out")
    if args.record_limit and not args.record and getattr(args, "preview", None) is None:
        raise UsageError(
            "--record-limit goes with --record, or with --preview, whose page can record; give one, or leave it out"
        )
    if args.shm is not None and not SHM_NAME.fullmatch(args.shm.replace("{source}", "1")):
        raise UsageError(
            f"--shm {args.shm!r}: expected a name of letters, digits, '.', '_' and '-', such as front-camera"
        )
    if args.ros2 is not None and not _ROS_NAMESPACE.fullmatch(args.ros2.replace("{source}", "1")):
        raise UsageError(
            f"--ros2 {args.ros2!r}: expected a namespace of letters, digits and '_', such as edgeseg or drone1/front"
        )
    for target in args.events or ():
        check_target(target)
    if args.masks_format != PNG and not args.masks:
        raise UsageError("--masks-format goes with --masks alone; give --masks too, or leave it out")
    if len(args.events or ()) != len(set(args.events or ())):
        raise UsageError("--events names one target twice; give each once")
    segment, save_limit, record_limit = args.segment, args.save_limit, args.record_limit
    return SinkOptions(
        segment_seconds=None if segment is None else _seconds("--segment", segment),
        save_limit_bytes=None if save_limit is None else parse_bytes("--save-limit", save_limit),
        masks_format=args.masks_format,
        events=tuple(args.events or ()),
        shm=args.shm,
        shm_frames=args.shm_frames,
        ros2=args.ros2,
        ros_args=tuple(args.ros_args or ()),
        record=args.record,
        record_limit_bytes=None if record_limit is None else parse_bytes("--record-limit", record_limit),
    )


def parse_bytes(option: str, text: str) -> int:
    """Reads a size such as ``500M`` or ``20G``, in bytes; units are powers of 1000.

    Raises:
        UsageError: it is no size, or less than ten megabytes.
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
