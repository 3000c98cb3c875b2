"""Launches edgeseg on a camera's topic: ``ros2 launch edgeseg_ros segmentation.launch.py bundle:=/opt/bundle``."""

from __future__ import annotations

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """Returns what is launched."""
    parameters = os.path.join(get_package_share_directory("edgeseg_ros"), "config", "segmentation.yaml")
    arguments = [
        DeclareLaunchArgument("bundle", description="the bundle's folder"),
        DeclareLaunchArgument(
            "source", default_value="ros2:///camera/image_raw", description="as for --source"
        ),
        DeclareLaunchArgument("namespace", default_value="edgeseg", description="of the topics"),
        DeclareLaunchArgument("parameters", default_value=parameters, description="a file of parameters"),
    ]
    segmentation = Node(
        package="edgeseg_ros",
        executable="segmentation",
        name="segmentation",
        namespace=LaunchConfiguration("namespace"),
        # A camera that is not there yet is waited for, and one that is lost is opened again.
        arguments=[
            "--bundle",
            LaunchConfiguration("bundle"),
            "--source",
            LaunchConfiguration("source"),
            "--wait-for-source",
        ],
        parameters=[LaunchConfiguration("parameters")],
        output="screen",
    )
    return LaunchDescription([*arguments, segmentation])
