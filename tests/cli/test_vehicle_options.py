"""The options for what a vehicle reads from the class maps."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from edgeseg.apps.run.request import (
    CameraRequest,
    FreeSpaceRequest,
    LandingRequest,
    StabiliseRequest,
    VehicleRequest,
)
from edgeseg.cli.vehicle_options import add_options, vehicle_request
from edgeseg.core.errors import UsageError


def request(*words: str) -> VehicleRequest | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return vehicle_request(parser.parse_args(words))


def test_nothing_is_asked_for_by_default() -> None:
    assert request() is None


def test_a_camera_alone_is_for_an_output_that_publishes_it() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    asked = vehicle_request(parser.parse_args(["--camera", "front.yaml"]), tells_camera=True)
    assert asked == VehicleRequest(CameraRequest(Path("front.yaml")))


def test_classes_to_land_on() -> None:
    assert request("--land", "grass, bare field") == VehicleRequest(
        CameraRequest(), LandingRequest(safe=("grass", "bare field"))
    )


def test_a_hazard_table_and_a_calibrated_camera() -> None:
    asked = request(
        "--land", "hazards.toml", "--camera", "front.yaml", "--camera-tilt", "70", "--camera-offset", "0.1,0,0.05",
        "--vehicle-radius", "0.6", "--position-error", "0.5", "--landing-memory", "8",
    )  # fmt: skip
    assert asked == VehicleRequest(
        CameraRequest(Path("front.yaml"), None, 70.0, (0.1, 0.0, 0.05)),
        LandingRequest(table=Path("hazards.toml"), radius_m=0.6, position_error_m=0.5, memory_s=8.0),
    )
    assert asked is not None
    assert [str(path) for _, path in asked.files] == ["front.yaml", "hazards.toml"]


def test_class_maps_are_smoothed_along_flow_or_pose() -> None:
    assert request("--stabilise") == VehicleRequest(stabilise=StabiliseRequest())
    assert request(
        "--stabilise", "pose", "--camera", "70", "--stabilise-hazards", "person, car"
    ) == VehicleRequest(CameraRequest(None, 70.0), stabilise=StabiliseRequest("pose", ("person", "car")))
    assert request("--land", "grass", "--stabilise", "flow") == VehicleRequest(
        CameraRequest(), LandingRequest(safe=("grass",)), stabilise=StabiliseRequest("flow")
    )


FREE = ("--free-space", "road", "--camera-tilt", "5", "--camera-height", "1.4")


def test_classes_to_drive_on() -> None:
    assert request(*FREE) == VehicleRequest(
        CameraRequest(tilt_down_deg=5.0), None, FreeSpaceRequest(("road",), 1.4)
    )
    asked = request(
        "--free-space", "road, gravel", "--camera-tilt", "-3", "--camera-height", "0.5", "--camera", "80",
        "--free-range", "12", "--pitch-error", "1", "--bonnet", "10", "--vehicle-width", "1.6", "--land", "grass",
    )  # fmt: skip
    assert asked == VehicleRequest(
        CameraRequest(None, 80.0, -3.0),
        LandingRequest(safe=("grass",)),
        FreeSpaceRequest(("road", "gravel"), 0.5, 12.0, 1.0, 0.1, 1.6),
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stabilise", "blur"], "--stabilise blur: expected flow or pose"),
        (["--stabilise-hazards", "person"], "--stabilise-hazards goes with --stabilise alone"),
        (
            ["--stabilise", "--stabilise-hazards", "person,"],
            "--stabilise-hazards 'person,': expected classes such as",
        ),
        (
            ["--stabilise", "--camera", "70"],
            "--camera goes with --land or --free-space or --stabilise pose or --ros2 alone",
        ),
        (["--vehicle-radius", "1"], "--vehicle-radius goes with --land alone"),
        (["--camera", "60"], "--camera goes with --land or --free-space or --stabilise pose or --ros2 alone"),
        (
            ["--land", "grass", "--bonnet", "9"],
            "--bonnet goes with --free-space alone; give --free-space too",
        ),
        (["--free-space", "road", "--vehicle-radius", "1"], "--vehicle-radius goes with --land alone"),
        (["--free-space", "road,"], "--free-space 'road,': expected classes such as"),
        (
            ["--free-space", "road", "--camera-tilt", "5"],
            "needs the camera's height, because distances depend",
        ),
        (
            ["--free-space", "road", "--camera-height", "1.4"],
            "needs the camera's tilt, because distances depend",
        ),
        ([*FREE, "--camera-height", "0"], "--camera-height 0: expected 0.05 to 20 metres"),
        ([*FREE, "--pitch-error", "nan"], "--pitch-error nan: expected 0 to 10 degrees"),
        ([*FREE, "--bonnet", "95"], "--bonnet 95: expected 0 to 90 percent"),
        ([*FREE, "--free-range", "0"], "--free-range 0: expected 0.5 to 100 metres"),
        (["--land", "grass,,road"], "--land 'grass,,road': expected classes such as \"grass,bare field\""),
        (["--land", "h.toml", "--landing-margin", "1"], "a hazard table has its own margins"),
        (["--land", "grass", "--camera", "wide"], "--camera wide: expected a calibration.yaml"),
        (["--land", "grass", "--camera", "181"], "--camera 181: expected a calibration.yaml"),
        (["--land", "grass", "--camera-tilt", "91"], "--camera-tilt 91: expected -90 to 90 degrees"),
        (["--land", "grass", "--camera-tilt", "nan"], "--camera-tilt nan: expected -90 to 90 degrees"),
        (["--land", "grass", "--camera-offset", "1,2"], "--camera-offset 1,2: expected three lengths"),
        (
            ["--land", "grass", "--camera-offset", "1,2,nan"],
            "--camera-offset 1,2,nan: expected three lengths",
        ),
        (["--land", "grass", "--landing-memory", "0"], "--landing-memory 0: expected 0.1 to 600 seconds"),
        (["--land", "grass", "--vehicle-radius", "0"], "--vehicle-radius 0: expected 0.05 to 50 metres"),
        (["--land", "grass", "--landing-margin", "nan"], "--landing-margin nan: expected 0 to 100 metres"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        request(*words)
    assert message in str(error.value)
