"""The autopilot is told of a run: a spot while it is valid, and of what is not valid nothing but that."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import matrix_of, quaternion
from edgeseg.embedding.free_space.finding import FreeSpace
from edgeseg.embedding.mavlink.address import parse_address
from edgeseg.embedding.mavlink.landing_target import Autopilot as Kind
from edgeseg.embedding.mavlink.link import MavlinkLink, MavlinkOptions
from edgeseg.embedding.mavlink.sink import MavlinkSink
from edgeseg.embedding.stability.processor import Smoothing
from edgeseg.runtime.clock import now
from edgeseg.runtime.sinks.base import Output

from .autopilot import Autopilot, Told, wait_for
from .conftest import FRD, MakeOutput

ANGLES = (0.1, -0.2, 1.0)


@pytest.fixture
def autopilot() -> Iterator[Autopilot]:
    with Autopilot(told=Told(attitude=ANGLES)) as autopilot:
        yield autopilot


@pytest.fixture
def link(autopilot: Autopilot, request: pytest.FixtureRequest) -> Iterator[MavlinkLink]:
    kind: Kind = getattr(request, "param", "ardupilot")
    with MavlinkLink(MavlinkOptions(parse_address(f"udpout:127.0.0.1:{autopilot.port}"), kind)) as link:
        wait_for(lambda: link.status.is_heard)
        yield link


@pytest.fixture
def sink(link: MavlinkLink) -> MavlinkSink:
    return MavlinkSink(link)


def keep_telling(sink: MavlinkSink, make: MakeOutput, seconds: float, **options: object) -> None:
    """Gives the sink results at 20 a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sink.write(make(**options))
        time.sleep(0.05)


