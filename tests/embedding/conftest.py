"""A camera that looks down at ground of the test's own making."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edgeseg.core.labels import LabelMap
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import quaternion
from edgeseg.embedding.camera.model import CameraModel

LABELS = LabelMap.from_pairs([("grass", (0, 128, 0)), ("road", (128, 128, 128)), ("person", (255, 0, 0))])
GRASS, ROAD, PERSON = range(3)
SIZE_HW = (240, 320)

MakePose = Callable[..., VehiclePose]


@pytest.fixture
def camera() -> CameraModel:
    """A pinhole that sees 20 x 15 m of ground from 20 m: 16 pixels a metre."""
    return CameraModel(SIZE_HW, 320.0, 320.0, 159.5, 119.5)


@pytest.fixture
def pose() -> MakePose:
    """Makes a pose from angles in degrees."""

    def make(
        at: float = 0.0, height_m: float = 20.0, north_m: float = 0.0, east_m: float = 0.0, **angles: float
    ) -> VehiclePose:
        turned = (np.radians(angles.get(name, 0.0)) for name in ("roll", "pitch", "yaw"))
        return VehiclePose(at, quaternion(*turned), height_m, north_m, east_m)

    return make


@pytest.fixture
def grass() -> np.ndarray:
    """A class map that shows safe ground alone."""
    return np.full(SIZE_HW, GRASS, np.uint8)
