"""Results of a run that has found a spot, or has not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.camera.optics import Optics
from edgeseg.embedding.free_space.finder import FreeSpaceFinder
from edgeseg.embedding.free_space.finding import FreeSpace
from edgeseg.embedding.free_space.road import RoadOptions
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.embedding.pose import Mount
from edgeseg.runtime.clock import now
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output

from ..conftest import LABELS, PERSON, ROAD, SIZE_HW

FRD = (3.0, -2.0, 10.0)
MakeOutput = Callable[..., Output]


@pytest.fixture
def landing() -> MakeOutput:
    """``landing()``, ``landing(reason="no-clear-area")``, ``landing(result="stale")``, ``landing(ago_s=2)``"""

    def make(
        reason: str = "", result: str = "", ago_s: float = 0.05, ground_m: tuple[float, float] = (1.0, 2.0)
    ) -> Output:
        at = now() - ago_s
        spot = LandingSpot(not reason, reason, at, (5.0, 5.0), ground_m, FRD, 10.63, 4.0, 1.5, 2.0)
        classes = np.zeros((8, 12), np.uint8)
        found = Segmentation(classes, captured_at=at, findings={"landing": spot})
        if result:
            found = found.invalidated(result)
        return Output(np.zeros((8, 12, 3), np.uint8), found, "", lambda: np.zeros((8, 12, 3), np.uint8))

    return make


@pytest.fixture
def free_space() -> Callable[[float], FreeSpace]:
    """``free_space(captured_at)``: a road with an obstacle from 5 m on, in the right half of the frame alone."""
    width = SIZE_HW[1]
    camera = CameraModel(SIZE_HW, 200.0, 200.0, 159.5, 119.5)
    options = RoadOptions(height_m=1.5, pitch_error_deg=0.0)
    finder = FreeSpaceFinder(LABELS, ["road"], Optics(camera), Mount.tilted(8.0), options)
    classes = np.full(SIZE_HW, ROAD, np.uint8)
    row = 119.5 + 200 * np.tan(np.arctan(1.5 / 5.0) - np.radians(8.0))
    classes[: round(row), width // 2 :] = PERSON

    def make(captured_at: float) -> FreeSpace:
        return finder.update(classes, captured_at)

    return make
