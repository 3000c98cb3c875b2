"""The link at work: a real socket, an autopilot at its other end, and what happens on a network."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import angles_of
from edgeseg.embedding.mavlink.address import parse_address
from edgeseg.embedding.mavlink.link import MavlinkLink, MavlinkOptions
from edgeseg.runtime.clock import now

from .autopilot import PATIENCE_SECONDS, Autopilot, Told, dialect, free_port, wait_for

KEY = bytes(range(32))


def link_to(autopilot: Autopilot, system: int | None = None, key: bytes | None = None) -> MavlinkLink:
    """A link that sends to an autopilot first."""
    return MavlinkLink(
        MavlinkOptions(parse_address(f"udpout:127.0.0.1:{autopilot.port}"), system=system, key=key)
    )


def pose_of(link: MavlinkLink, ago_s: float = 0.1) -> VehiclePose | None:
    """The pose a little while ago, if it is known."""
    pose = link.poses.at(now() - ago_s)
    return pose if isinstance(pose, VehiclePose) else None


@pytest.fixture
def autopilot() -> Iterator[Autopilot]:
    with Autopilot(told=Told(attitude=(0.1, -0.2, 1.0))) as autopilot:
        yield autopilot


def test_it_is_a_component_of_the_vehicle(autopilot: Autopilot) -> None:
    with link_to(autopilot) as link:
        heartbeat = wait_for(lambda: autopilot.of("HEARTBEAT"))[0]
        assert (heartbeat.type, heartbeat.autopilot) == (18, 8)
        assert heartbeat.get_srcComponent() == 191
        assert heartbeat.system_status == 5, "nothing is valid: critical"
        wait_for(lambda: link.status.is_heard)
        wait_for(lambda: len(autopilot.of("HEARTBEAT")) >= 3)
    assert autopilot.bad == 0


def test_it_takes_the_system_id_of_the_autopilot_that_it_hears() -> None:
    with Autopilot(system=7) as autopilot, link_to(autopilot) as link:
        wait_for(lambda: link.status.system == 7)
        wait_for(lambda: autopilot.of("HEARTBEAT")[-1].get_srcSystem() == 7)


def test_the_pose_at_a_moment_comes_from_its_messages(autopilot: Autopilot) -> None:
    with link_to(autopilot) as link:
        pose = wait_for(lambda: pose_of(link))
        assert angles_of(pose.attitude) == pytest.approx((0.1, -0.2, 1.0), abs=1e-5)
        assert (pose.north_m, pose.east_m) == (10, 20)
        tilt = np.cos(0.1) * np.cos(-0.2)
        assert pose.height_m == pytest.approx(8.5 * tilt, rel=1e-5), (
            "a range finder looks along the body's axis"
        )
        assert wait_for(lambda: link.down_at(now() - 0.1)) == pytest.approx(-8)
        wait_for(lambda: link.status.clock == "timesync")
        assert link.status.height_above == "range finder"


def test_it_asks_for_what_it_needs_and_again_where_that_does_not_come(autopilot: Autopilot) -> None:
    autopilot.told.range_cm = None
    with link_to(autopilot):
        wait_for(lambda: {30, 32, 33, 132} <= set(autopilot.asked))
        wait_for(lambda: autopilot.asked.count(132) >= 2, "asked again for the range finder")
        assert autopilot.asked.count(30) == 1, "attitudes come"
        assert 141 in autopilot.asked, "GLOBAL_POSITION_INT did not come, so ALTITUDE"


def test_a_refusal_is_told_and_another_message_is_asked_for(
    autopilot: Autopilot, caplog: pytest.LogCaptureFixture
) -> None:
    autopilot.told.refuses = {33}
    with caplog.at_level(logging.WARNING), link_to(autopilot):
        text = wait_for(lambda: autopilot.of("STATUSTEXT"))[0]
        assert text.text == "edgeseg: no GLOBAL_POSITION_INT: denied"
        wait_for(lambda: 141 in autopilot.asked)
    assert "does not send GLOBAL_POSITION_INT (denied)" in caplog.text


def test_its_answers_to_timesync_give_the_autopilot_the_right_offset(autopilot: Autopilot) -> None:
    autopilot.told.asks = True
    with link_to(autopilot):
        wait_for(lambda: autopilot.offsets_s)
    assert autopilot.offsets_s[0] == pytest.approx(-autopilot.ahead_s, abs=0.5)


def test_without_answers_to_timesync_the_pose_comes_by_arrival(autopilot: Autopilot) -> None:
    autopilot.told.syncs = False
    with link_to(autopilot) as link:
        wait_for(lambda: pose_of(link))
        assert link.status.clock == "arrival"


def test_an_autopilot_that_starts_anew_is_noticed(
    autopilot: Autopilot, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), link_to(autopilot) as link:
        wait_for(lambda: pose_of(link))
        asked = autopilot.asked.count(30)
        autopilot.ahead_s = -time.clock_gettime(time.CLOCK_BOOTTIME)
        wait_for(lambda: "started anew" in caplog.text)
        wait_for(lambda: pose_of(link), "a pose by the new clock")
        wait_for(lambda: autopilot.asked.count(30) > asked, "asked anew")


def test_a_link_that_waits_sends_to_where_the_autopilot_is() -> None:
    port = free_port()
    with (
        MavlinkLink(MavlinkOptions(parse_address(f"udpin:127.0.0.1:{port}"))) as link,
        Autopilot(port) as pilot,
    ):
        wait_for(lambda: link.status.is_heard)
        wait_for(lambda: pilot.of("HEARTBEAT"))
        wait_for(lambda: pose_of(link))


def test_nobody_else_can_take_the_vehicles_place(autopilot: Autopilot) -> None:
    port = free_port()
    options = MavlinkOptions(parse_address(f"udpin:127.0.0.1:{port}"))
    with MavlinkLink(options) as link, Autopilot(port) as pilot:
        wait_for(lambda: pose_of(link))
        with Autopilot(port, Told(position=(900.0, 900.0, 0.0))) as other:
            for _ in range(20):
                other.send("HEARTBEAT", 2, 3, 0, 0, 4, 3)
                time.sleep(0.02)
            pose = wait_for(lambda: pose_of(link))
            assert (pose.north_m, pose.east_m) == (10, 20)
            assert not other.received
        before = len(pilot.received)
        wait_for(lambda: len(pilot.received) > before)


def test_another_system_is_ignored_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with (
        Autopilot(system=3) as autopilot,
        caplog.at_level(logging.WARNING),
        link_to(autopilot, system=2) as link,
    ):
        wait_for(lambda: "System 3 is heard; the vehicle is system 2" in caplog.text)
        wait_for(lambda: len(autopilot.of("HEARTBEAT")) >= 2)
        assert link.status.system is None
        assert pose_of(link) is None
        assert not autopilot.asked
    assert caplog.text.count("is heard; the vehicle") == 1


def test_messages_of_other_components_count_for_nothing(autopilot: Autopilot) -> None:
    with link_to(autopilot) as link:
        wait_for(lambda: pose_of(link))
        other = dialect().MAVLink(None, srcSystem=1, srcComponent=100)
        ms = round(autopilot.now_s() * 1e3)
        for _ in range(20):
            autopilot.send_bytes(dialect().MAVLink_attitude_message(ms + 5, 3, 1, 3, 0, 0, 0).pack(other))
            autopilot.send_bytes(dialect().MAVLink_heartbeat_message(6, 8, 0, 0, 0, 3).pack(other))
            time.sleep(0.01)
        pose = wait_for(lambda: pose_of(link))
        assert angles_of(pose.attitude)[0] == pytest.approx(0.1, abs=1e-5)


def test_bytes_that_are_no_messages_do_no_harm(autopilot: Autopilot) -> None:
    rng = np.random.default_rng(5)
    good = bytes(dialect().MAVLink_attitude_message(1, 3, 1, 3, 0, 0, 0).pack(dialect().MAVLink(None, 1, 1)))
    with link_to(autopilot) as link:
        wait_for(lambda: pose_of(link))
        for _ in range(200):
            autopilot.send_bytes(rng.bytes(int(rng.integers(1, 300))))
            broken = bytearray(good)
            broken[int(rng.integers(0, len(good)))] ^= 1 << int(rng.integers(0, 8))
            autopilot.send_bytes(bytes(broken))
        autopilot.send_bytes(b"\xfd" * 300 + b"\xfe" * 300)
        wait_for(lambda: link.status.refused > 0)
        time.sleep(0.3)
        pose = wait_for(lambda: pose_of(link))
        assert angles_of(pose.attitude)[0] == pytest.approx(0.1, abs=1e-5)


def flood_of(what: str) -> bytes:
    """A datagram of a flood."""
    beats = dialect().MAVLink_heartbeat_message(6, 8, 0, 0, 0, 3).pack(dialect().MAVLink(None, 9, 9)) * 100
    return {"messages": bytes(beats), "markers": b"\xfe" * 1000, "nothing": b""}[what]


@pytest.mark.parametrize("what", ["messages", "markers", "nothing"])
def test_a_flood_costs_a_bounded_share_and_passes(
    autopilot: Autopilot, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    flood = flood_of(what)
    with caplog.at_level(logging.WARNING), link_to(autopilot) as link:
        wait_for(lambda: pose_of(link))
        heartbeats, received = len(autopilot.of("HEARTBEAT")), link.status.received
        began = time.monotonic()
        while "More arrives from the MAVLink network than is read" not in caplog.text:
            for _ in range(500):
                autopilot.send_bytes(flood)
            assert time.monotonic() - began < PATIENCE_SECONDS
        wait_for(lambda: len(autopilot.of("HEARTBEAT")) > heartbeats, "heartbeats in the flood")
        assert link.status.received - received < 3000 * (time.monotonic() - began + 1)
        wait_for(lambda: pose_of(link), "a pose after the flood")
    assert caplog.text.count("More arrives") == 1


def test_a_link_that_is_lost_comes_back(autopilot: Autopilot, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), link_to(autopilot) as link:
        wait_for(lambda: pose_of(link))
        autopilot.told.silent = True
        wait_for(lambda: not link.status.is_heard)
        assert pose_of(link) is None
        assert "has been silent for 5 s" in caplog.text
        asked = autopilot.asked.count(30)
        autopilot.told.silent = False
        wait_for(lambda: link.status.is_heard)
        wait_for(lambda: pose_of(link))
        wait_for(lambda: autopilot.asked.count(30) > asked, "asked anew")


def test_where_nobody_listens_it_tries_on(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    options = MavlinkOptions(parse_address(f"udpout:127.0.0.1:{port}"))
    with caplog.at_level(logging.INFO), MavlinkLink(options) as link:
        wait_for(lambda: "Connection refused; trying on" in caplog.text)
        assert link.status.problem == "Connection refused"
        wait_for(lambda: link.status.sent + link.status.lost >= 3)
    assert caplog.text.count("No way to the autopilot") == 1


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OutputError) as caught:
            MavlinkLink(MavlinkOptions(parse_address(f"udpin:127.0.0.1:{port}")))
    assert str(caught.value) == (
        f"--mavlink udpin:127.0.0.1:{port}: another program waits at this port; end it, or take another port"
    )


def test_a_host_without_an_address_is_said_in_one_line() -> None:
    with pytest.raises(OutputError, match=r"^--mavlink udpout:nowhere\.invalid:14550: [A-Z][^\n]+$"):
        MavlinkLink(MavlinkOptions(parse_address("udpout:nowhere.invalid:14550")))


def test_a_signed_link_takes_what_is_signed_with_its_key() -> None:
    with Autopilot(key=KEY) as autopilot, link_to(autopilot, key=KEY) as link:
        wait_for(lambda: pose_of(link))
        heartbeat = wait_for(lambda: autopilot.of("HEARTBEAT"))[0]
        assert heartbeat.get_signed()
        assert autopilot.bad == 0


@pytest.mark.parametrize("key", [None, bytes(32)], ids=["unsigned", "another key"])
def test_a_signed_link_takes_nothing_else(key: bytes | None) -> None:
    with Autopilot(key=key) as autopilot, link_to(autopilot, key=KEY) as link:
        wait_for(lambda: link.status.refused > 10)
        assert not link.status.is_heard
        assert pose_of(link) is None


def test_a_closed_link_sends_nothing_and_may_be_closed_again(autopilot: Autopilot) -> None:
    link = link_to(autopilot)
    wait_for(lambda: link.status.is_heard)
    link.close()
    link.close()
    time.sleep(0.1)
    before = len(autopilot.received)
    time.sleep(1.2)
    assert len(autopilot.received) == before
