"""A sink that publishes results as topics of a managed node."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import OutputError, UsageError
from ...core.labels import LabelMap
from ...runtime.clock import now
from ...runtime.result import Segmentation
from ...runtime.sinks.base import Output, Sink, StopRequested
from ...runtime.status import SourceStatus, Status
from ..camera.model import CameraModel
from . import messages, topics
from .diagnostics import ENDED, INACTIVE, diagnostic_array, health_of
from .findings import messages_of
from .library import load_ros
from .lifecycle import managed_node
from .node import NodeThread, one_line
from .parameters import NodeParameters, declare, read
from .stamps import RosStamp, nanoseconds_at, stamp_of_name
from .topics import Topics

log = logging.getLogger(__name__)

NODE_NAME = "segmentation"
_MOST_FAILURES = 5
_DIAGNOSTICS_SECONDS = 1.0


@dataclass(frozen=True)
class RosOptions:
    """The node of a sink.

    Attributes:
        namespace: of the node and its topics.
        ros_args: what follows ``--ros-args``: remappings, parameters and their files.
        source: the number of the source, from 1; 0 if there is only one.
        source_name: for display.
        parameters: the defaults of the node's parameters.
        camera_for: gives the calibrated camera for frames of a size, or raises UsageError; None if there is none.
    """

    namespace: str = "edgeseg"
    ros_args: tuple[str, ...] = ()
    source: int = 0
    source_name: str = ""
    parameters: NodeParameters = field(default_factory=NodeParameters)
    camera_for: Callable[[tuple[int, int]], CameraModel] | None = None


class Ros2Sink(Sink):
    """Publishes the results of one source while its node is active. docs/ros2.md lists the topics.

    A result that is not valid is published as a void mask. So is the end: before the topics fall silent, because the
    node was deactivated or the run ends, the last mask is void.

    Args:
        options: the node.
        labels: the classes.

    Raises:
        MissingRosError: ROS 2 is not in this environment.
        RosError: it refuses the arguments, the namespace or a parameter.
    """

    lossless = True
    beats = True
    is_acted_on = True
    ephemeral = True
    most_failures = _MOST_FAILURES

    def __init__(self, options: RosOptions, labels: LabelMap) -> None:
        self._ros = load_ros("--ros2")
        self._options, self._labels = options, labels
        self._lock = threading.RLock()  # a transition comes in the node's own thread
        self._topics: Topics | None = None
        self._parameters = options.parameters
        self._active = self._finished = False
        self._last: Segmentation | None = None
        self._reason: str | None = None
        self._status: tuple[Status, SourceStatus] | None = None
        self._told: tuple[bytes, str] | None = None
        self._tell_at = 0.0
        self._cameras: dict[tuple[int, int], CameraModel | None] = {}
        self._thread = NodeThread(self._ros, self._make_node, options.ros_args)
        self._node = self._thread.node
        self._clock = self._node.get_clock()
        self.name = f"ros2 {self._node.get_fully_qualified_name()}"
        if self._parameters.auto_activate:
            self._node.trigger_configure()
            self._node.trigger_activate()

    def _make_node(self, context: Any) -> Any:
        node = managed_node(self._ros, NODE_NAME, self._options.namespace, context, self)
        declare(self._ros, node, self._options.parameters)
        self._parameters = read(node)
        return node

    @property
    def idle(self) -> bool:
        """True while the node is not active."""
        return not self._active

    def write(self, output: Output) -> None:
        """Publishes a result. While the node is not active it publishes nothing.

        Raises:
            OutputError: ROS 2 failed.
            StopRequested: the node was shut down.
        """
        with self._lock:
            self._check()
            if not self._active:
                return
            try:
                self._publish(output)
            except Exception as error:  # rclpy's errors share no class
                raise OutputError(f"{self.name}: {one_line(error)}") from error

    def announce(self, status: Status) -> None:
        """Publishes the diagnostics when they have changed, and every second.

        Raises:
            OutputError: ROS 2 failed.
            StopRequested: the node was shut down.
        """
        with self._lock:
            self._check()
            source = next((each for each in status.sources if each.number == self._options.source), None)
            if source is None:
                return
            self._status = status, source
            newest_id = -1 if source.frame_id is None else source.frame_id
            # A result that was written meanwhile knows more.
            if self._last is None or newest_id >= self._last.frame_id:
                self._reason = source.reason if source.frame_id is not None or source.reason else None
            if self._active:
                try:
                    self._diagnose()
                except Exception as error:
                    raise OutputError(f"{self.name}: {one_line(error)}") from error

    def close(self, commit: bool) -> None:
        """Publishes a void mask and the end, and ends the node."""
        with self._lock:
            if self._active:
                self._withdraw(ENDED)
            self._active, self._finished = False, True
            if self._topics is not None:
                self._topics.flush()
        self._thread.close()

    # The steps of the managed node. All but those of the start come in the node's thread.

    def configure(self, node: Any) -> None:
        """Reads the parameters and makes the publishers."""
        with self._lock:
            self._parameters = read(node)
            its = Topics(self._ros, node, self._parameters.qos)
            its.advertise(topics.MASK, self._ros.sensor.Image)
            its.advertise(topics.OVERLAY, self._ros.sensor.Image)
            its.advertise(topics.DIAGNOSTICS, self._ros.diagnostic.DiagnosticArray)
            if self._options.camera_for is not None:
                its.advertise(topics.CAMERA_INFO, self._ros.sensor.CameraInfo)
            self._topics = its

    def activate(self) -> None:
        """Publishes the labels, and then results."""
        with self._lock:
            self._publish_labels()
            self._active, self._told = True, None
        log.info("%s is active", self.name, extra={"event": "ros2-active"})

    def deactivate(self) -> None:
        """Publishes a void mask, and no more."""
        with self._lock:
            self._withdraw(INACTIVE)
            self._active = False
        log.info("%s is inactive", self.name, extra={"event": "ros2-inactive"})

    def clean_up(self) -> None:
        """Removes the publishers."""
        with self._lock:
            if self._topics is not None:
                self._topics.close()
            self._topics = None

    def shut_down(self) -> None:
        """Publishes a void mask and ends the run."""
        with self._lock:
            if self._active:
                self._withdraw(ENDED)
            self._active, self._finished = False, True

    def _check(self) -> None:
        if self._thread.problem:
            raise OutputError(f"{self.name} has ended: {self._thread.problem}")
        if self._finished:
            raise StopRequested

    def _header(self, nanoseconds: int, frame_id: str = "") -> Any:
        return messages.header_of(self._ros, RosStamp(frame_id, nanoseconds))

    def _now_ns(self) -> int:
        return int(self._clock.now().nanoseconds)

    def _stamp(self, output: Output) -> RosStamp:
        """Returns the stamp of the frame: its own where it came from ROS, else from the age of its capture."""
        own = None if output.beat else stamp_of_name(output.name)
        if own is not None:
            return own._replace(frame_id=own.frame_id or self._parameters.frame_id)
        ros_now_ns = self._now_ns()
        age_s = 0.0 if output.beat else now() - output.result.captured_at
        return RosStamp(self._parameters.frame_id, nanoseconds_at(ros_now_ns, age_s))

    def _publish(self, output: Output) -> None:
        its, result = self._topics, output.result
        assert its is not None  # an active node is configured
        stamp = self._stamp(output)
        self._publish_result(its, stamp, result)
        if its.is_read(topics.OVERLAY):
            header = messages.header_of(self._ros, stamp)
            its.publish(topics.OVERLAY, messages.colour_image(self._ros, header, output.overlay_bgr))
        self._last = result
        if result.reason != self._reason or self._told is None:
            self._reason = result.reason
            self._diagnose()

    def _publish_result(self, its: Topics, stamp: RosStamp, result: Segmentation) -> None:
        header = messages.header_of(self._ros, stamp)
        its.publish(topics.MASK, messages.mask_image(self._ros, header, result.classes))
        if result.raw_classes is not None:
            its.advertise(topics.RAW_MASK, self._ros.sensor.Image)
        if its.is_read(topics.RAW_MASK):
            its.publish(topics.RAW_MASK, messages.mask_image(self._ros, header, result.own_classes))
        camera = self._camera(result.classes.shape[:2])
        if camera is not None:
            its.publish(topics.CAMERA_INFO, messages.camera_info(self._ros, header, camera))
        for topic, message in messages_of(self._ros, stamp.nanoseconds, self._parameters, result.findings):
            its.publish(topic, message)

    def _camera(self, size_hw: tuple[int, ...]) -> CameraModel | None:
        """Returns the calibration for frames of a size; None if there is none."""
        if self._options.camera_for is None:
            return None
        height, width = size_hw
        if (height, width) not in self._cameras:
            try:
                self._cameras[height, width] = self._options.camera_for((height, width))
            except UsageError as error:
                self._cameras[height, width] = None
                log.warning("%s publishes no camera_info: %s", self.name, error)
        return self._cameras[height, width]

    def _publish_labels(self) -> None:
        assert self._topics is not None
        header = self._header(self._now_ns(), self._parameters.frame_id)
        self._topics.publish(topics.LABELS, messages.label_info(self._ros, header, self._labels))

    def _diagnose(self, reason: str | None = None) -> None:
        """Publishes the diagnostics if they have changed, or are due."""
        its, (status, source) = self._topics, self._status or (None, None)
        assert its is not None
        health = health_of(self._reason if reason is None else reason, status, source)
        at, told = time.monotonic(), (health.level, health.message)
        if told == self._told and at < self._tell_at:
            return
        self._told, self._tell_at = told, at + _DIAGNOSTICS_SECONDS
        name = f"{self._node.get_fully_qualified_name()}: {self._options.source_name or 'source'}"
        header = self._header(self._now_ns())
        message = diagnostic_array(self._ros, header, name, self._options.source_name, health)
        its.publish(topics.DIAGNOSTICS, message)

    def _withdraw(self, reason: str) -> None:
        """Publishes that the last mask no longer holds."""
        its, last = self._topics, self._last
        assert its is not None
        self._last, self._reason = None, None
        if last is not None:
            stamp = RosStamp(self._parameters.frame_id, self._now_ns())
            self._publish_result(its, stamp, last.invalidated(reason))
        self._diagnose(reason)
