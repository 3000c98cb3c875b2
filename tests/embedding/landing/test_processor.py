"""The landing spot as a finding: in each result, at the pose of its frame, drawn to scale, withdrawn with it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.core.pose import VehiclePose
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.camera.optics import Optics
from edgeseg.embedding.landing.finder import LandingFinder
from edgeseg.embedding.landing.hazard_map import MapOptions
from edgeseg.embedding.landing.hazards import HazardTable
from edgeseg.embedding.landing.options import LandingOptions
from edgeseg.embedding.landing.processor import LANDING, LandingProcessor
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.embedding.pose import Mount, PoseHistory
from edgeseg.runtime.findings import MASK_INVALID
from edgeseg.runtime.result import Segmentation

from ..conftest import LABELS, PERSON, SIZE_HW, MakePose

HAZARDS = HazardTable.landing_on(LABELS, ["grass"], {"person": 2.0})
OPTIONS = LandingOptions(
    radius_m=1.0,
    position_error_m=0,
    height_error=0,
    attitude_error_deg=0,
    settle_s=0,
    map=MapOptions(confirm_frames=1),
)
FRAME = np.zeros((*SIZE_HW, 3), np.uint8)


def make_finder(camera: CameraModel) -> LandingFinder:
    return LandingFinder(LABELS, HAZARDS, camera, Mount.looking_down(), OPTIONS)


def processor_of(camera: CameraModel, poses: PoseHistory | None = None) -> LandingProcessor:
    return LandingProcessor(make_finder, Optics(camera), poses)


def spot_of(result: Segmentation) -> LandingSpot:
    spot = result.findings[LANDING]
    assert isinstance(spot, LandingSpot)
    return spot


def test_the_pose_that_comes_with_the_frame_is_its_time_base(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    result = Segmentation(grass, captured_at=5000.0, pose=pose(at=0.1))
    spot = spot_of(processor_of(camera).process(FRAME, result))
    assert spot.valid
    assert spot.captured_at == 5000.0
    assert spot.frd_m[2] == pytest.approx(20.0)


def test_a_link_gives_the_pose_at_the_time_of_capture(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    poses, level = PoseHistory(), pose()
    for at, height in ((1.0, 10.0), (1.1, 12.0)):
        poses.add_attitude(at, level.attitude)
        poses.add_height(at, height)
        poses.add_position(at, 0.0, 0.0)
    processor = processor_of(camera, poses)
    spot = spot_of(processor.process(FRAME, Segmentation(grass, captured_at=1.05)))
    assert spot.frd_m[2] == pytest.approx(11.0)
    late = spot_of(processor.process(FRAME, Segmentation(grass, captured_at=9.0)))
    assert (late.valid, late.reason) == (False, "no-attitude")


def test_a_frame_whose_source_lost_its_pose_ages_nothing_by_another_clock(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    processor = processor_of(camera)
    for index in range(3):
        result = Segmentation(grass, captured_at=1000.0 + index, pose=pose(0.1 * index))
        spot = spot_of(processor.process(FRAME, result))
    processor.process(FRAME, Segmentation(grass, captured_at=1003.0))
    after = spot_of(processor.process(FRAME, Segmentation(grass, captured_at=1004.0, pose=pose(0.3))))
    assert after.clearance_m == pytest.approx(spot.clearance_m, abs=0.1)


def test_without_any_pose_there_is_no_spot(camera: CameraModel, grass: np.ndarray) -> None:
    spot = spot_of(processor_of(camera).process(FRAME, Segmentation(grass, captured_at=1.0)))
    assert (spot.valid, spot.reason) == (False, "no-attitude")


def test_a_result_that_is_not_valid_has_no_spot(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    result = Segmentation(grass, pose=pose()).invalidated("stale")
    spot = spot_of(processor_of(camera).process(FRAME, result))
    assert (spot.valid, spot.reason) == (False, MASK_INVALID)


def test_the_search_looks_at_the_map_before_smoothing(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    result = Segmentation(grass, pose=pose(), raw_classes=np.full_like(grass, PERSON))
    spot = spot_of(processor_of(camera).process(FRAME, result))
    assert (spot.valid, spot.reason) == (False, "no-clear-area")


def test_frames_of_another_aspect_ratio_are_refused_until_they_fit(
    camera: CameraModel, pose: MakePose
) -> None:
    processor = processor_of(camera)
    square = Segmentation(np.zeros((240, 240), np.uint8), pose=pose())
    spot = spot_of(processor.process(np.zeros((240, 240, 3), np.uint8), square))
    assert (spot.valid, spot.reason) == (False, "camera-mismatch")
    fits = Segmentation(np.zeros((480, 640), np.uint8), pose=pose(at=1.0))
    assert spot_of(processor.process(np.zeros((480, 640, 3), np.uint8), fits)).valid


def test_a_field_of_view_fits_frames_of_any_shape(pose: MakePose) -> None:
    processor = LandingProcessor(make_finder, Optics(horizontal_degrees=60))
    for number, size_hw in enumerate(((240, 320), (200, 400))):
        result = Segmentation(np.zeros(size_hw, np.uint8), pose=pose(at=float(number)))
        assert spot_of(processor.process(np.zeros((*size_hw, 3), np.uint8), result)).valid


def test_facts_are_json_and_unknown_numbers_are_null(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    found = spot_of(processor_of(camera).process(FRAME, Segmentation(grass, pose=pose())))
    facts = json.loads(json.dumps(found.facts(), allow_nan=False))
    assert facts["valid"] is True
    assert facts["distance_m"] == pytest.approx(found.distance_m, abs=1e-3)
    withdrawn = found.invalidated(MASK_INVALID)
    assert withdrawn.facts()["frd_m"] == [None, None, None]
    assert math.isnan(withdrawn.distance_m)
    assert withdrawn.caption == "no landing spot: mask-invalid"


def test_the_spot_is_drawn_to_scale(camera: CameraModel, pose: MakePose, grass: np.ndarray) -> None:
    spot = spot_of(processor_of(camera).process(FRAME, Segmentation(grass, pose=pose())))
    canvas = np.zeros((*SIZE_HW, 3), np.uint8)
    replace(spot, clearance_m=1.0, required_m=1.0).draw(canvas)
    rows, columns = np.nonzero(canvas[..., 1] > 200)
    # A disc of 1 m is 32 pixels across at 16 pixels a metre.
    assert np.ptp(columns) == pytest.approx(32, abs=3)
    assert (rows.mean(), columns.mean()) == pytest.approx((spot.uv_px[1], spot.uv_px[0]), abs=1)
    half = np.zeros((120, 160, 3), np.uint8)
    replace(spot, clearance_m=1.0, required_m=1.0).draw(half)
    assert np.ptp(np.nonzero(half[..., 1] > 200)[1]) == pytest.approx(16, abs=3)


def test_nothing_is_drawn_without_a_spot() -> None:
    canvas = np.zeros((*SIZE_HW, 3), np.uint8)
    LandingSpot(False, "no-clear-area", 0.0).draw(canvas)
    assert not canvas.any()


def test_time_that_goes_back_empties_the_map(camera: CameraModel, pose: MakePose, grass: np.ndarray) -> None:
    """A film that starts anew, or an autopilot's clock: what was seen at the other time says nothing about now."""
    finder = make_finder(camera)
    assert finder.update(grass, 1000.0, pose(at=1000.0)).valid
    finder.update(None, 5.0, VehiclePose(5.0, pose().attitude, 20.0))
    assert not (finder.map.clearance_m() > 0).any()
