"""From pixels to a vehicle: camera geometry, landing spots, free space, and the links that are told of them.

The way of the data: a class map and the pose of the camera at its capture time (:mod:`.camera`, :mod:`.pose`) become
rays on flat ground (:mod:`.ground`). From these come a spot to land on (:mod:`.landing`) or the free space of a road
vehicle (:mod:`.free_space`); :mod:`.stability` smooths the class map before. An autopilot gives the pose and is told
what was found (:mod:`.mavlink`), and robots read it as topics (:mod:`.ros2`). `c/` has the runtime for C.

The names below load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.lazy import load_on_use

if TYPE_CHECKING:
    from .camera.file import read_camera, write_camera
    from .camera.model import CameraModel
    from .camera.optics import Optics
    from .free_space.finder import FreeSpaceFinder
    from .free_space.finding import FreeSpace
    from .free_space.processor import FreeSpaceProcessor
    from .free_space.road import RoadOptions
    from .ground import GroundView
    from .landing.finder import LandingFinder
    from .landing.hazards import HazardTable, read_hazards
    from .landing.options import LandingOptions
    from .landing.processor import LandingProcessor
    from .landing.spot import LandingSpot
    from .mavlink.link import MavlinkOptions
    from .mavlink.sink import MavlinkSink
    from .pose import Mount, PoseHistory
    from .ros2.sink import Ros2Sink, RosOptions
    from .stability.options import StabiliserOptions
    from .stability.processor import StabiliseProcessor

__all__ = [
    "CameraModel",
    "FreeSpace",
    "FreeSpaceFinder",
    "FreeSpaceProcessor",
    "GroundView",
    "HazardTable",
    "LandingFinder",
    "LandingOptions",
    "LandingProcessor",
    "LandingSpot",
    "MavlinkOptions",
    "MavlinkSink",
    "Mount",
    "Optics",
    "PoseHistory",
    "RoadOptions",
    "Ros2Sink",
    "RosOptions",
    "StabiliseProcessor",
    "StabiliserOptions",
    "read_camera",
    "read_hazards",
    "write_camera",
]

_LAZY = {
    "CameraModel": "camera.model",
    "FreeSpace": "free_space.finding",
    "FreeSpaceFinder": "free_space.finder",
    "FreeSpaceProcessor": "free_space.processor",
    "GroundView": "ground",
    "HazardTable": "landing.hazards",
    "LandingFinder": "landing.finder",
    "LandingOptions": "landing.options",
    "LandingProcessor": "landing.processor",
    "LandingSpot": "landing.spot",
    "MavlinkOptions": "mavlink.link",
    "MavlinkSink": "mavlink.sink",
    "Mount": "pose",
    "Optics": "camera.optics",
    "PoseHistory": "pose",
    "RoadOptions": "free_space.road",
    "Ros2Sink": "ros2.sink",
    "RosOptions": "ros2.sink",
    "StabiliseProcessor": "stability.processor",
    "StabiliserOptions": "stability.options",
    "read_camera": "camera.file",
    "read_hazards": "landing.hazards",
    "write_camera": "camera.file",
}

__getattr__ = load_on_use(__name__, _LAZY)
