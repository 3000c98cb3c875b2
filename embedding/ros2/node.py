"""A node with a context and a thread of its own, so that a program with other nodes or none is not disturbed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ...core.errors import EdgesegError
from ...core.printable import printable
from .library import Ros

log = logging.getLogger(__name__)

_END_SECONDS = 2.0


class RosError(EdgesegError):
    """ROS 2 refuses something, such as its arguments or a parameter."""


class NodeThread:
    """Serves a node in a thread until :meth:`close`. It installs no signal handlers: signals stay edgeseg's.

    Args:
        ros: the packages.
        make: makes the node in a context.
        ros_args: what follows ``--ros-args``: remappings, parameters and their files.

    Attributes:
        node: the node.
        problem: what ended the service before :meth:`close`; else empty.

    Raises:
        RosError: ROS refuses the arguments or the node.
    """

    def __init__(self, ros: Ros, make: Callable[[Any], Any], ros_args: Sequence[str] = ()) -> None:
        self.problem = ""
        rclpy = ros.rclpy
        self._context = rclpy.Context()
        self._closed = rclpy.executors.ExternalShutdownException
        # Without arguments, rclpy would read those of the process.
        args = ["--ros-args", *ros_args] if ros_args else []
        try:
            rclpy.init(
                args=args, context=self._context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO
            )
            self.node = make(self._context)
        except EdgesegError:
            self._context.try_shutdown()
            raise
        except Exception as error:  # rclpy's errors share no class
            self._context.try_shutdown()
            raise RosError(f"ROS 2 refuses: {one_line(error)}") from error
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._serve, name=f"ros2 {self.node.get_name()}", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._executor.spin()
        except self._closed:
            return
        except Exception as error:
            self.problem = one_line(error)
            log.error("ROS 2's node has ended: %s", self.problem, exc_info=error)

    def close(self) -> None:
        """Ends the thread and the node. Closing twice is harmless."""
        if not self._context.ok():
            return
        self._executor.shutdown(timeout_sec=_END_SECONDS)
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            log.warning(
                "ROS 2's node %s does not end; it is left to the end of the process", self.node.get_name()
            )
            return
        self.node.destroy_node()
        self._context.try_shutdown()


def one_line(error: BaseException) -> str:
    """Returns an error of ROS in one line; it prints a trace of its C functions into its messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = printable(lines[0]) if lines else ""
    return text.partition(", at /")[0] or type(error).__name__
