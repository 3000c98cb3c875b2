"""The source on a fake of ROS, whose clock stands still: what each message becomes, and how waits end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.embedding.ros2 import source as module
from edgeseg.embedding.ros2.images import COMPRESSED, IMAGE
from edgeseg.embedding.ros2.library import MissingRosError
from edgeseg.embedding.ros2.source import Ros2Source
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.live import HopelessError, Interruption, LiveOptions
from edgeseg.runtime.sources.uri import parse

NOW, ROS_NOW_NS = 100.0, 5 * 10**9
QUICK = LiveOptions(open_timeout_s=0.15, read_timeout_s=0.15)
MakeSource = Callable[..., Ros2Source]


@pytest.fixture
def rclpy(ros: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The fake, which the source takes for ROS; ``rclpy.offered`` are the types that are published."""
    monkeypatch.setattr(module, "load_ros", lambda purpose: ros)
    monkeypatch.setattr(module.clock, "now", lambda: NOW)
    ros.rclpy.offered.append(IMAGE)
    return ros.rclpy


@pytest.fixture
def make(rclpy: Any) -> Iterator[MakeSource]:
    """Opens a source: ``make("?qos=reliable")``."""
    opened: list[Ros2Source] = []

    def make_source(query: str = "", interruption: Interruption | None = None) -> Ros2Source:
        uri = parse(f"ros2:///eye{query}", ["ros2"])
        opened.append(Ros2Source(uri, QUICK, interruption or Interruption()))
        return opened[-1]

    yield make_source
    for source in opened:
        source.close()


def node(source: Ros2Source) -> Any:
    return source._thread.node


def image(fakes: ModuleType, seconds: float, grey: int = 7) -> Any:
    message = fakes.Image()
    message.header.frame_id = "lens"
    message.header.stamp.sec, message.header.stamp.nanosec = int(seconds), round(seconds % 1 * 1e9)
    message.height, message.width, message.step, message.encoding = 4, 6, 6, "mono8"
    message.data = fakes.array("B", [grey] * 24)
    return message


@pytest.mark.parametrize(
    ("query", "seconds", "at"),
    [
        ("", 4.75, 99.75),
        ("", 5.5, 100.5),  # from the future: the run calls it stale
        ("", 0.0, 95.0),
        ("?stamp=arrival", 0.0, 100.0),
        ("?stamp=header", 5.0, 100.0),
    ],
)
def test_the_age_is_that_of_the_stamp_unless_arrivals_count(
    make: MakeSource, fakes: ModuleType, query: str, seconds: float, at: float
) -> None:
    source = make(query)
    node(source).heard(image(fakes, seconds))
    frame = source.read()
    assert (frame.shape, frame.dtype, set(frame.ravel())) == ((4, 6, 3), np.uint8, {7})
    assert source.frame_at == pytest.approx(at)
    assert source.frame_name == f"lens@{int(seconds)}.{round(seconds % 1 * 1e9):09d}"
    assert source.frame_fault == ""


def test_the_newest_image_wins(make: MakeSource, fakes: ModuleType) -> None:
    source = make()
    for grey in (1, 2, 3):
        node(source).heard(image(fakes, 5.0, grey))
    assert source.read()[0, 0, 0] == 3
    assert source.dropped == 2
    with pytest.raises(SourceError, match=r"^ros2:///eye: no image came for 0\.15 s$"):
        source.read()


def test_a_read_waits_for_its_image_and_ends_when_interrupted(make: MakeSource, fakes: ModuleType) -> None:
    interruption = Interruption()
    source = make(interruption=interruption)
    threading.Timer(0.02, lambda: node(source).heard(image(fakes, 5.0))).start()
    assert source.read() is not None
    source.interrupt()
    assert source.read() is None


def test_an_image_that_is_not_whole_shows_black_once_a_size_is_known(
    make: MakeSource, fakes: ModuleType
) -> None:
    source, broken = make(), image(fakes, 5.0)
    broken.data = broken.data[:5]
    node(source).heard(broken)
    with pytest.raises(SourceError, match="sends images that are not whole: 5 bytes with a step of 6"):
        source.read()
    node(source).heard(image(fakes, 5.0))
    source.read()
    node(source).heard(broken)
    frame = source.read()
    assert (frame.shape, frame.any(), source.frame_fault) == ((4, 6, 3), False, "corrupt")


