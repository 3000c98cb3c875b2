"""The report on a finding: the message, or nothing and the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import quaternion
from edgeseg.embedding.free_space.finding import FreeSpace
from edgeseg.embedding.mavlink.landing_target import AUTOPILOTS, OLDEST_S, Autopilot
from edgeseg.embedding.mavlink.reports import Place, Report, reports_of
from edgeseg.runtime.result import Segmentation

from .conftest import MakeOutput

HERE = Place(VehiclePose(1.0, quaternion(0, 0, 0), 10.0, 5.0, 6.0), -9.0)


def told(
    result: Segmentation, age_s: float = 0.1, autopilot: Autopilot = "ardupilot", place: Place = HERE
) -> Report:
    (report,) = reports_of(result, age_s, autopilot, place)
    return report


@pytest.mark.parametrize("autopilot", AUTOPILOTS)
def test_a_valid_spot_has_its_message_and_its_place(landing: MakeOutput, autopilot: Autopilot) -> None:
    report = told(landing().result, autopilot=autopilot)
    assert (report.text, report.severity, report.is_valid) == ("landing spot found", 6, True)
    assert (report.kind, report.ground_m) == ("LANDING_TARGET", (1.0, 2.0))
    assert report.fields is not None
    assert report.fields["frame"] == {"ardupilot": 12, "px4": 1}[autopilot]


@pytest.mark.parametrize("autopilot", AUTOPILOTS)
def test_a_spot_that_is_too_old_is_said_to_be(landing: MakeOutput, autopilot: Autopilot) -> None:
    young = told(landing().result, OLDEST_S[autopilot] - 0.01, autopilot)
    old = told(landing().result, OLDEST_S[autopilot], autopilot)
    assert young.is_valid
    assert (old.text, old.severity, old.is_valid) == ("no landing spot: too old to be sent", 4, False)


@pytest.mark.parametrize("place", [Place(), Place(HERE.pose)], ids=["no pose", "no height of its own"])
def test_px4_needs_the_vehicle_s_place(landing: MakeOutput, place: Place) -> None:
    report = told(landing().result, autopilot="px4", place=place)
    assert (report.text, report.is_valid, report.fields) == ("no landing spot: no-position", False, None)
    assert told(landing().result, autopilot="ardupilot", place=place).is_valid


def test_the_reason_is_that_of_the_result_where_that_is_not_valid(landing: MakeOutput) -> None:
    report = told(landing(reason="unstable").result)
    assert (report.text, report.severity, report.fields) == ("no landing spot: unstable", 5, None)
    report = told(landing(result="frozen").result)
    assert (report.text, report.severity, report.fields) == ("no landing spot: frozen", 4, None)


def test_free_space_is_told_as_obstacles(
    landing: MakeOutput, free_space: Callable[[float], FreeSpace]
) -> None:
    space = free_space(3.0)
    result = replace(landing().result, findings={"free_space": space})
    report = told(result)
    assert (report.kind, report.text, report.is_valid) == ("OBSTACLE_DISTANCE", "free space is seen", True)
    assert report.fields is not None
    assert report.fields["time_usec"] == 3_000_000
    assert told(result, 0.5).text == "no free space: too old to be sent"
    none = told(replace(result, findings={"free_space": space.invalidated("no-road-in-view")}))
    assert (none.text, none.fields, none.is_valid) == ("no free space: no-road-in-view", None, False)


def test_a_result_without_findings_is_told_itself(landing: MakeOutput) -> None:
    result = replace(landing().result, findings={})
    assert (told(result).text, told(result).is_valid, told(result).kind) == ("results are valid", True, "")
    dark = replace(result, valid=False, reason="dark")
    assert (told(dark).text, told(dark).severity, told(dark).is_valid) == ("not valid: dark", 4, False)


def test_every_finding_is_told(landing: MakeOutput, free_space: Callable[[float], FreeSpace]) -> None:
    result = landing().result
    both = replace(result, findings={**result.findings, "free_space": free_space(1.0)})
    assert [report.name for report in reports_of(both, 0.1, "ardupilot", HERE)] == ["landing", "free_space"]
