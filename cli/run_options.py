"""The options of ``edgeseg run``, and the request made from them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..apps.run.request import DEFAULT_BUNDLE, NetworkRequest, RunRequest
from ..apps.service.logs import add_options as add_log_options
from ..core.errors import UsageError
from ..runtime.health.limits import Limits
from .configuration import add_options as add_config_options
from .mavlink_options import add_options as add_mavlink_options
from .mavlink_options import mavlink_request
from .preview_options import add_options as add_preview_options
from .preview_options import preview_options
from .sink_options import add_options as add_sink_options
from .sink_options import sink_options
from .source_options import add_options as add_source_options
from .source_options import live_options
from .tile_options import add_options as add_tiling_options
from .tile_options import tile_request
from .vehicle_options import add_options as add_vehicle_options
from .vehicle_options import vehicle_request

AUTO = "auto"
LOWER_RATE = "rate"
_DEFAULTS = Limits()
_RATE = 0.5
_MOST = 1024
"""Limit on threads and on frames at once: far more than any machine can use, and each takes memory."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg run``."""
    parser.add_argument(
        "--bundle",
        type=Path,
        default=DEFAULT_BUNDLE,
        metavar="DIR",
        help="the bundle's folder; default: %(default)s",
    )
    parser.add_argument(
        "--source",
        action="append",
        metavar="S",
        help="camera index, URL (v4l2, csi, gst, rtsp, http, ros2), video file, image, folder or glob of images, or"
        " aerial:SEED; repeat the option for several sources, which share the network; default: the first camera, else"
        " the aerial world",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="end after N frames of each source")
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    add_config_options(parser)
    add_log_options(parser)
    _add_network_options(parser.add_argument_group("network"))
    add_source_options(parser)
    _add_trust_options(parser.add_argument_group("validity of results"))
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument(
        "--save",
        type=Path,
        metavar="FILE.mp4",
        help="write the overlay as a video; with several sources the name gets each source's number, in place of"
        " {source} or at its end",
    )
    outputs.add_argument(
        "--masks", type=Path, metavar="DIR", help="write each class map as a palette PNG; numbered as --save"
    )
    outputs.add_argument("--show", action="store_true", help="show the overlay in a window; q or Esc ends")
    outputs.add_argument("--stats", type=Path, metavar="FILE.json", help="write what was measured")
    outputs.add_argument(
        "--trace", type=Path, metavar="FILE.json", help="write when each stage had each frame, for Perfetto"
    )
    add_sink_options(parser)
    add_preview_options(parser)
    add_vehicle_options(parser)
    add_mavlink_options(parser)
    add_tiling_options(parser)


def run_request(args: argparse.Namespace) -> RunRequest:
    """Makes the request from the options.

    Raises:
        UsageError: one of them is invalid, or cannot be combined with another.
    """
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames {args.frames}: expected 1 or more")
    vehicle = vehicle_request(args, tells_camera=args.ros2 is not None)
    read = [("the configuration", args.config), ("the token's file", args.preview_token_file)]
    read.append(("the link's key", args.mavlink_key))
    read += [] if vehicle is None else vehicle.files
    batch, threads = number_or_auto("--batch", args.batch), number_or_auto("--threads", args.threads)
    return RunRequest(
        tile=tile_request(args),
        network=NetworkRequest(
            bundle=args.bundle,
            variant=args.variant,
            backend=args.backend,
            device=args.device,
            threads=threads,
            batch=batch,
            degrade=tuple(steps_of(args.degrade)),
        ),
        sources=tuple(args.source or ()),
        frames=args.frames,
        live=live_options(args),
        limits=limits_of(args),
        save=args.save,
        masks=args.masks,
        show=args.show,
        stats=args.stats,
        trace=args.trace,
        force=args.force,
        sinks=replace(sink_options(args), mavlink=mavlink_request(args)),
        preview=preview_options(args),
        vehicle=vehicle,
        reads=tuple((what, path) for what, path in read if path is not None),
        log_json=args.log_json,
    )


