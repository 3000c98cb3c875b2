"""``ros2 run edgeseg_ros segmentation …`` is ``edgeseg run --ros2 …``."""

from __future__ import annotations

import sys

from edgeseg.cli.main import main as edgeseg


def main() -> int:
    """Runs edgeseg with the options of the command line; those after ``--ros-args`` are for ROS."""
    return edgeseg(["run", "--ros2", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