def test_a_spot_is_sent_with_its_capture_time(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    output = landing()
    sink.write(output)
    target = wait_for(lambda: autopilot.of("LANDING_TARGET"))[0]
    assert (target.frame, target.position_valid, target.type) == (12, 1, 3)
    assert (target.x, target.y, target.z) == FRD
    assert target.time_usec == round(output.result.captured_at * 1e6)
    assert (target.get_srcSystem(), target.get_srcComponent()) == (1, 191)


@pytest.mark.parametrize("link", ["px4"], indirect=True)
def test_px4_gets_the_place_from_the_vehicle_s_own_position(
    sink: MavlinkSink, link: MavlinkLink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    wait_for(lambda: isinstance(link.poses.at(now() - 0.05), VehiclePose))
    wait_for(lambda: math.isfinite(link.down_at(now() - 0.05)))
    sink.write(landing())
    target = wait_for(lambda: autopilot.of("LANDING_TARGET"))[0]
    expected = np.array([10, 20, -8]) + matrix_of(quaternion(*ANGLES)) @ FRD
    assert (target.frame, target.position_valid) == (1, 1)
    assert (target.x, target.y, target.z) == pytest.approx(tuple(expected), abs=1e-3)


@pytest.mark.parametrize("link", ["px4"], indirect=True)
def test_px4_gets_a_place_from_a_source_that_knows_its_pose(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    output, pose = landing(), VehiclePose(3.0, quaternion(0, 0, 0), 10.0, 100.0, 200.0)
    output.result = replace(output.result, pose=pose)
    sink.write(output)
    target = wait_for(lambda: autopilot.of("LANDING_TARGET"))[0]
    assert (target.x, target.y, target.z) == pytest.approx((103, 198, 0))


@pytest.mark.parametrize("link", ["px4"], indirect=True)
def test_px4_gets_nothing_where_the_position_is_not_known(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    sink.write(landing(ago_s=0.45))
    autopilot.told.silent = True
    time.sleep(0.4)
    before = len(autopilot.of("LANDING_TARGET"))
    keep_telling(sink, landing, 0.5)
    assert len(autopilot.of("LANDING_TARGET")) == before


@pytest.mark.parametrize(
    "options",
    [{"reason": "unstable"}, {"reason": "no-clear-area"}, {"result": "stale"}, {"ago_s": 0.3}],
    ids=["unstable", "no area", "result not valid", "old"],
)
def test_what_is_not_valid_or_not_young_is_not_sent(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput, options: dict[str, object]
) -> None:
    keep_telling(sink, landing, 0.6, **options)
    wait_for(lambda: autopilot.of("STATUSTEXT"), "so what was told before has arrived")
    assert not autopilot.of("LANDING_TARGET")


def test_ten_a_second_at_most_and_no_more_once_it_is_old(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    began = time.monotonic()
    keep_telling(sink, landing, 1.0)
    took = time.monotonic() - began
    wait_for(lambda: autopilot.of("LANDING_TARGET"))
    time.sleep(1.0)
    # The last one is sent again until it is a quarter of a second old.
    assert 2 <= len(autopilot.of("LANDING_TARGET")) <= 10 * (took + 0.25) + 1
    before = len(autopilot.of("LANDING_TARGET"))
    time.sleep(0.3)
    assert len(autopilot.of("LANDING_TARGET")) == before


def test_after_a_switch_there_is_silence(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    keep_telling(sink, landing, 0.3)
    wait_for(lambda: autopilot.of("LANDING_TARGET"))
    keep_telling(sink, landing, 2.0, ground_m=(1.0, 9.0))
    before = len(autopilot.of("LANDING_TARGET"))
    newest = autopilot.of("LANDING_TARGET")[-1].time_usec
    keep_telling(sink, landing, 1.5, ground_m=(1.0, 9.0))
    wait_for(lambda: len(autopilot.of("LANDING_TARGET")) > before)
    assert autopilot.of("LANDING_TARGET")[before].time_usec - newest > 2.0e6


def test_the_heartbeat_says_whether_something_is_valid(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    sink.write(landing())
    wait_for(lambda: autopilot.of("HEARTBEAT")[-1].system_status == 4, "active")
    sink.write(landing(reason="no-clear-area"))
    wait_for(lambda: autopilot.of("HEARTBEAT")[-1].system_status == 5, "critical")
    sink.write(landing())
    wait_for(lambda: autopilot.of("HEARTBEAT")[-1].system_status == 4, "active")
    wait_for(lambda: autopilot.of("HEARTBEAT")[-1].system_status == 5, "critical without a word of the run")
    sink.write(landing())
    sink.close(commit=True)
    wait_for(lambda: autopilot.of("HEARTBEAT")[-1].system_status == 5)


def states(autopilot: Autopilot) -> list[tuple[int, str]]:
    """Returns the texts about states that have arrived, as severity and text; warnings are left out."""
    texts = [(text.severity, text.text) for text in autopilot.of("STATUSTEXT")]
    return [(severity, text) for severity, text in texts if not text.startswith("edgeseg: blind to")]


def test_texts_come_on_change_alone(sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput) -> None:
    keep_telling(sink, landing, 0.3)
    assert wait_for(lambda: states(autopilot))[-1] == (6, "edgeseg: landing spot found")
    keep_telling(sink, landing, 0.3, reason="no-clear-area")
    wait_for(lambda: len(states(autopilot)) == 2)
    keep_telling(sink, landing, 0.3, result="source-lost")
    wait_for(lambda: len(states(autopilot)) == 3)
    assert states(autopilot) == [
        (6, "edgeseg: landing spot found"),
        (5, "edgeseg: no landing spot: no-clear-area"),
        (4, "edgeseg: no landing spot: source-lost"),
    ]


def test_what_a_spot_is_blind_to_is_told_once(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    keep_telling(sink, landing, 0.3)
    keep_telling(sink, landing, 0.3, reason="no-clear-area")
    wait_for(lambda: len(states(autopilot)) == 2)
    texts = [(text.severity, text.text) for text in autopilot.of("STATUSTEXT")]
    assert texts.count((5, "edgeseg: blind to slope, wires, untaught surfaces")) == 1


def test_free_space_is_sent_as_obstacles_while_it_is_valid(
    sink: MavlinkSink,
    autopilot: Autopilot,
    landing: MakeOutput,
    free_space: Callable[[float], FreeSpace],
) -> None:
    def tell(valid: bool) -> None:
        output = landing()
        space = free_space(output.result.captured_at)
        found = space if valid else space.invalidated("no-road-in-view")
        output.result = replace(output.result, findings={"free_space": found})
        sink.write(output)

    tell(True)
    obstacles = wait_for(lambda: autopilot.of("OBSTACLE_DISTANCE"))[0]
    assert (obstacles.frame, obstacles.increment) == (12, 5)
    assert obstacles.distances[1] == pytest.approx(500, abs=12)
    assert wait_for(lambda: states(autopilot))[0] == (6, "edgeseg: free space is seen")
    assert sink.is_valid()
    tell(False)
    wait_for(lambda: states(autopilot)[-1] == (5, "edgeseg: no free space: no-road-in-view"))
    before = len(autopilot.of("OBSTACLE_DISTANCE"))
    for _ in range(5):
        tell(False)
        time.sleep(0.05)
    assert len(autopilot.of("OBSTACLE_DISTANCE")) == before
    assert not sink.is_valid()
    assert not autopilot.of("LANDING_TARGET")


def test_a_smoothed_map_alone_does_not_count_as_healthy(sink: MavlinkSink, landing: MakeOutput) -> None:
    output = landing(reason="no-clear-area")
    smoothed = Smoothing(True, "", output.result.captured_at, "flow", 5, "", 0.01)
    output.result = replace(output.result, findings={**output.result.findings, "stabilise": smoothed})
    sink.write(output)
    assert not sink.is_valid()


def test_without_findings_the_result_counts(
    sink: MavlinkSink, autopilot: Autopilot, landing: MakeOutput
) -> None:
    def plain(reason: str) -> Output:
        output = landing()
        output.result = replace(output.result, findings={}, valid=not reason, reason=reason)
        return output

    sink.write(plain(""))
    assert sink.is_valid()
    assert wait_for(lambda: autopilot.of("STATUSTEXT"))[-1].text == "edgeseg: results are valid"
    sink.write(plain("dark"))
    assert not sink.is_valid()
    wait_for(lambda: autopilot.of("STATUSTEXT")[-1].text == "edgeseg: not valid: dark")
    assert not autopilot.of("LANDING_TARGET")


def test_a_link_that_has_failed_is_said_to_who_writes(
    sink: MavlinkSink, link: MavlinkLink, landing: MakeOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> object:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(sink, "messages", fail)
    wait_for(lambda: link.status.problem)
    with pytest.raises(OutputError, match=r"the link has failed: ZeroDivisionError: a mistake$"):
        sink.write(landing())
