"""ROS 2's packages are taken from the environment; where they are not, one line says what to do."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from edgeseg.core.errors import MissingDependencyError
from edgeseg.embedding.ros2 import library
from edgeseg.embedding.ros2.library import MissingRosError, load_ros

WHAT_TO_DO = "; source ROS 2 (source /opt/ros/DISTRO/setup.bash) and take its Python, or see docs/ros2.md"


def test_without_ros_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(MissingRosError) as caught:
        load_ros("--ros2")
    text = str(caught.value)
    assert text.startswith(
        f"--ros2 needs ROS 2's Python packages, and this environment has no rclpy{WHAT_TO_DO}"
    )
    assert "\n" not in text
    assert isinstance(caught.value, MissingDependencyError)


def test_a_ros_for_another_python_is_told_from_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ImportError("No module named 'rclpy._rclpy_pybind11'", name="rclpy._rclpy_pybind11")

    broken = Broken("rclpy")
    broken.__path__ = []
    broken.__spec__ = None
    monkeypatch.setitem(sys.modules, "rclpy", broken)
    monkeypatch.delitem(sys.modules, "rclpy.duration", raising=False)
    with pytest.raises(
        MissingRosError, match=r"rclpy does not load in this Python \(No module named 'rclpy\."
    ):
        load_ros("the source ros2:///camera")


def test_messages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> ModuleType:
        if name.startswith("sensor_msgs"):
            raise ModuleNotFoundError("No module named 'sensor_msgs'", name="sensor_msgs")
        return ModuleType(name)

    monkeypatch.setattr(library.importlib, "import_module", import_module)
    with pytest.raises(MissingRosError, match="this environment has no sensor_msgs; source"):
        load_ros("--ros2")
