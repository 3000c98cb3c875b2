"""The package of examples/ros2: what it says is understood, by edgeseg's parser and by ROS."""

from __future__ import annotations

import argparse
import ast
import dataclasses
from pathlib import Path

import pytest
from edgeseg.cli import run as run_verb
from edgeseg.embedding.ros2.parameters import NodeParameters

from .conftest import ROOT, StartChild

EXAMPLE = ROOT / "examples" / "ros2"
PARAMETERS = EXAMPLE / "config" / "segmentation.yaml"


def test_the_parameters_of_the_file_are_those_of_the_node_with_their_defaults() -> None:
    yaml = pytest.importorskip("yaml")
    given = yaml.safe_load(PARAMETERS.read_text("utf-8"))["/**"]["ros__parameters"]
    assert given == {"use_sim_time": False, **dataclasses.asdict(NodeParameters())}


def test_the_flags_of_the_launch_file_are_those_of_a_run() -> None:
    tree = ast.parse((EXAMPLE / "launch" / "segmentation.launch.py").read_text("utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    flags = {text for text in texts if text.startswith("--") and " " not in text}
    parser = argparse.ArgumentParser()
    run_verb.configure(parser)
    assert flags == {"--bundle", "--source", "--wait-for-source"}
    assert flags <= parser._option_string_actions.keys()


def test_the_package_installs_what_it_launches() -> None:
    text = (EXAMPLE / "setup.py").read_text("utf-8")
    for name in (
        "package.xml",
        "launch/segmentation.launch.py",
        "config/segmentation.yaml",
        "resource/edgeseg_ros",
    ):
        assert (EXAMPLE / name).is_file()
        assert name.replace("edgeseg_ros", "{NAME}") in text
    assert "<name>edgeseg_ros</name>" in (EXAMPLE / "package.xml").read_text("utf-8")


def test_its_executable_runs_with_the_arguments_that_a_launch_file_adds(
    start: StartChild, bundle_folder: Path
) -> None:
    listener = start("listener.py", "/drone/mask=sensor_msgs/Image@reliable").await_ready()
    program = start(
        str(EXAMPLE / "edgeseg_ros" / "segmentation.py"), "--bundle", str(bundle_folder), "--threads", "1",
        "--source", "aerial:7?size=48x64&frames=100000", "--ros-args", "-r", "__node:=segmentation",
        "-r", "__ns:=/drone", "--params-file", str(PARAMETERS), "-p", "qos:=reliable",
    )  # fmt: skip
    mask = listener.until(lambda facts: True)
    assert mask["message"]["header"]["frame_id"] == "camera"
    assert program.end() == 0
    assert "Traceback" not in program.errors
