"""Messages from plain arrays: what a robot reads is what was seen."""

from __future__ import annotations

import json
from array import array
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edgeseg.core.labels import LabelMap
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.ros2 import messages
from edgeseg.embedding.ros2.stamps import RosStamp

AT = RosStamp("front", 12_000_000_345)


def test_a_class_map_is_a_mono8_image_of_its_rows(ros: Any) -> None:
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    message = messages.mask_image(ros, messages.header_of(ros, AT), classes)
    assert (message.encoding, message.height, message.width, message.step) == ("mono8", 3, 4, 4)
    assert message.data == array("B", range(12))
    header = message.header
    assert (header.frame_id, header.stamp.sec, header.stamp.nanosec) == ("front", 12, 345)


def test_an_array_that_is_not_contiguous_is_published_as_it_looks(ros: Any) -> None:
    wide = np.arange(24, dtype=np.uint8).reshape(3, 8)
    message = messages.mask_image(ros, messages.header_of(ros, AT), wide[:, ::2])
    assert message.data.tobytes() == wide[:, ::2].tobytes()


def test_an_overlay_is_a_bgr8_image(ros: Any) -> None:
    frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    message = messages.colour_image(ros, messages.header_of(ros, AT), frame)
    assert (message.encoding, message.height, message.width, message.step) == ("bgr8", 2, 4, 12)
    assert message.data.tobytes() == frame.tobytes()


@pytest.mark.parametrize(
    ("model", "coefficients", "kind", "told"),
    [
        ("brown", (), "plumb_bob", [0.0] * 5),
        ("brown", (0.1, 0.2, 0.3, 0.4), "plumb_bob", [0.1, 0.2, 0.3, 0.4, 0.0]),
        ("brown", tuple(range(8)), "rational_polynomial", [float(k) for k in range(8)]),
        ("fisheye", (0.1, 0.2, 0.3, 0.4), "equidistant", [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_a_calibration_is_told_in_the_words_of_ros(
    ros: Any, model: Any, coefficients: tuple[float, ...], kind: str, told: list[float]
) -> None:
    camera = CameraModel((48, 64), 50.0, 51.0, 31.5, 23.5, tuple(k * 1e-3 for k in coefficients), model)
    message = messages.camera_info(ros, messages.header_of(ros, AT), camera)
    assert (message.height, message.width, message.distortion_model) == (48, 64, kind)
    assert message.d == pytest.approx([k * 1e-3 for k in told])
    assert list(message.k) == [50.0, 0, 31.5, 0, 51.0, 23.5, 0, 0, 1]
    assert list(message.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    rectified = camera.rectified()
    assert list(message.p) == [rectified.fx, 0, rectified.cx, 0, 0, rectified.fy, rectified.cy, 0, 0, 0, 1, 0]


def test_labels_are_json_where_vision_msgs_is_not_installed(ros: Any, labels: LabelMap) -> None:
    message = messages.label_info(ros, messages.header_of(ros, AT), labels)
    told = json.loads(message.data)
    assert told["class_map"][1] == {"class_id": 1, "class_name": "grey", "rgb": [128, 128, 128]}
    assert (len(told["class_map"]), told["threshold"], told["void"]) == (3, 0.0, 255)


def test_labels_are_label_info_where_it_is(fakes: ModuleType, labels: LabelMap) -> None:
    message = messages.label_info(
        fakes.fake_ros(vision=True), messages.header_of(fakes.fake_ros(), AT), labels
    )
    assert [(each.class_id, each.class_name) for each in message.class_map] == [
        (0, "dark"),
        (1, "grey"),
        (2, "bright"),
    ]
    assert message.header.frame_id == "front"


def test_a_landing_spot_ahead_and_to_the_right_has_a_negative_y_and_lies_below(ros: Any) -> None:
    message = messages.landing_pose(ros, messages.header_of(ros, AT), (3.0, 2.0, 10.0))
    position, turn = message.pose.position, message.pose.orientation
    assert (position.x, position.y, position.z) == (3.0, -2.0, -10.0)
    assert (turn.x, turn.y, turn.z, turn.w) == (0.0, 0.0, 0.0, 1.0)


def test_a_grid_starts_at_the_corner_with_the_smallest_x_and_y(ros: Any) -> None:
    cells = np.full((2, 3), messages.UNKNOWN, np.int8)
    cells[0, 2], cells[1, 0] = messages.OCCUPIED, messages.FREE  # far ahead on the right; near on the left
    message = messages.occupancy_grid(ros, messages.header_of(ros, AT), cells, 0.25, (1.0, -0.25))
    assert (message.info.width, message.info.height, message.info.resolution) == (3, 2, 0.25)
    origin = message.info.origin
    assert (origin.position.x, origin.position.y, origin.orientation.w) == (1.0, -0.25, 1.0)
    assert message.data == array("b", [-1, -1, 100, 0, -1, -1])
    assert message.info.map_load_time.sec == 12


def test_a_scan_goes_counter_clockwise_and_tells_unknown_from_nothing(ros: Any) -> None:
    ranges = np.array([2.0, np.nan, np.inf], np.float32)
    message = messages.laser_scan(ros, messages.header_of(ros, AT), ranges, -0.5, 0.5, (0.3, 20.0))
    assert (message.angle_min, message.angle_max, message.angle_increment) == (-0.5, 0.5, 0.5)
    assert (message.range_min, message.range_max) == (0.3, 20.0)
    assert message.ranges[0] == 2.0
    assert np.isnan(message.ranges[1])
    assert np.isposinf(message.ranges[2])
