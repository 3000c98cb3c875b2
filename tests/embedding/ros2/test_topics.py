"""``edgeseg run --ros2`` in one process, and those who read its topics in others."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Child, StartChild

MASK = "/edgeseg/mask"
LISTEN = (
    f"{MASK}=sensor_msgs/Image",
    "/edgeseg/camera_info=sensor_msgs/CameraInfo",
    "/edgeseg/labels=std_msgs/String@latched",
    "/diagnostics=diagnostic_msgs/DiagnosticArray@reliable",
)
VOID = zlib.crc32(np.full((48, 64), 255, np.uint8).tobytes())


def run(start: StartChild, bundle: Path, *words: str) -> Child:
    return start("-m", "edgeseg.cli", "run", "--bundle", str(bundle), "--threads", "1", *words)


def camera(start: StartChild, **options: object) -> Child:
    return start("camera.py", json.dumps(options)).await_ready()


def stamp_of(facts: dict[str, Any]) -> tuple[str, int, int]:
    header = facts["message"]["header"]
    return header["frame_id"], header["stamp"]["sec"], header["stamp"]["nanosec"]


def is_mask(facts: dict[str, Any], void: bool = False) -> bool:
    return facts["topic"] == MASK and (facts["message"]["data"]["crc"] == VOID) == void


def diagnosis(facts: dict[str, Any]) -> str:
    return facts["message"]["status"][0]["message"] if facts["topic"] == "/diagnostics" else ""


def test_from_a_ros_camera_to_a_ros_listener(start: StartChild, bundle_folder: Path, tmp_path: Path) -> None:
    """A mask has the image's own stamp and frame, the listener gets all topics, and the end is told."""
    listener = start("listener.py", *LISTEN, "/camera/image_raw=sensor_msgs/Image").await_ready()
    eye = camera(start)
    program = run(start, bundle_folder, "--source", "ros2:///camera/image_raw", "--ros2", "--camera", "70")
    images: set[tuple[str, int, int]] = set()
    masks: dict[tuple[str, int, int], dict[str, Any]] = {}
    infos: dict[tuple[str, int, int], dict[str, Any]] = {}
    labels: list[str] = []

    def enough(facts: dict[str, Any]) -> bool:
        if facts["topic"] == "/camera/image_raw":
            images.add(stamp_of(facts))
        elif is_mask(facts):
            masks[stamp_of(facts)] = facts["message"]
        elif facts["topic"] == "/edgeseg/camera_info":
            infos[stamp_of(facts)] = facts["message"]
        elif facts["topic"] == "/edgeseg/labels":
            labels.append(facts["message"]["data"])
        return len(masks.keys() & infos.keys() & images) >= 3 and bool(labels)

    listener.until(enough)
    key = next(iter(masks.keys() & infos.keys() & images))
    assert key[0] == "camera_front"
    mask = masks[key]
    assert (mask["encoding"], mask["height"], mask["width"], mask["step"]) == ("mono8", 48, 64, 64)
    assert mask["data"]["length"] == 48 * 64
    assert infos[key]["k"][0] == pytest.approx(32 / np.tan(np.radians(35)))
    assert [each["class_name"] for each in json.loads(labels[0])["class_map"]] == ["dark", "grey", "bright"]
    listener.until(lambda facts: diagnosis(facts) == "valid")

    eye.end()
    listener.until(lambda facts: is_mask(facts, void=True))
    listener.until(lambda facts: diagnosis(facts).startswith("not valid: s"))  # stale, then source-lost
    camera(start)
    listener.until(is_mask)
    assert program.end() == 0
    listener.until(lambda facts: diagnosis(facts) == "not valid: ended: the run has ended")


def test_a_reliable_listener_that_comes_late_gets_the_labels_and_masks(
    start: StartChild, bundle_folder: Path
) -> None:
    camera(start)
    program = run(
        start, bundle_folder, "--source", "ros2:///camera/image_raw", "--ros2", "drone1/front", "--events", "-",
        "--ros-args", "-p", "qos:=reliable", "-p", "frame_id:=lens", "-r", "mask:=raw_segmentation_mask",
    )  # fmt: skip
    program.until(lambda event: event["type"] == "result" and event["valid"])
    topics = ("raw_segmentation_mask=sensor_msgs/Image@reliable", "labels=std_msgs/String@latched")
    listener = start("listener.py", *(f"/drone1/front/{topic}" for topic in topics)).await_ready()
    heard = {listener.until(lambda facts: facts["topic"].endswith("labels"))["topic"]}
    heard.add(listener.until(lambda facts: facts["topic"].endswith("_mask"))["topic"])
    assert heard == {"/drone1/front/labels", "/drone1/front/raw_segmentation_mask"}


def test_a_managed_node_is_commanded_from_outside(start: StartChild, bundle_folder: Path) -> None:
    listener = start("listener.py", *LISTEN).await_ready()
    camera(start)
    program = run(
        start, bundle_folder, "--source", "ros2:///camera/image_raw", "--ros2",
        "--ros-args", "-p", "auto_activate:=false",
    )  # fmt: skip
    node = "/edgeseg/segmentation"
    commands = start("lifecycle.py", node, "configure", "activate")
    assert json.loads(commands.line()) == {"success": True, "state": "inactive"}
    assert json.loads(commands.line()) == {"success": True, "state": "active"}
    listener.until(is_mask)
    commands = start("lifecycle.py", node, "deactivate", "cleanup")
    assert json.loads(commands.line()) == {"success": True, "state": "inactive"}
    listener.until(lambda facts: is_mask(facts, void=True))
    listener.until(lambda facts: diagnosis(facts) == "not valid: inactive: the node was deactivated")
    assert json.loads(commands.line()) == {"success": True, "state": "unconfigured"}
    commands = start("lifecycle.py", node, "configure", "activate")
    assert [json.loads(commands.line())["state"] for _ in range(2)] == ["inactive", "active"]
    listener.until(is_mask)
    start("lifecycle.py", node, "shutdown").end_by_itself()
    listener.until(lambda facts: diagnosis(facts) == "not valid: ended: the run has ended")
    assert program.end_by_itself() == 0


