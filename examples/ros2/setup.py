"""The package of ROS 2 that launches edgeseg; edgeseg itself is installed by pip."""

from __future__ import annotations

from setuptools import setup

NAME = "edgeseg_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/segmentation.launch.py"]),
        (f"share/{NAME}/config", ["config/segmentation.yaml"]),
    ],
    license="Apache-2.0",
    description="Launches edgeseg, semantic segmentation at the edge, as a managed node.",
    entry_points={"console_scripts": [f"segmentation = {NAME}.segmentation:main"]},
)
