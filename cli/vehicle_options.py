"""The options of ``edgeseg run`` for what is carried by a vehicle: its camera, and what is read from the class maps."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..apps.run.request import (
    CameraRequest,
    FreeSpaceRequest,
    LandingRequest,
    StabiliseRequest,
    VehicleRequest,
)
from ..core.errors import UsageError
from ..embedding.stability.options import METHODS

_LANDING = LandingRequest()
_FREE = FreeSpaceRequest((), 0.0)
_BELONG_TO = {
    "land": ("landing_margin", "vehicle_radius", "position_error", "landing_memory"),
    "free_space": ("camera_height", "free_range", "pitch_error", "bonnet", "vehicle_width"),
    "stabilise": ("stabilise_hazards",),
}
"""Options that go with one other alone."""
_TOML, _YAML = ".toml", (".yaml", ".yml")
_STRAIGHT_DOWN = 90.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the vehicle."""
    group = parser.add_argument_group(
        "vehicle",
        "A class map knows nothing of slope, of wires, or of surfaces that the network was not taught.",
    )
    group.add_argument(
        "--land",
        metavar="CLASSES|FILE.toml",
        help='find a spot to land on: the classes to land on, such as "grass,bare field", or a hazard table',
    )
    group.add_argument(
        "--landing-margin",
        type=float,
        metavar="METRES",
        help="with classes in --land: the distance to keep from all other classes;"
        f" default: {_LANDING.margin_m:g}",
    )
    group.add_argument(
        "--vehicle-radius",
        type=float,
        metavar="METRES",
        help=f"with --land: radius of the vehicle with its propellers; default: {_LANDING.radius_m:g}",
    )
    group.add_argument(
        "--position-error",
        type=float,
        metavar="METRES",
        help="with --land: how far from its aim the vehicle may touch down;"
        f" default: {_LANDING.position_error_m:g}",
    )
    group.add_argument(
        "--landing-memory",
        type=float,
        metavar="SECONDS",
        help="with --land: for how long ground that has left the view is remembered, as in the last metres;"
        f" default: {_LANDING.memory_s:g}",
    )
    group.add_argument(
        "--free-space",
        metavar="CLASSES",
        help='find where a road vehicle can drive: the classes to drive on, such as "road"; the road is taken for flat',
    )
    group.add_argument(
        "--camera-height",
        type=float,
        metavar="METRES",
        help="with --free-space: of the camera above the road",
    )
    group.add_argument(
        "--free-range",
        type=float,
        metavar="METRES",
        help="with --free-space: the distance beyond which everything is unknown;"
        f" default: {_FREE.range_m:g}, less where the pitch's error asks for it",
    )
    group.add_argument(
        "--pitch-error",
        type=float,
        metavar="DEGREES",
        help=f"with --free-space: by which the camera's tilt may be wrong; default: {_FREE.pitch_error_deg:g}",
    )
    group.add_argument(
        "--bonnet",
        type=float,
        metavar="PERCENT",
        help="with --free-space: of the frame's height, at its lower edge, that shows the vehicle itself; default: 0",
    )
    group.add_argument(
        "--vehicle-width",
        type=float,
        metavar="METRES",
        help=f"with --free-space: for what is ahead; default: {_FREE.width_m:g}",
    )
    group.add_argument(
        "--stabilise",
        nargs="?",
        const="flow",
        metavar="flow|pose",
        help="smooth class maps over time along optical flow, or along flat ground by the vehicle's pose; alone: flow",
    )
    group.add_argument(
        "--stabilise-hazards",
        metavar="CLASSES",
        help='with --stabilise: classes that enter at once and leave slowly, such as "person,car"',
    )
    group.add_argument(
        "--camera",
        metavar="FILE.yaml|DEGREES",
        help="the camera's calibration, or its horizontal field of view; default: what the source knows",
    )
    group.add_argument(
        "--camera-tilt",
        type=float,
        metavar="DEGREES",
        help="how far the camera looks down: 0 at the horizon ahead, 90 straight down; default with --land:"
        " 90",
    )
    group.add_argument(
        "--camera-offset",
        metavar="F,R,D",
        help="metres that the camera lies forward, right and down of the vehicle's reference; default: 0,0,0",
    )


def vehicle_request(args: argparse.Namespace, tells_camera: bool = False) -> VehicleRequest | None:
    """Makes the request from the options; None if nothing is asked for.

    Args:
        args: from a parser with the options of :func:`add_options`.
        tells_camera: whether an output publishes the camera's calibration.

    Raises:
        UsageError: an option is invalid, or lacks the one that it belongs to.
    """
    for option, its in _BELONG_TO.items():
        if getattr(args, option) is None:
            for name in its:
                _refuse(args, name, option)
    stabilise = None if args.stabilise is None else _stabilise(args)
    if args.land is None and args.free_space is None and args.stabilise != "pose":
        for name in ("camera_tilt", "camera_offset"):
            _refuse(args, name, "land", "free_space", "stabilise pose")
        if not tells_camera:
            _refuse(args, "camera", "land", "free_space", "stabilise pose", "ros2")
        if args.camera is None and stabilise is None:
            return None
    landing = None if args.land is None else _landing(args)
    free_space = None if args.free_space is None else _free_space(args)
    return VehicleRequest(_camera(args), landing, free_space, stabilise)


