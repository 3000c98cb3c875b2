"""The options for what a vehicle reads from the class maps."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from edgeseg.apps.run.request import CameraRequest, LandingRequest, VehicleRequest
from edgeseg.cli.vehicle_options import add_options, vehicle_request
from edgeseg.core.errors import UsageError


def request(*words: str) -> VehicleRequest | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return vehicle_request(parser.parse_args(words))


def test_nothing_is_asked_for_by_default() -> None:
    assert request() is None


def test_classes_to_land_on() -> None:
    assert request("--land", "grass, bare field") == VehicleRequest(
        CameraRequest(), LandingRequest(safe=("grass", "bare field"))
    )


def test_a_hazard_table_and_a_calibrated_camera() -> None:
    asked = request(
        "--land", "hazards.toml", "--camera", "front.yaml", "--camera-tilt", "70", "--camera-offset", "0.1,0,0.05",
        "--vehicle-radius", "0.6", "--position-error", "0.5",
    )  # fmt: skip
    assert asked == VehicleRequest(
        CameraRequest(Path("front.yaml"), None, 70.0, (0.1, 0.0, 0.05)),
        LandingRequest(table=Path("hazards.toml"), radius_m=0.6, position_error_m=0.5),
    )
    assert asked is not None
    assert [str(path) for _, path in asked.files] == ["front.yaml", "hazards.toml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vehicle-radius", "1"], "--vehicle-radius goes with --land alone"),
        (["--camera", "60"], "--camera goes with --land alone"),
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
        (["--land", "grass", "--vehicle-radius", "0"], "--vehicle-radius 0: expected 0.05 to 50 metres"),
        (["--land", "grass", "--landing-margin", "nan"], "--landing-margin nan: expected 0 to 100 metres"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        request(*words)
    assert message in str(error.value)
