"""The stand-ins of both autopilots: they land on what the encoder makes, and not on what is wrong in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgeseg.benchmarks.landing.loop.ardupilot import LAND_VERTICALLY, NORMAL, ArduPilot, ArduPilotParameters
from edgeseg.benchmarks.landing.loop.autopilot import AutopilotStandIn
from edgeseg.benchmarks.landing.loop.px4 import Px4, Px4Parameters
from edgeseg.embedding.mavlink.landing_target import MAV_FRAME_BODY_FRD, MAV_FRAME_LOCAL_NED, LandingTarget

from .conftest import Fly

SLOW_DESCENT_M = 3.0


def both() -> list[AutopilotStandIn]:
    return [ArduPilot(), Px4()]


@pytest.mark.parametrize("autopilot", both(), ids=lambda autopilot: autopilot.name)
def test_it_lands_on_the_target(autopilot: AutopilotStandIn, fly_to_target: Fly) -> None:
    flown = fly_to_target(autopilot)
    assert flown.landed
    assert flown.miss_m < 0.6
    assert not autopilot.fell_back


def flipped_x(message: LandingTarget) -> LandingTarget:
    return replace(message, x=-message.x)


def flipped_y(message: LandingTarget) -> LandingTarget:
    return replace(message, y=-message.y)


def swapped(message: LandingTarget) -> LandingTarget:
    return replace(message, x=message.y, y=message.x)


def other_frame(message: LandingTarget) -> LandingTarget:
    return replace(message, frame=MAV_FRAME_BODY_FRD + MAV_FRAME_LOCAL_NED - message.frame)


@pytest.mark.parametrize("distort", [flipped_x, flipped_y, swapped, other_frame])
@pytest.mark.parametrize("name", ["ardupilot", "px4"])
def test_a_wrong_message_does_not_land_it_on_the_target(
    name: str, distort: object, fly_to_target: Fly
) -> None:
    autopilot = ArduPilot() if name == "ardupilot" else Px4()
    flown = fly_to_target(autopilot, distort)
    assert not flown.landed or flown.miss_m > 2.0


def test_ardupilot_does_not_land_on_a_target_above_it(fly_to_target: Fly) -> None:
    assert not fly_to_target(ArduPilot(), lambda message: replace(message, z=-message.z)).landed


def test_ardupilot_reads_the_angles_alike(fly_to_target: Fly) -> None:
    flown = fly_to_target(ArduPilot(), lambda message: replace(message, position_valid=0))
    assert flown.landed
    assert flown.miss_m < 0.6


def test_px4_does_not_land_on_a_target_of_another_time(fly_to_target: Fly) -> None:
    autopilot = Px4(clock_offset_s=500.0)
    assert not fly_to_target(autopilot, lambda message: replace(message, time_usec=0)).landed


def test_each_refuses_the_frame_of_the_other_with_a_text(fly_to_target: Fly) -> None:
    for autopilot, text in (
        (ArduPilot(), "Plnd: Frame not supported"),
        (Px4(), "landing target: coordinate frame not supported"),
    ):
        fly_to_target(autopilot, other_frame, seconds=1.0)
        assert autopilot.texts == [text]


def test_px4_refuses_angles_with_a_text(fly_to_target: Fly) -> None:
    autopilot = Px4()
    fly_to_target(autopilot, lambda message: replace(message, position_valid=0), seconds=1.0)
    assert autopilot.texts == ["landing target by angles: not of this stand-in"]


def gone_after(seconds: float) -> object:
    return lambda at: at < seconds


class TestArduPilotLosesItsTarget:
    def test_it_hovers_if_it_is_very_strict(self, fly_to_target: Fly) -> None:
        autopilot = ArduPilot()
        flown = fly_to_target(autopilot, told=gone_after(10.0))
        assert not flown.landed
        assert "PrecLand: Target Lost" in autopilot.texts
        assert autopilot.texts[-1] == "PrecLand: Failsafe Measures"

    @pytest.mark.parametrize("strict", [LAND_VERTICALLY, NORMAL])
    def test_it_lands_on_anything_if_it_is_less_strict(self, strict: int, fly_to_target: Fly) -> None:
        autopilot = ArduPilot(ArduPilotParameters(strict=strict))
        assert fly_to_target(autopilot, told=gone_after(10.0)).landed

    def test_it_descends_on_above_the_greatest_height_and_then_hovers(self, fly_to_target: Fly) -> None:
        autopilot = ArduPilot(ArduPilotParameters(alt_max_m=6.0))
        flown = fly_to_target(autopilot, told=gone_after(4.0))
        assert 4.5 < flown.state.height_m < 6.0
        flown = fly_to_target(ArduPilot(), told=gone_after(4.0))
        assert flown.state.height_m > 6.5

    def test_it_goes_on_for_the_timeout(self, fly_to_target: Fly) -> None:
        soon = fly_to_target(ArduPilot(), told=gone_after(8.0)).state.height_m
        late = fly_to_target(
            ArduPilot(ArduPilotParameters(timeout_s=4.0)), told=gone_after(8.0)
        ).state.height_m
        assert soon - late == pytest.approx(4.0 * 0.5, abs=0.3)

    def test_below_the_least_height_it_lands_whatever_it_hears(self, fly_to_target: Fly) -> None:
        autopilot = ArduPilot(ArduPilotParameters(alt_min_m=8.0))
        assert fly_to_target(autopilot, told=gone_after(8.0)).landed

    def test_its_filter_never_starts_on_messages_that_come_too_seldom(self, fly_to_target: Fly) -> None:
        autopilot = ArduPilot()
        flown = fly_to_target(autopilot, told=lambda at: at % 0.8 < 0.05, seconds=10.0)
        assert not flown.landed
        assert "PrecLand: Init Failed" in autopilot.texts
        assert "PrecLand: Init Complete" not in autopilot.texts

    def test_the_last_metres_are_slow_without_fast_descent(self, fly_to_target: Fly) -> None:
        fast = fly_to_target(ArduPilot()).state.at
        slow = fly_to_target(ArduPilot(ArduPilotParameters(fast_descend=False))).state.at
        assert slow - fast > SLOW_DESCENT_M


class TestPx4LosesItsTarget:
    def test_it_goes_up_to_search(self, fly_to_target: Fly) -> None:
        autopilot = Px4(Px4Parameters(srch_alt_m=15.0))
        flown = fly_to_target(autopilot, told=gone_after(10.0))
        assert flown.state.height_m == pytest.approx(15.0, abs=0.5)
        assert autopilot.texts[-1] == "Climbing to search altitude."

    def test_it_goes_down_to_search_if_the_height_to_search_at_is_low(self, fly_to_target: Fly) -> None:
        flown = fly_to_target(Px4(Px4Parameters(srch_alt_m=3.0)), told=gone_after(6.0))
        assert flown.state.height_m == pytest.approx(3.0, abs=0.5)

    def test_it_lands_where_it_is_once_it_has_searched_for_too_long(self, fly_to_target: Fly) -> None:
        autopilot = Px4(Px4Parameters(srch_alt_m=9.0, srch_tout_s=3.0))
        flown = fly_to_target(autopilot, told=gone_after(3.0), seconds=60.0)
        assert flown.landed
        assert autopilot.fell_back
        assert autopilot.texts[-1] == "Search timed out"

    def test_near_the_ground_it_lands_on(self, fly_to_target: Fly) -> None:
        autopilot = Px4(Px4Parameters(fappr_alt_m=20.0))
        assert fly_to_target(autopilot, told=gone_after(12.0)).landed

    def test_it_goes_on_for_the_timeout(self, fly_to_target: Fly) -> None:
        short, long = Px4Parameters(srch_alt_m=1.0), Px4Parameters(srch_alt_m=1.0, btout_s=4.0)
        lost = [
            next(at for at in range(8, 20) if not _descends_until(fly_to_target, parameters, at))
            for parameters in (short, long)
        ]
        assert lost[1] > lost[0] + 1


def _descends_until(fly_to_target: Fly, parameters: Px4Parameters, at: float) -> bool:
    """Returns True if the autopilot is still descending at a time, after its target went at 8 s."""
    autopilot = Px4(parameters)
    fly_to_target(autopilot, told=gone_after(8.0), seconds=at)
    return autopilot.doing == "lands"
