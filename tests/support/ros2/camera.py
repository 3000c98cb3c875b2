"""Publishes moving images by rclpy: ``camera.py '{"topic": "/camera/image_raw", …}'``; it ends on SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
import threading
from array import array
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

DEFAULTS = {
    "topic": "/camera/image_raw", "encoding": "bgr8", "size_hw": [48, 64], "hz": 20.0, "frame_id": "camera_front",
    "older_s": 0.0, "unstamped": False, "padding": 0, "compressed": "", "cut": False, "reliable": False,
    "sim_from_s": None,
}  # fmt: skip
CONVERSIONS = {"rgb8": cv2.COLOR_BGR2RGB, "mono8": cv2.COLOR_BGR2GRAY, "bgra8": cv2.COLOR_BGR2BGRA}


def scene(number: int, size_hw: list[int]) -> np.ndarray:
    """Three bands, dark, grey and bright, with a square that moves."""
    height, width = size_hw
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:, width // 3 :] = (120, 125, 130)
    frame[:, 2 * width // 3 :] = (250, 245, 240)
    x = number % (width - 4)
    frame[2:6, x : x + 4] = (10, 200, 30)
    return frame


def main() -> None:
    options = {**DEFAULTS, **json.loads(sys.argv[1])}
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("camera")
    reliability = ReliabilityPolicy.RELIABLE if options["reliable"] else ReliabilityPolicy.BEST_EFFORT
    kind: Any = CompressedImage if options["compressed"] else Image
    publisher = node.create_publisher(kind, options["topic"], QoSProfile(depth=5, reliability=reliability))
    clock = node.create_publisher(Clock, "/clock", 10) if options["sim_from_s"] is not None else None
    number = 0
    print("ready", flush=True)
    while not ended.wait(1 / options["hz"]):
        now_ns = node.get_clock().now().nanoseconds
        if clock is not None:
            now_ns = int((options["sim_from_s"] + number / options["hz"]) * 1e9)
            clock.publish(Clock(clock=stamp(now_ns)))
        message = image(options, scene(number, options["size_hw"]))
        message.header.frame_id = options["frame_id"]
        if not options["unstamped"]:
            message.header.stamp = stamp(now_ns - int(options["older_s"] * 1e9))
        publisher.publish(message)
        number += 1
    node.destroy_node()
    rclpy.try_shutdown()


def stamp(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def image(options: dict[str, Any], frame_bgr: np.ndarray) -> Any:
    if options["compressed"]:
        data = cv2.imencode(f".{options['compressed']}", frame_bgr)[1].tobytes()
        data = data[: len(data) // 2] if options["cut"] else data
        return CompressedImage(format=options["compressed"], data=array("B", data))
    conversion = CONVERSIONS.get(options["encoding"])
    pixels = frame_bgr if conversion is None else cv2.cvtColor(frame_bgr, conversion)
    rows = pixels.reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, options["padding"])))
    height, width = frame_bgr.shape[:2]
    data = rows.tobytes()
    data = data[: len(data) // 2] if options["cut"] else data
    return Image(
        height=height, width=width, encoding=options["encoding"], step=rows.shape[1], data=array("B", data)
    )


main()