def number_or_auto(option: str, text: str, most: int = _MOST) -> int | None:
    """Reads a number of 1 or more; None for ``auto``.

    Args:
        option: for the message.
        text: as typed.
        most: the largest valid number.

    Raises:
        UsageError: it is neither, or too large.
    """
    if text == AUTO:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"{option} {text}: expected a number of 1 or more, or {AUTO}")
    if int(text) > most:
        raise UsageError(f"{option} {text}: expected {most} at most, or {AUTO}")
    return int(text)


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits on ages, deadlines and timeouts from the options.

    Raises:
        UsageError: one of them is out of its range.
    """
    for option in ("max_age", "inference_timeout", "start_timeout", "deadline_ms"):
        value = getattr(args, option)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{option.replace('_', '-')} {value:g}: expected more than 0")
    if not 0 <= args.frozen_after < float("inf"):
        raise UsageError(f"--frozen-after {args.frozen_after:g}: expected seconds, or 0 for never")
    if not 0.1 <= args.heartbeat <= 50:
        raise UsageError(f"--heartbeat {args.heartbeat:g}: expected 0.1 to 50 a second")
    if args.degrade and args.deadline_ms is None:
        raise UsageError("--degrade needs --deadline-ms, the deadline that is to be kept")
    return Limits(
        max_age_s=args.max_age,
        frozen_after_s=args.frozen_after,
        check_frames=not args.no_frame_checks,
        heartbeat_hz=args.heartbeat,
        deadline_ms=args.deadline_ms,
        inference_timeout_s=args.inference_timeout,
        start_timeout_s=args.start_timeout,
    )


def steps_of(text: str | None) -> list[str | float]:
    """The steps of ``--degrade``: variants' names, and shares of the frames.

    Raises:
        UsageError: one is empty or repeated.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise UsageError(f"--degrade {text}: expected variants of the bundle, or {LOWER_RATE}, each once")
    return [_RATE if name == LOWER_RATE else name for name in names]


def _add_network_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--variant", metavar="V", help="precision to run; default: the bundle's own choice")
    group.add_argument(
        "--backend",
        default="onnxruntime",
        help="onnxruntime, openvino, tensorrt or auto; default: %(default)s",
    )
    group.add_argument(
        "--device",
        help="one that the backend knows: cpu, cpu-spin, cpu-f32, cuda, …; default: the backend's own choice",
    )
    group.add_argument(
        "--threads",
        default=AUTO,
        metavar="N",
        help="CPU threads for inference; default: auto, the fastest number in a measurement at the start",
    )
    group.add_argument(
        "--batch",
        default=AUTO,
        metavar="N",
        help="the most frames that are inferred at once; default: auto, more than one if a measurement shows that this"
        " is faster for several sources",
    )


def _add_trust_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-age",
        type=float,
        default=_DEFAULTS.max_age_s,
        metavar="SECONDS",
        help="a camera's result older than this is stale, not valid; default: %(default)g",
    )
    group.add_argument(
        "--frozen-after",
        type=float,
        default=_DEFAULTS.frozen_after_s,
        metavar="SECONDS",
        help="a camera that repeats one frame for longer than this is frozen; 0 for never; default: %(default)g",
    )
    group.add_argument(
        "--no-frame-checks", action="store_true", help="let black and white frames be valid too"
    )
    group.add_argument(
        "--heartbeat",
        type=float,
        default=_DEFAULTS.heartbeat_hz,
        metavar="HZ",
        help="times a second that all outputs get the state of the run, with or without frames; default: %(default)g",
    )
    group.add_argument(
        "--deadline-ms",
        type=float,
        metavar="MS",
        help="count the results of a camera that come later than this after their frame",
    )
    group.add_argument(
        "--degrade",
        metavar="STEP,…",
        help="the steps to take, in this order, while most results miss the deadline: the name of another variant of"
        f" the bundle, or {LOWER_RATE} for half of the frames; undone when the deadline is kept again",
    )
    group.add_argument(
        "--inference-timeout",
        type=float,
        default=_DEFAULTS.inference_timeout_s,
        metavar="SECONDS",
        help="inference that takes longer than this has failed; after twice this time the run of a camera ends;"
        " default: %(default)g",
    )
    group.add_argument(
        "--start-timeout",
        type=float,
        default=_DEFAULTS.start_timeout_s,
        metavar="SECONDS",
        help="the run ends if the network is not open and warm after this time; building TensorRT engines does not"
        " count; default: %(default)g",
    )
