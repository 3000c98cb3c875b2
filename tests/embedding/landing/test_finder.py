"""The landing spot: found where it is safe, kept, withdrawn at once, and a reason where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeseg.benchmarks.landing.judge import footprint_is_unsafe
from edgeseg.benchmarks.landing.world import MOUNT, camera_of, hazards, random_view
from edgeseg.core.errors import UsageError
from edgeseg.data.aerial.labels import AERIAL_LABELS
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.ground import GroundView
from edgeseg.embedding.landing.finder import LandingFinder
from edgeseg.embedding.landing.hazard_map import MapOptions
from edgeseg.embedding.landing.hazards import HazardTable
from edgeseg.embedding.landing.options import LandingOptions
from edgeseg.embedding.landing.spot import MEANING, LandingSpot
from edgeseg.embedding.pose import Mount

from ..conftest import LABELS, PERSON, ROAD, MakePose

TABLE = HazardTable.landing_on(LABELS, ["grass"], {"road": 0.0, "person": 2.0})
EXACT = {"position_error_m": 0.0, "height_error": 0.0, "attitude_error_deg": 0.0}


def finder_of(camera: CameraModel, mount: Mount | None = None, **options: object) -> LandingFinder:
    chosen = {"radius_m": 1.5, "settle_s": 0.0, "map": MapOptions(confirm_frames=1), **EXACT, **options}
    return LandingFinder(
        LABELS,
        TABLE,
        camera,
        mount or Mount.looking_down(),
        LandingOptions(**chosen),  # type: ignore[arg-type]
    )


def ring(grass: np.ndarray, column: int, row: int, radius: int) -> np.ndarray:
    """A road everywhere but in a disc."""
    rows, columns = np.mgrid[0 : grass.shape[0], 0 : grass.shape[1]]
    return np.where((rows - row) ** 2 + (columns - column) ** 2 <= radius**2, grass, np.uint8(ROAD))


def test_the_middle_of_the_only_clear_ground_is_found(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    spot = finder_of(camera).update(ring(grass, 240, 60, 32), 0.0, pose())
    assert spot.valid
    assert spot.reason == ""
    assert spot.uv_px == pytest.approx((240, 60), abs=8)
    # 80 pixels right of the middle and 60 above it, at 16 pixels a metre.
    assert spot.frd_m == pytest.approx((3.75, 5.0, 20.0), abs=0.5)
    assert spot.ground_m == pytest.approx(spot.frd_m[:2])
    assert spot.distance_m == pytest.approx(math.dist(spot.frd_m, (0, 0, 0)))
    assert spot.required_m == 1.5 <= spot.clearance_m <= 2.0


def test_the_place_is_in_the_frame_of_the_body(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    turned = pose(yaw=90, pitch=5, north_m=100, east_m=50)
    spot = finder_of(camera).update(ring(grass, 240, 60, 32), 0.0, turned)
    assert spot.valid
    offset = turned.world_from_body @ np.array(spot.frd_m)
    assert offset == pytest.approx([spot.ground_m[0] - 100, spot.ground_m[1] - 50, 20.0])
    shown = GroundView.of(camera, Mount.looking_down(), turned).ground_of(np.array([spot.uv_px]))[0]
    assert shown == pytest.approx(spot.ground_m)


def test_ground_that_is_too_small_is_not_found(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    spot = finder_of(camera).update(ring(grass, 160, 120, 22), 0.0, pose())
    assert (spot.valid, spot.reason) == (False, "no-clear-area")
    assert math.isnan(spot.clearance_m)


@pytest.mark.parametrize(
    ("options", "extra_m"),
    [
        ({"position_error_m": 0.5}, 0.5),
        ({"height_error": 0.1}, 0.1 * math.hypot(3.75, 5.0)),
        ({"attitude_error_deg": 1.0}, math.radians(1) * 20 * (1 + (3.75**2 + 5**2) / 400)),
    ],
)
def test_every_error_asks_for_more_room(
    camera: CameraModel, pose: MakePose, grass: np.ndarray, options: dict[str, float], extra_m: float
) -> None:
    spot = finder_of(camera, **options).update(ring(grass, 240, 60, 45), 0.0, pose())
    assert spot.valid
    assert spot.required_m - 1.5 == pytest.approx(extra_m, rel=0.15)


def test_tilt_does_not_make_ground_larger(camera: CameraModel, pose: MakePose) -> None:
    """At 17 degrees the far edge of a frame shows half as much again: the same ground must be judged alike."""
    rows, columns = np.mgrid[0:240, 0:320]
    uv = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64)
    for pitch in (-17, 0, 17):
        seen = pose(pitch=pitch)
        ground = GroundView.of(camera, Mount.looking_down(), seen).ground_of(uv)
        for radius, found in ((1.3, False), (2.0, True)):
            clear = np.hypot(ground[:, 0] - 20 * math.tan(math.radians(pitch)), ground[:, 1] - 4.0) <= radius
            shown = np.where(clear, 0, ROAD).astype(np.uint8).reshape(240, 320)
            assert finder_of(camera).update(shown, 0.0, seen).valid is found


def test_a_spot_has_to_hold_before_it_is_given(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera, settle_s=0.5, map=MapOptions(confirm_frames=3))
    reasons = [finder.update(grass, 0.1 * index, pose(0.1 * index)).reason for index in range(9)]
    assert reasons == ["no-clear-area"] * 2 + ["unstable"] * 5 + ["", ""]


def test_a_spot_is_kept_on_the_ground_while_the_vehicle_moves(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera)
    first = finder.update(grass, 0.0, pose())
    for index in range(1, 20):
        spot = finder.update(
            grass,
            index * 0.1,
            pose(north_m=index * 0.2, yaw=index * 3.0, roll=5 * math.sin(index), height_m=20 - index * 0.3),
        )
        assert spot.valid
        assert spot.ground_m == first.ground_m
        assert spot.persistence_s == pytest.approx(index * 0.1)
    assert spot.switches == 0


def test_a_person_in_the_footprint_withdraws_the_spot_at_once(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera, settle_s=0.5)
    for index in range(10):
        spot = finder.update(grass, index * 0.1, pose())
    assert spot.valid
    column, row = (round(value) for value in spot.uv_px)
    with_person = grass.copy()
    with_person[row - 4 : row + 4, column - 4 : column + 4] = PERSON
    after = finder.update(with_person, 1.0, pose())
    assert (after.valid, after.reason, after.switches) == (False, "unstable", 1)
    assert math.dist(after.ground_m, spot.ground_m) > 3.0


@pytest.mark.parametrize(("aside_px", "is_kept"), [(5, True), (20, False)])
def test_a_spot_that_is_crowded_gives_way_a_little_without_beginning_anew(
    camera: CameraModel, pose: MakePose, grass: np.ndarray, aside_px: int, is_kept: bool
) -> None:
    """At 16 pixels a metre: half a metre is a step aside, more is another spot."""
    finder = finder_of(camera, settle_s=0.5)
    for index in range(10):
        spot = finder.update(ring(grass, 160, 120, 27), index * 0.1, pose())
    assert spot.valid
    moved = finder.update(ring(grass, 160 + aside_px, 120, 27), 1.0, pose())
    assert (moved.valid, moved.switches) == ((True, 0) if is_kept else (False, 1))
    assert moved.clearance_m >= moved.required_m
    assert moved.ground_m[1] - spot.ground_m[1] == pytest.approx(aside_px / 16, abs=0.25)


def test_steps_aside_do_not_add_up(camera: CameraModel, pose: MakePose, grass: np.ndarray) -> None:
    finder = finder_of(camera)
    spots = [finder.update(ring(grass, 160 + 4 * index, 120, 27), index * 0.1, pose()) for index in range(12)]
    assert spots[-1].switches > 0


def test_a_spot_with_ample_room_is_not_left_for_a_larger_one(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera)
    first = finder.update(ring(grass, 160, 120, 34), 0.0, pose())
    assert first.valid
    spot = finder.update(ring(grass, 160, 120, 34) & ring(grass, 60, 120, 55), 0.1, pose())
    assert spot.ground_m == first.ground_m


def test_a_narrow_spot_is_left_for_a_much_better_one(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera)
    first = finder.update(ring(grass, 160, 120, 29), 0.0, pose())
    assert first.valid
    spot = finder.update(ring(grass, 160, 120, 29) & ring(grass, 60, 120, 55), 0.1, pose())
    assert spot.switches == 1
    assert spot.ground_m[1] < -3


@pytest.mark.parametrize("reason", ["no-attitude", "no-height", "no-position"])
def test_without_a_pose_there_is_no_spot(camera: CameraModel, grass: np.ndarray, reason: str) -> None:
    spot = finder_of(camera).update(grass, 1.0, reason)
    assert (spot.valid, spot.reason, spot.captured_at) == (False, reason, 1.0)


def test_an_invalid_mask_gives_no_spot_and_starts_the_wait_anew(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera, settle_s=0.3)
    for index in range(5):
        spot = finder.update(grass, index * 0.1, pose())
    assert spot.valid
    assert finder.update(None, 0.5, pose()).reason == "mask-invalid"
    assert finder.update(grass, 0.6, pose()).reason == "unstable"
    assert finder.update(grass, 0.9, pose()).valid


def test_heights_that_cannot_be_judged_are_refused(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    assert finder_of(camera).update(grass, 0.0, pose(height_m=50)).reason == "too-high"
    assert finder_of(camera).update(grass, 0.0, pose(height_m=3)).reason == "too-low"


def test_the_last_metres_are_flown_from_memory_while_it_lasts(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    finder = finder_of(camera, map=MapOptions(confirm_frames=1, memory_s=2.0))
    finder.update(grass, 0.0, pose(height_m=10))
    assert finder.update(grass, 1.0, pose(height_m=2)).valid
    assert finder.update(grass, 3.5, pose(height_m=2)).reason == "too-low"


def test_a_camera_that_looks_at_the_sky_is_refused(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    assert finder_of(camera, Mount.tilted(-30)).update(grass, 0.0, pose()).reason == "tilted"


def test_every_reason_has_a_meaning() -> None:
    assert all(meaning and not meaning.endswith(".") for meaning in MEANING.values())


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match=r"landing: radius_m is 0; expected 0\.05 to 50"):
        LandingOptions(radius_m=0)


def test_no_footprint_is_unsafe_on_the_aerial_world() -> None:
    camera = camera_of((360, 640))
    spots: list[LandingSpot] = []
    for number in range(40):
        view = random_view(number, (360, 640))
        finder = LandingFinder(
            AERIAL_LABELS, hazards(), camera, MOUNT,
            LandingOptions(radius_m=1.5, settle_s=0.0, map=MapOptions(confirm_frames=1), **EXACT),
        )  # fmt: skip
        spot = finder.update(view.truth, 0.0, view.pose)
        spots.append(spot)
        if spot.valid:
            seen = GroundView.of(camera, MOUNT, view.pose)
            assert not footprint_is_unsafe(view.truth, seen, spot.ground_m, 1.5)
    assert sum(spot.valid for spot in spots) >= 15
