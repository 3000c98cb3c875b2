"""The source of a real topic, in two processes: one publishes images, one reads them."""

from __future__ import annotations

import json
import time

import pytest

from .conftest import Child, StartChild

TOPIC = "ros2:///camera/image_raw"
BANDS = [[0, 0, 0], [120, 125, 130], [250, 245, 240]]


def camera(start: StartChild, **options: object) -> Child:
    return start("camera.py", json.dumps(options)).await_ready()


def near(columns: list[list[int]], expected: list[list[int]] = BANDS, by: int = 3) -> bool:
    return all(
        abs(a - b) <= by
        for column, wanted in zip(columns, expected, strict=True)
        for a, b in zip(column, wanted, strict=True)
    )


@pytest.mark.parametrize(
    ("options", "by"),
    [
        ({}, 0),
        ({"encoding": "rgb8", "padding": 7, "reliable": True}, 0),
        ({"compressed": "jpg"}, 4),
    ],
    ids=["bgr8", "rgb8 padded and reliable", "compressed"],
)
def test_images_come_with_their_pixels_name_and_age(
    start: StartChild, options: dict[str, object], by: int
) -> None:
    camera(start, older_s=0.3, **options)
    reader = start("reader.py", TOPIC).await_ready()
    frame = reader.until(lambda facts: True)
    assert frame["size_hw"] == [48, 64]
    assert near(frame["columns"], by=by)
    assert frame["name"].startswith("camera_front@")
    assert frame["fault"] == ""
    assert 0.3 <= frame["age_s"] < 20


def test_grey_images_of_another_size_follow(start: StartChild) -> None:
    first = camera(start)
    reader = start("reader.py", TOPIC, "2").await_ready()
    reader.until(lambda facts: True)
    first.end()
    camera(start, encoding="mono8", size_hw=[24, 32])
    frame = reader.until(lambda facts: facts["size_hw"] == [24, 32])
    assert frame["fault"] == "resolution-changed"
    assert near(frame["columns"], [[0] * 3, [126] * 3, [244] * 3], by=2)


def test_a_publisher_that_goes_is_lost_and_one_that_comes_is_back(start: StartChild) -> None:
    first = camera(start)
    reader = start("reader.py", TOPIC, "1").await_ready()
    reader.until(lambda facts: facts["reconnects"] == 0)
    first.end()
    deadline = time.monotonic() + 30
    while "it is being opened again" not in reader.errors and time.monotonic() < deadline:
        time.sleep(0.05)
    assert f"lost {TOPIC}: nobody publishes it any more; it is being opened again" in reader.errors
    camera(start)
    reader.until(lambda facts: facts["reconnects"] == 1)
    assert f"{TOPIC} is back after" in reader.errors


def test_simulated_time_gives_the_age_if_asked_for(start: StartChild) -> None:
    camera(start, sim_from_s=1000.0, older_s=0.1)
    reader = start("reader.py", f"{TOPIC}?sim_time=1").await_ready()
    frame = reader.until(lambda facts: 0 <= facts["age_s"] < 20)
    assert frame["name"].startswith("camera_front@10")


def test_stamps_that_cannot_be_right_never_look_new(start: StartChild) -> None:
    """Those of simulated time, read by the real clock, are decades old; those to come stay to come."""
    camera(start, topic="/simulated", sim_from_s=1000.0)
    camera(start, topic="/ahead", older_s=-2.0)
    camera(start, topic="/unstamped", unstamped=True)
    assert start("reader.py", "ros2:///simulated").await_ready().until(lambda facts: True)["age_s"] > 1e9
    assert start("reader.py", "ros2:///ahead").await_ready().until(lambda facts: True)["age_s"] < -1
    reader = start("reader.py", "ros2:///unstamped").await_ready()
    assert reader.until(lambda facts: True)["age_s"] > 1e9
    reader.end()
    assert "its images have no stamp, so their results are stale; add ?stamp=arrival" in reader.errors
    reader = start("reader.py", "ros2:///unstamped?stamp=arrival").await_ready()
    assert 0 <= reader.until(lambda facts: True)["age_s"] < 20


def test_a_broken_image_is_a_fault_and_not_the_end(start: StartChild) -> None:
    camera(start, hz=5.0)
    reader = start("reader.py", TOPIC).await_ready()
    reader.until(lambda facts: True)
    camera(start, cut=True, hz=5.0)  # a second publisher of the same topic
    broken = reader.until(lambda facts: facts["fault"] != "")
    assert (broken["fault"], broken["columns"]) == ("corrupt", [[0, 0, 0]] * 3)
    assert reader.until(lambda facts: facts["fault"] == "")["reconnects"] == 0


def test_what_cannot_be_opened_says_why(start: StartChild) -> None:
    camera(start, topic="/half", compressed="jpg", cut=True)
    listener = start("listener.py", "/clock=rosgraph_msgs/Clock").await_ready()
    camera(start, topic="/other", sim_from_s=0.0)
    listener.until(lambda facts: True)
    said = {
        uri: json.loads(start("reader.py", uri, "10", "1.5").line())
        for uri in ("ros2:///nothing", "ros2:///clock")
    }
    assert said["ros2:///nothing"]["error"].startswith("nobody publishes /nothing in the domain ")
    assert said["ros2:///clock"]["error"] == (
        "ros2:///clock carries rosgraph_msgs/msg/Clock; expected sensor_msgs/msg/Image or"
        " sensor_msgs/msg/CompressedImage"
    )
    reader = start("reader.py", "ros2:///half", "1.5").await_ready()
    deadline = time.monotonic() + 30
    while "lost ros2:///half: what ros2:///half sends" not in reader.errors and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "lost ros2:///half: what ros2:///half sends is damaged or truncated" in reader.errors


def test_a_publisher_that_cannot_be_heard_is_named(start: StartChild) -> None:
    camera(start)
    reader = start("reader.py", f"{TOPIC}?qos=reliable", "1").await_ready()
    deadline = time.monotonic() + 30
    while "which qos=reliable does not match" not in reader.errors and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (
        "it is published with best effort, which qos=reliable does not match; leave that out" in reader.errors
    )