def _refuse(args: argparse.Namespace, name: str, *options: str) -> None:
    """Refuses an option that is given without those that it belongs to."""
    if getattr(args, name) is not None:
        these = " or ".join(_flag(option) for option in options)
        raise UsageError(f"{_flag(name)} goes with {these} alone; give {these} too, or leave it out")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _landing(args: argparse.Namespace) -> LandingRequest:
    text = args.land.strip()
    table, safe = None, tuple(name.strip() for name in text.split(","))
    if text.endswith(_TOML):
        table, safe = Path(text), ()
        if args.landing_margin is not None:
            raise UsageError(
                "--landing-margin goes with classes in --land; a hazard table has its own margins"
            )
    elif not all(safe):
        raise UsageError(
            f'--land {args.land!r}: expected classes such as "grass,bare field", or a hazard table.toml'
        )
    return LandingRequest(
        safe=safe,
        table=table,
        margin_m=_metres("--landing-margin", args.landing_margin, _LANDING.margin_m, 0, 100),
        radius_m=_metres("--vehicle-radius", args.vehicle_radius, _LANDING.radius_m, 0.05, 50),
        position_error_m=_metres("--position-error", args.position_error, _LANDING.position_error_m, 0, 50),
        memory_s=_within("--landing-memory", args.landing_memory, _LANDING.memory_s, (0.1, 600), "seconds"),
    )


def _free_space(args: argparse.Namespace) -> FreeSpaceRequest:
    drivable = tuple(name.strip() for name in args.free_space.split(","))
    if not all(drivable):
        raise UsageError(
            f'--free-space {args.free_space!r}: expected classes such as "road" or "road,gravel"'
        )
    for name, what in (("camera_height", "camera's height"), ("camera_tilt", "camera's tilt")):
        if getattr(args, name) is None:
            raise UsageError(
                f"--free-space needs the {what}, because distances depend on it; give {_flag(name)}"
            )
    return FreeSpaceRequest(
        drivable,
        _metres("--camera-height", args.camera_height, 0.0, 0.05, 20),
        _metres("--free-range", args.free_range, _FREE.range_m, 0.5, 100),
        _within("--pitch-error", args.pitch_error, _FREE.pitch_error_deg, (0, 10), "degrees"),
        _within("--bonnet", args.bonnet, 0.0, (0, 90), "percent") / 100,
        _metres("--vehicle-width", args.vehicle_width, _FREE.width_m, 0.1, 10),
    )


def _stabilise(args: argparse.Namespace) -> StabiliseRequest:
    method = next((method for method in METHODS if method == args.stabilise), None)
    if method is None:
        raise UsageError(f"--stabilise {args.stabilise}: expected {' or '.join(METHODS)}")
    if args.stabilise_hazards is None:
        return StabiliseRequest(method)
    hazards = tuple(name.strip() for name in args.stabilise_hazards.split(","))
    if not all(hazards):
        raise UsageError(
            f'--stabilise-hazards {args.stabilise_hazards!r}: expected classes such as "person" or "person,car"'
        )
    return StabiliseRequest(method, hazards)


def _camera(args: argparse.Namespace) -> CameraRequest:
    tilt = _STRAIGHT_DOWN if args.camera_tilt is None else args.camera_tilt
    if not -90 <= tilt <= 90:
        raise UsageError(
            f"--camera-tilt {tilt:g}: expected -90 to 90 degrees, 0 for the horizon and 90 for straight down"
        )
    calibration = degrees = None
    if args.camera is not None and args.camera.endswith(_YAML):
        calibration = Path(args.camera)
    elif args.camera is not None:
        degrees = _number(args.camera)
        if not 1 <= degrees < 180:
            raise UsageError(
                f"--camera {args.camera}: expected a calibration.yaml, or a horizontal field of view, 1 to 179 degrees"
            )
    return CameraRequest(calibration, degrees, tilt, _offset(args.camera_offset))


def _offset(text: str | None) -> tuple[float, float, float]:
    numbers = [0.0, 0.0, 0.0] if text is None else [_number(part) for part in text.split(",")]
    if len(numbers) != 3 or not all(abs(number) <= 50 for number in numbers):
        raise UsageError(f"--camera-offset {text}: expected three lengths in metres, such as 0.1,0,0.05")
    forward, right, down = numbers
    return forward, right, down


def _metres(option: str, value: float | None, default: float, least: float, most: float) -> float:
    return _within(option, value, default, (least, most), "metres")


def _within(option: str, value: float | None, default: float, ends: tuple[float, float], unit: str) -> float:
    if value is None:
        return default
    if not ends[0] <= value <= ends[1]:
        raise UsageError(f"{option} {value:g}: expected {ends[0]:g} to {ends[1]:g} {unit}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
