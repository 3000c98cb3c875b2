"""The parameters of the node, which a launch file, a YAML file or ``ros2 param`` sets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from .library import Ros
from .node import RosError

SENSOR_DATA, RELIABLE = "sensor_data", "reliable"

_CHOICES = {"qos": (SENSOR_DATA, RELIABLE)}
_MEANING = {
    "frame_id": "coordinate frame of the camera, where the source's frames do not name one",
    "base_frame": "coordinate frame of the vehicle, for landing spots and free space",
    "scan_frame": "coordinate frame on the ground below the camera, for the scan of free space",
    "qos": f"of all topics of results: {SENSOR_DATA} (best effort) or {RELIABLE}",
    "auto_activate": "whether the node configures and activates itself at the start",
}


@dataclass(frozen=True)
class NodeParameters:
    """The parameters. They are read when the node is configured.

    Attributes:
        frame_id: coordinate frame of the camera, where the source's frames do not name one.
        base_frame: coordinate frame of the vehicle.
        scan_frame: coordinate frame of the scan of free space: x ahead, y left, its origin below the camera.
        qos: ``sensor_data`` or ``reliable``.
        auto_activate: whether the node configures and activates itself at the start.
    """

    frame_id: str = "camera"
    base_frame: str = "base_link"
    scan_frame: str = "base_link"
    qos: str = SENSOR_DATA
    auto_activate: bool = True


def declare(ros: Ros, node: Any, defaults: NodeParameters) -> None:
    """Declares the parameters on a node.

    Args:
        ros: the packages.
        node: without them.
        defaults: the values of those that nobody sets.

    Raises:
        RosError: one was given a value that it cannot have.
    """
    descriptor = ros.interfaces.ParameterDescriptor
    for field in fields(NodeParameters):
        try:
            node.declare_parameter(
                field.name, getattr(defaults, field.name), descriptor(description=_MEANING[field.name])
            )
        except Exception as error:  # its class depends on the distribution
            raise RosError(f"the parameter {field.name} of the ROS node: {error}") from error
    read(node)
    node.add_on_set_parameters_callback(lambda changes: _judged(ros, changes))


def read(node: Any) -> NodeParameters:
    """Returns the present values.

    Raises:
        RosError: one is out of its range.
    """
    values = {field.name: node.get_parameter(field.name).value for field in fields(NodeParameters)}
    for name, value in values.items():
        if problem := _problem(name, value):
            raise RosError(problem)
    return NodeParameters(**values)


def _problem(name: str, value: object) -> str:
    choices = _CHOICES.get(name)
    if choices and value not in choices:
        return f"the parameter {name} of the ROS node is {value!r}; expected {' or '.join(choices)}"
    if isinstance(value, str) and not value:
        return f"the parameter {name} of the ROS node is empty; expected a name"
    return ""


def _judged(ros: Ros, changes: list[Any]) -> Any:
    problems = [problem for change in changes if (problem := _problem(change.name, change.value))]
    return ros.interfaces.SetParametersResult(successful=not problems, reason="; ".join(problems))
