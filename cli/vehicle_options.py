"""The options of ``edgeseg run`` for what is carried by a vehicle: its camera, and what is read from the class maps."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..apps.run.request import CameraRequest, LandingRequest, VehicleRequest
from ..core.errors import UsageError

_LANDING = LandingRequest()
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
        "--camera",
        metavar="FILE.yaml|DEGREES",
        help="the camera's calibration, or its horizontal field of view; default: what the source knows, else 60",
    )
    group.add_argument(
        "--camera-tilt",
        type=float,
        metavar="DEGREES",
        help="how far the camera looks down: 0 at the horizon ahead, 90 straight down; default: 90 with --land",
    )
    group.add_argument(
        "--camera-offset",
        metavar="F,R,D",
        help="metres that the camera lies forward, right and down of the vehicle's reference; default: 0,0,0",
    )


def vehicle_request(args: argparse.Namespace) -> VehicleRequest | None:
    """Makes the request from the options; None if nothing is asked for.

    Raises:
        UsageError: an option is invalid, or lacks the one that it belongs to.
    """
    if args.land is None:
        for name in ("landing_margin", "vehicle_radius", "position_error"):
            if getattr(args, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} goes with --land alone; give --land too, or leave it out"
                )
    landing = None if args.land is None else _landing(args)
    if landing is None:
        for name in ("camera", "camera_tilt", "camera_offset"):
            if getattr(args, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} goes with --land alone; give --land too, or leave it out"
                )
        return None
    return VehicleRequest(_camera(args), landing)


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
    )


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
    if value is None:
        return default
    if not least <= value <= most:
        raise UsageError(f"{option} {value:g}: expected {least:g} to {most:g} metres")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
