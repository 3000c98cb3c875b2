"""Views and flights over the aerial world, with the pose of the vehicle in an autopilot's conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ...core.pose import VehiclePose
from ...data.aerial.camera import Pose
from ...data.aerial.canvas import MAP_PX
from ...data.aerial.flight import AerialFlight
from ...data.aerial.labels import AERIAL_LABELS, FIELD, GRASS
from ...data.aerial.render import render
from ...data.aerial.world import AerialWorld
from ...embedding.camera.model import CameraModel
from ...embedding.landing.hazards import HazardTable
from ...embedding.pose import Mount

FIRST_SEED = 900_000
"""The first place of the measurements. No data set that edgeseg writes has places of these numbers."""

VIEWS_PER_PLACE = 25
SAFE_IDS = (GRASS, FIELD)
SAFE_NAMES = tuple(AERIAL_LABELS.names[class_id] for class_id in SAFE_IDS)
MOUNT = Mount.looking_down()

_FOCAL_OVER_WIDTH = 0.95
_HEIGHTS_M = (8.0, 60.0)
_MOST_TILT_DEG = 17.0


@dataclass(frozen=True)
class View:
    """One view of the world.

    Attributes:
        frame_bgr: uint8 [H, W, 3].
        truth: uint8 [H, W], the true class of each pixel.
        pose: of the vehicle.
    """

    frame_bgr: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8]
    pose: VehiclePose


def camera_of(size_hw: tuple[int, int]) -> CameraModel:
    """Returns the world's camera at a frame size."""
    height, width = size_hw
    focal = _FOCAL_OVER_WIDTH * width
    return CameraModel(size_hw, focal, focal, (width - 1) / 2, (height - 1) / 2)


def hazards(margin_m: float = 0.0) -> HazardTable:
    """Returns the table of the measurements: grass and bare field are safe, all else keeps one margin."""
    return HazardTable.landing_on(AERIAL_LABELS, SAFE_NAMES, default_m=margin_m)


@lru_cache(maxsize=1)
def _place(seed: int) -> AerialWorld:
    return AerialWorld(seed)


def random_view(number: int, size_hw: tuple[int, int]) -> View:
    """Returns a view of a new place: 8 to 60 m high, tilted by up to 17 degrees in any direction."""
    seed = FIRST_SEED + number // VIEWS_PER_PLACE
    rng = np.random.default_rng([FIRST_SEED, number])
    tilt, side = math.radians(rng.uniform(0, _MOST_TILT_DEG)), rng.uniform(0, 2 * math.pi)
    pose = Pose(
        x=float(rng.uniform(0, MAP_PX)),
        y=float(rng.uniform(0, MAP_PX)),
        height_m=float(np.exp(rng.uniform(*np.log(_HEIGHTS_M)))),
        yaw=float(rng.uniform(0, 2 * math.pi)),
        pitch=tilt * math.cos(side),
        roll=tilt * math.sin(side),
    )
    frame, truth = render(_place(seed), pose, float(rng.uniform(0, 600)), size_hw)
    return View(frame, truth, pose.of_vehicle(0.0))


class Flight:
    """A flight over a new place, as an autopilot and a camera report it.

    Args:
        number: of the flight, from 0.
        size_hw: height and width of the frames.
        fps: frames a second.
    """

    def __init__(self, number: int, size_hw: tuple[int, int], fps: float) -> None:
        self._flight = AerialFlight(FIRST_SEED + 50_000 + number, size_hw, fps)
        self.fps = fps

    def view(self, index: int) -> View:
        """Returns a frame of the flight."""
        at = index / self.fps
        frame, truth = self._flight.frame(index)
        return View(frame, truth, self._flight.pose(at).of_vehicle(at))