def test_images_without_a_stamp_are_said_once(
    make: MakeSource, fakes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    source = make()
    for _ in range(3):
        node(source).heard(image(fakes, 0.0))
        source.read()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "ros2:///eye: its images have no stamp, so their results are stale; add ?stamp=arrival to take their arrival"
    )


def test_its_options_reach_ros(make: MakeSource, rclpy: Any) -> None:
    assert (node(make()).profile["reliability"], node(make()).profile["depth"]) == ("best effort", 1)
    assert node(make("?qos=reliable")).profile["reliability"] == "reliable"
    assert node(make()).sim_time == ("use_sim_time", False)
    assert node(make("?sim_time=1")).sim_time == ("use_sim_time", True)
    rclpy.offered[:] = [COMPRESSED]
    source = make()
    assert source._read_message == source._reader.compressed


def test_what_is_published_decides_whether_it_opens(
    make: MakeSource, rclpy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "9")
    rclpy.offered.clear()
    with pytest.raises(SourceError, match=r"^nobody publishes /eye in the domain 9 \(ROS_DOMAIN_ID\)$"):
        make()
    rclpy.offered[:] = ["std_msgs/msg/String"]
    with pytest.raises(SourceError, match=f"^ros2:///eye carries std_msgs/msg/String; expected {IMAGE} or"):
        make()
    assert not any(context.is_open for context in rclpy.contexts)


def test_why_no_image_comes(make: MakeSource, rclpy: Any) -> None:
    source = make("?qos=reliable")
    with pytest.raises(SourceError, match="published with best effort, which qos=reliable does not match"):
        source.read()
    rclpy.offered.clear()
    with pytest.raises(SourceError, match=r"^ros2:///eye: nobody publishes it any more$"):
        source.read()
    node(source).executor.failure = ValueError("a callback failed")
    node(source).executor.ended.set()
    source._thread._thread.join()
    with pytest.raises(SourceError, match=r"^ros2:///eye: its node has ended: a callback failed$"):
        source.read()


def test_without_ros_waiting_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(purpose: str) -> None:
        raise MissingRosError(purpose, "this environment has no rclpy")

    monkeypatch.setattr(module, "load_ros", missing)
    with pytest.raises(HopelessError, match="the source ros2:///eye needs ROS 2's Python packages, and this"):
        open_source("ros2:///eye", LiveOptions(wait_for_source=True))


def test_it_is_opened_by_its_name_and_again_when_lost(rclpy: Any, fakes: ModuleType) -> None:
    options = LiveOptions(open_timeout_s=0.15, read_timeout_s=0.15, first_pause_s=0.01, jitter=0.0)

    def publish() -> None:
        for context in rclpy.contexts:
            for each in context.nodes:
                if each.heard is not None:
                    each.heard(image(fakes, 4.0))

    with open_source("ros2:///eye", options) as source:
        publish()
        assert source.read() is not None
        assert (source.name, source.frame_at, source.live) == ("ros2:///eye", 99.0, True)
        ended = threading.Event()

        def publish_to_the_next() -> None:
            while not ended.wait(0.02):
                if len(rclpy.contexts) > 1:
                    publish()

        thread = threading.Thread(target=publish_to_the_next)
        thread.start()
        assert source.read() is not None
        ended.set()
        thread.join()
        assert source.reconnects == 1


def test_a_topic_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(
        SourceError, match=r"^ros2://camera: expected a topic with three slashes, as in ros2:///"
    ):
        open_source("ros2://camera")
    with pytest.raises(SourceError, match=r"ros2 needs three slashes, as in ros2:///TOPIC$"):
        open_source("ros2:/camera")
    with pytest.raises(SourceError, match="qos=best is not sensor_data or reliable"):
        open_source("ros2:///camera?qos=best")
