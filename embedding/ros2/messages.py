"""Messages from plain arrays and numbers. Nothing here needs a node, so any object with the right fields will do."""

from __future__ import annotations

import json
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Frame
from ...core.labels import VOID, LabelMap
from ..camera.file import ros_form
from ..camera.model import CameraModel
from .library import Ros
from .stamps import RosStamp

UNKNOWN, FREE, OCCUPIED = -1, 0, 100
"""The values of an OccupancyGrid's cells."""


def header_of(ros: Ros, stamp: RosStamp) -> Any:
    """Returns a ``std_msgs/Header``."""
    header = ros.std.Header()
    header.frame_id = stamp.frame_id
    header.stamp.sec, header.stamp.nanosec = stamp.parts
    return header


def mask_image(ros: Ros, header: Any, classes: ClassMap) -> Any:
    """Returns a class map as ``sensor_msgs/Image``, ``mono8``.

    Args:
        ros: the messages.
        header: of the frame.
        classes: uint8 [H, W].
    """
    return _image(ros, header, classes, "mono8")


def colour_image(ros: Ros, header: Any, frame_bgr: Frame) -> Any:
    """Returns an image as ``sensor_msgs/Image``, ``bgr8``.

    Args:
        ros: the messages.
        header: of the frame.
        frame_bgr: uint8 [H, W, 3].
    """
    return _image(ros, header, frame_bgr, "bgr8")


def _image(ros: Ros, header: Any, pixels: npt.NDArray[np.uint8], encoding: str) -> Any:
    message = ros.sensor.Image()
    message.header, message.encoding, message.is_bigendian = header, encoding, 0
    message.height, message.width = pixels.shape[:2]
    message.step = pixels.shape[1] * (pixels.shape[2] if pixels.ndim == 3 else 1)
    message.data = _bytes(pixels)
    return message


def _bytes(values: npt.NDArray[Any]) -> array[Any]:
    """Returns an array that rclpy takes as it is; it would look at each element of any other kind of sequence."""
    codes = {"uint8": "B", "int8": "b", "float32": "f"}
    copied = array(codes[values.dtype.name])
    copied.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return copied


def camera_info(ros: Ros, header: Any, camera: CameraModel) -> Any:
    """Returns the calibration as ``sensor_msgs/CameraInfo``, for frames of the camera's size."""
    message = ros.sensor.CameraInfo()
    message.header = header
    message.height, message.width = camera.size_hw
    kind, coefficients = ros_form(camera)
    message.distortion_model = kind
    if kind == "plumb_bob":  # always k1, k2, t1, t2, k3 there
        coefficients = (*coefficients, 0.0)[:5]
    message.d = [float(value) for value in coefficients]
    message.k = camera.matrix.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.column_stack([camera.rectified().matrix, np.zeros(3)]).ravel()
    return message


def label_info(ros: Ros, header: Any, labels: LabelMap) -> Any:
    """Returns the classes as ``vision_msgs/LabelInfo``; as JSON in a ``std_msgs/String`` where that is not installed.

    The id 255 is its ``UNLABELED``, and void here.
    """
    if ros.vision is None:
        classes = [
            {"class_id": number, "class_name": label.name, "rgb": list(label.rgb)}
            for number, label in enumerate(labels.labels)
        ]
        message = ros.std.String()
        message.data = json.dumps({"class_map": classes, "threshold": 0.0, "void": VOID})
        return message
    message = ros.vision.LabelInfo()
    message.header, message.threshold = header, 0.0
    for number, name in enumerate(labels.names):
        entry = ros.vision.VisionClass()
        entry.class_id, entry.class_name = number, name
        message.class_map.append(entry)
    return message


def landing_pose(ros: Ros, header: Any, frd_m: tuple[float, float, float]) -> Any:
    """Returns a landing spot as ``geometry_msgs/PoseStamped``, in the axes of ROS: x ahead, y left, z up.

    Args:
        ros: the messages.
        header: its frame is the vehicle's.
        frd_m: metres forward, right and down of the vehicle's reference.
    """
    forward, right, down = frd_m
    message = ros.geometry.PoseStamped()
    message.header = header
    position = message.pose.position
    position.x, position.y, position.z = float(forward), -float(right), -float(down)
    message.pose.orientation.w = 1.0
    return message


def occupancy_grid(
    ros: Ros, header: Any, cells: npt.NDArray[np.int8], cell_m: float, corner_xy_m: tuple[float, float]
) -> Any:
    """Returns a bird's-eye grid as ``nav_msgs/OccupancyGrid``.

    Args:
        ros: the messages.
        header: its frame is the vehicle's: x ahead, y left.
        cells: int8 [rows, columns], ``FREE``, ``OCCUPIED`` or ``UNKNOWN``. Columns grow with x and rows with y.
        cell_m: side of a cell in metres.
        corner_xy_m: the corner of the first cell with the smallest x and y, in metres.
    """
    message = ros.nav.OccupancyGrid()
    message.header = header
    message.info.map_load_time = header.stamp
    message.info.resolution = float(cell_m)
    message.info.height, message.info.width = cells.shape
    message.info.origin.position.x, message.info.origin.position.y = (float(value) for value in corner_xy_m)
    message.info.origin.orientation.w = 1.0
    message.data = _bytes(cells)
    return message


def laser_scan(
    ros: Ros,
    header: Any,
    ranges_m: npt.NDArray[np.float32],
    first_rad: float,
    step_rad: float,
    limits_m: tuple[float, float],
) -> Any:
    """Returns distances as ``sensor_msgs/LaserScan``, counter-clockwise: from right to left.

    Args:
        ros: the messages.
        header: its frame is the vehicle's: x ahead, y left.
        ranges_m: float32 [N], metres; infinite for nothing within the limits, NaN for unknown.
        first_rad: the direction of the first one, in radians counter-clockwise from ahead.
        step_rad: from one direction to the next, above 0.
        limits_m: the shortest and the longest distance that can be told.
    """
    message = ros.sensor.LaserScan()
    message.header = header
    message.angle_min, message.angle_increment = float(first_rad), float(step_rad)
    message.angle_max = float(first_rad + step_rad * max(0, len(ranges_m) - 1))
    message.range_min, message.range_max = (float(value) for value in limits_m)
    message.ranges = _bytes(ranges_m.astype(np.float32, copy=False))
    return message
