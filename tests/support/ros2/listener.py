"""Subscribes to topics by rclpy, and prints a line of JSON for each message: ``listener.py TOPIC=TYPE…``.

The first line is ``ready``. It ends when its standard input closes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import sys
import threading
import time
import zlib
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

BEST_EFFORT = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def plain(value: Any) -> Any:
    """A message as JSON can hold it; long data as its length, checksum and first values."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, bytes):
        return value[0] if len(value) == 1 else list(value)
    if hasattr(value, "tobytes") and len(value) > 200:
        return {"length": len(value), "crc": zlib.crc32(value.tobytes()), "first": plain(value[:4])}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("listener")
    for argument in sys.argv[1:]:
        topic, _, kind = argument.partition("=")
        kind, _, quality = kind.partition("@")
        package, _, name = kind.partition("/")
        profile = {"reliable": RELIABLE, "latched": LATCHED}.get(quality, BEST_EFFORT)

        def heard(message: Any, topic: str = topic) -> None:
            at = time.time_ns()
            print(json.dumps({"topic": topic, "at_ns": at, "message": plain(message)}), flush=True)

        message_class = getattr(importlib.import_module(f"{package}.msg"), name)
        node.create_subscription(message_class, topic, heard, profile)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def serve() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=serve)
    thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    executor.shutdown()
    thread.join()
    node.destroy_node()
    rclpy.try_shutdown()


main()
