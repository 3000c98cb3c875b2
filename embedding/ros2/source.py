"""A source that subscribes to a topic of images: ``ros2:///camera/image_raw``."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from typing import Any

import numpy as np

from ...core.arrays import Frame
from ...core.errors import SourceError
from ...runtime import clock
from ...runtime.sources.live import HopelessError, Interrupted, Interruption, LiveOptions, WaitingSource
from ...runtime.sources.uri import SourceUri
from .images import COMPRESSED, IMAGE, FrameReader
from .library import MissingRosError, load_ros
from .node import NodeThread, RosError
from .stamps import RosStamp, age_s, stamp_of_header

log = logging.getLogger(__name__)

_KINDS = (IMAGE, COMPRESSED)
_LOOK_SECONDS = 0.05
_numbers = itertools.count()


class Ros2Source(WaitingSource):
    """The images of a topic; the newest wins. It opens once somebody publishes the topic.

    ``frame_at`` comes from the stamp of the image by ROS's clock, so a stamp that is wrong or missing makes its result
    ``stale``; ``?stamp=arrival`` takes the moment of arrival. ``frame_name`` is the image's header:
    :class:`~edgeseg.embedding.ros2.stamps.RosStamp`.

    Args:
        uri: parsed.
        options: the deadlines.
        interruption: ends waits.

    Raises:
        HopelessError: ROS 2 is not in this environment, or refuses the topic.
        SourceError: nobody publishes the topic.
    """

    def __init__(self, uri: SourceUri, options: LiveOptions, interruption: Interruption) -> None:
        self.name = uri.public_name
        self._topic = uri.rest
        self._interruption, self._read_timeout_s = interruption, options.read_timeout_s
        self._by_arrival = uri.options.get("stamp") == "arrival"
        self._sim_time = uri.options.get("sim_time") == "1"
        self._reliable = uri.options.get("qos") == "reliable"
        self._reader = FrameReader(self.name)
        self._lock, self._came = threading.Lock(), threading.Event()
        self._newest: tuple[Any, float, int] | None = None
        self._shape: tuple[int, ...] | None = None
        self._noted = False
        try:
            self._ros = load_ros(f"the source {self.name}")
            self._thread = NodeThread(self._ros, self._make_node)
        except (MissingRosError, RosError) as error:
            raise HopelessError(str(error)) from error
        try:
            kind = self._await_publisher(time.monotonic() + options.open_timeout_s)
            self._read_message = self._reader.reader_of(kind)
            self._subscribe(kind)
        except BaseException:
            self._thread.close()
            raise

    def read(self) -> Frame | None:
        """The newest frame, uint8 [H, W, 3] BGR; None once interrupted.

        Raises:
            SourceError: none came in time.
        """
        until = time.monotonic() + self._read_timeout_s
        try:
            while True:
                if not self._interruption.wait_for(self._came, until):
                    raise SourceError(f"{self.name}: {self._silence()}")
                frame = self._take()
                if frame is not None:
                    return frame
        except Interrupted:
            return None

    def interrupt(self) -> None:
        """Makes a waiting :meth:`read` return None soon."""
        self._interruption.set()

    def close(self) -> None:
        """Ends the node."""
        self._thread.close()

    def _make_node(self, context: Any) -> Any:
        rclpy = self._ros.rclpy
        parameter = rclpy.parameter.Parameter("use_sim_time", value=self._sim_time)
        return rclpy.create_node(
            f"edgeseg_source_{os.getpid()}_{next(_numbers)}",
            context=context,
            parameter_overrides=[parameter],
            start_parameter_services=False,
            enable_rosout=False,
        )

    def _await_publisher(self, until: float) -> str:
        """Waits for a publisher, and returns the type of its messages. Raises SourceError, Interrupted."""
        while True:
            kinds = [info.topic_type for info in self._thread.node.get_publishers_info_by_topic(self._topic)]
            found = next((kind for kind in kinds if kind in _KINDS), None)
            if found is not None:
                return str(found)
            if kinds:
                raise SourceError(f"{self.name} carries {kinds[0]}; expected {IMAGE} or {COMPRESSED}")
            if time.monotonic() > until:
                domain = os.environ.get("ROS_DOMAIN_ID", "0")
                raise SourceError(f"nobody publishes {self._topic} in the domain {domain} (ROS_DOMAIN_ID)")
            self._interruption.sleep(_LOOK_SECONDS)

    def _subscribe(self, kind: str) -> None:
        qos, sensor = self._ros.rclpy.qos, self._ros.sensor
        reliability = qos.ReliabilityPolicy
        profile = qos.QoSProfile(
            history=qos.HistoryPolicy.KEEP_LAST,
            depth=1,
            reliability=reliability.RELIABLE if self._reliable else reliability.BEST_EFFORT,
        )
        message = sensor.CompressedImage if kind == COMPRESSED else sensor.Image
        self._thread.node.create_subscription(message, self._topic, self._receive, profile)

    def _receive(self, message: Any) -> None:
        """Keeps a message with its arrival by both clocks. Called in the node's thread."""
        came = message, clock.now(), int(self._thread.node.get_clock().now().nanoseconds)
        with self._lock:
            self.dropped += self._newest is not None
            self._newest = came
            self._came.set()

    def _take(self) -> Frame | None:
        """Returns the frame of the newest message, and sets what belongs to it; None if it gives none."""
        with self._lock:
            newest, self._newest = self._newest, None
            self._came.clear()
        if newest is None:
            return None
        message, arrived_at, ros_now_ns = newest
        stamp = stamp_of_header(message.header)
        frame, self.frame_fault, trouble = self._read_message(message)
        self.frame_name = stamp.name
        self.frame_at = arrived_at if self._by_arrival else arrived_at - age_s(ros_now_ns, stamp)
        self._note(stamp)
        if frame is None:
            if self._shape is None:
                raise SourceError(trouble)
            # The run must get a frame to see the fault.
            return np.zeros(self._shape, np.uint8)
        self._shape = frame.shape
        return frame

    def _note(self, stamp: RosStamp) -> None:
        """Says once that images have no stamp, which makes all results stale."""
        if stamp.nanoseconds or self._by_arrival or self._noted:
            return
        self._noted = True
        note = (
            "its images have no stamp, so their results are stale; add ?stamp=arrival to take their arrival"
        )
        extra = {"event": "source-note", "fields": {"source": self.name, "note": note}}
        log.warning("%s: %s", self.name, note, extra=extra)

    def _silence(self) -> str:
        """Says why no image came."""
        if self._thread.problem:
            return f"its node has ended: {self._thread.problem}"
        publishers = self._thread.node.get_publishers_info_by_topic(self._topic)
        if not publishers:
            return "nobody publishes it any more"
        reliability = self._ros.rclpy.qos.ReliabilityPolicy
        if self._reliable and all(
            info.qos_profile.reliability == reliability.BEST_EFFORT for info in publishers
        ):
            return "it is published with best effort, which qos=reliable does not match; leave that out"
        return f"no image came for {self._read_timeout_s:g} s"
