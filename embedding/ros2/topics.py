"""The topics of a node: each gets its publisher when it is first needed, with the quality of service that it has."""

from __future__ import annotations

import time
from typing import Any

from .library import Ros
from .parameters import RELIABLE

MASK, RAW_MASK, OVERLAY = "mask", "raw_mask", "overlay"
LABELS, CAMERA_INFO = "labels", "camera_info"
LANDING, GRID, SCAN = "landing_pose", "free_space/grid", "free_space/scan"
DIAGNOSTICS = "/diagnostics"

_FLUSH_SECONDS, _LINGER_SECONDS = 0.3, 0.05
_DEPTH = 5
"""Messages that wait for a slow subscriber, as in ROS's own profile for sensor data."""


class Topics:
    """The publishers of a configured node.

    Args:
        ros: the packages.
        node: makes the publishers.
        qos: of results: ``sensor_data`` or ``reliable``.
    """

    def __init__(self, ros: Ros, node: Any, qos: str) -> None:
        self._node, self._qos = node, ros.rclpy.qos
        self._duration = ros.rclpy.duration.Duration
        self._reliable = qos == RELIABLE
        self._publishers: dict[str, Any] = {}

    def advertise(self, topic: str, kind: Any) -> None:
        """Makes the publisher of a topic, so that others can find it before the first message.

        Args:
            topic: one of this module's names.
            kind: class of the messages.
        """
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(kind, topic, self._profile(topic))

    def publish(self, topic: str, message: Any) -> None:
        """Publishes a message."""
        self.advertise(topic, type(message))
        self._publishers[topic].publish(message)

    def is_read(self, topic: str) -> bool:
        """Returns True if the topic is advertised and anyone subscribes to it."""
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def flush(self) -> None:
        """Waits, not for long, until what was published last has reached its readers.

        It would go with the publishers otherwise, for it lies in memory that they share with the readers.
        """
        until = time.monotonic() + _FLUSH_SECONDS
        for publisher in self._publishers.values():
            left = max(0.0, until - time.monotonic())
            publisher.wait_for_all_acked(self._duration(seconds=left))  # at once with best effort
        time.sleep(_LINGER_SECONDS)

    def close(self) -> None:
        """Removes the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def _profile(self, topic: str) -> Any:
        qos = self._qos
        latched = topic == LABELS
        reliable = latched or topic == DIAGNOSTICS or self._reliable
        return qos.QoSProfile(
            history=qos.HistoryPolicy.KEEP_LAST,
            depth=1 if latched else _DEPTH,
            reliability=qos.ReliabilityPolicy.RELIABLE if reliable else qos.ReliabilityPolicy.BEST_EFFORT,
            durability=qos.DurabilityPolicy.TRANSIENT_LOCAL if latched else qos.DurabilityPolicy.VOLATILE,
        )
