"""ROS 2's own Python packages, from whatever environment there is."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from ...core.errors import EdgesegError, MissingDependencyError

_WHAT_TO_DO = "source ROS 2 (source /opt/ros/DISTRO/setup.bash) and take its Python, or see docs/ros2.md"


class MissingRosError(MissingDependencyError):
    """ROS 2 is not in this environment, or cannot be loaded by this Python.

    Args:
        purpose: the task that needs it.
        problem: what is missing, for the message.
    """

    def __init__(self, purpose: str, problem: str) -> None:
        EdgesegError.__init__(self, f"{purpose} needs ROS 2's Python packages, and {problem}; {_WHAT_TO_DO}")


@dataclass(frozen=True)
class Ros:
    """The modules of ROS 2 that edgeseg uses.

    Attributes:
        rclpy: the package, with its modules ``duration``, ``executors``, ``lifecycle``, ``qos`` and ``signals``
            loaded.
        sensor, std, nav, geometry, diagnostic: modules of messages, such as ``sensor_msgs.msg``.
        interfaces: ``rcl_interfaces.msg``, the messages of parameters.
        vision: ``vision_msgs.msg``; None if it is not installed.
    """

    rclpy: Any
    sensor: Any
    std: Any
    nav: Any
    geometry: Any
    diagnostic: Any
    interfaces: Any
    vision: Any | None = None


def load_ros(purpose: str) -> Ros:
    """Imports ROS 2's packages.

    Args:
        purpose: the task that needs them, for the message.

    Raises:
        MissingRosError: one is missing, or is not for this Python.
    """
    try:
        rclpy = importlib.import_module("rclpy")
        for name in ("duration", "executors", "lifecycle", "qos", "signals"):
            importlib.import_module(f"rclpy.{name}")
        modules = {name: importlib.import_module(f"{package}.msg") for name, package in _MESSAGES.items()}
    except ImportError as error:
        raise MissingRosError(purpose, _problem(error)) from error
    try:
        vision = importlib.import_module("vision_msgs.msg")
    except ImportError:
        vision = None
    return Ros(rclpy, **modules, vision=vision)


_MESSAGES = {
    "sensor": "sensor_msgs",
    "std": "std_msgs",
    "nav": "nav_msgs",
    "geometry": "geometry_msgs",
    "diagnostic": "diagnostic_msgs",
    "interfaces": "rcl_interfaces",
}
"""The packages of messages, by the attributes of :class:`Ros`."""


def _problem(error: ImportError) -> str:
    name = error.name or ""
    if isinstance(error, ModuleNotFoundError) and "." not in name:
        return f"this environment has no {name}"
    return f"{name.partition('.')[0] or 'rclpy'} does not load in this Python ({error})"