def test_a_landing_spot_and_masks_by_simulated_time(start: StartChild, bundle_folder: Path) -> None:
    """The aerial world knows its pose; all of it is safe here, so that there is a spot."""
    spot, mask = "/edgeseg/landing_pose=geometry_msgs/PoseStamped", f"{MASK}=sensor_msgs/Image"
    listener = start("listener.py", spot, mask).await_ready()
    camera(start, topic="/unused", sim_from_s=5000.0)  # for its clock
    run(
        start, bundle_folder, "--source", "aerial:7?size=240x320&fps=20&frames=100000", "--ros2",
        "--land", "dark,grey,bright", "--vehicle-radius", "0.5", "--ros-args", "-p", "use_sim_time:=true",
        "-p", "qos:=reliable",
    )  # fmt: skip
    facts = listener.until(lambda facts: facts["topic"].endswith("landing_pose") and stamp_of(facts)[1] > 0)
    frame_id, seconds, _ = stamp_of(facts)
    assert (frame_id, seconds // 1000) == ("base_link", 5)
    pose = facts["message"]["pose"]
    assert pose["position"]["z"] < -5.0  # below the vehicle
    assert pose["orientation"] == {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}


def test_free_space_in_front_of_a_camera(start: StartChild, bundle_folder: Path) -> None:
    """All that the camera shows is drivable: there is nothing within reach, and behind the camera all is unknown."""
    topics = ("grid=nav_msgs/OccupancyGrid", "scan=sensor_msgs/LaserScan")
    listener = start("listener.py", *(f"/edgeseg/free_space/{topic}" for topic in topics)).await_ready()
    eye = camera(start)
    run(
        start, bundle_folder, "--source", "ros2:///camera/image_raw", "--ros2", "--camera", "60",
        "--free-space", "dark,grey,bright", "--camera-height", "1.4", "--camera-tilt", "10",
        "--free-range", "4", "--camera-offset", "0.5,0,0",
    )  # fmt: skip
    scan = listener.until(lambda facts: "inf" in facts["message"].get("ranges", []))
    assert stamp_of(scan)[0] == "camera_ground"
    assert scan["message"]["angle_min"] == pytest.approx(-scan["message"]["angle_max"], abs=0.02)
    assert scan["message"]["range_max"] == pytest.approx(4.0, abs=0.5)
    grid = listener.until(lambda facts: facts["topic"].endswith("grid"))
    assert stamp_of(grid)[0] == "base_link"
    info = grid["message"]["info"]
    assert info["origin"]["position"]["y"] < 0
    assert grid["message"]["data"]["length"] == info["width"] * info["height"]
    eye.end()
    listener.until(lambda facts: set(facts["message"].get("ranges", [])) == {"nan"})


@pytest.mark.parametrize("source", ["rclpy", "cyclone"])
def test_an_implementation_that_shares_no_code_reads_the_masks_and_gives_the_images(
    start: StartChild, bundle_folder: Path, source: str
) -> None:
    listener = start("cyclone_listener.py", MASK).await_ready()
    if source == "rclpy":
        camera(start, topic="/eye", frame_id="cyclone")
    else:
        start("cyclone_camera.py", "/eye").await_ready()
    program = run(start, bundle_folder, "--source", "ros2:///eye", "--ros2", "--events", "-")
    event = program.until(lambda event: event["type"] == "result" and event["valid"])
    assert event["name"].startswith("cyclone@")
    mask = listener.until(lambda facts: facts["classes"] != [255])
    assert (mask["encoding"], mask["size_hw"], mask["step"]) == ("mono8", [48, 64], 64)
    assert (mask["frame_id"], mask["classes"]) == ("cyclone", [0, 1, 2])
    stamp_ns = mask["stamp_ns"]
    name = f"cyclone@{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}"
    if name > event["name"]:
        program.until(
            lambda event: event.get("name") == name
        )  # the stamp is that of the image, to the nanosecond
    program.end()
    listener.until(lambda facts: facts["classes"] == [255])


def test_what_ros_refuses_ends_the_run_with_one_line(start: StartChild, bundle_folder: Path) -> None:
    program = run(
        start, bundle_folder, "--source", "aerial:7?frames=1", "--ros2", "--ros-args", "-p", "qos:=perfect"
    )
    assert program.end_by_itself() == 2
    assert program.errors.endswith(
        "edgeseg run: error: the parameter qos of the ROS node is 'perfect'; expected sensor_data or reliable\n"
    )
    program = run(
        start, bundle_folder, "--source", "aerial:7?frames=1", "--ros2", "--ros-args", "-r", "nonsense"
    )
    assert program.end_by_itself() == 2
    assert "edgeseg run: error: ROS 2 refuses: " in program.errors.splitlines()[-1]
