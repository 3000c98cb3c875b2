"""Free space on roads of the test's own making, judged against the geometry, pixel by pixel and point by point."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.core.labels import VOID
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import quaternion
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.camera.optics import Optics
from edgeseg.embedding.free_space.columns import DRIVABLE, OBSTACLE, UNKNOWN
from edgeseg.embedding.free_space.drawing import boundary_lines
from edgeseg.embedding.free_space.finder import FreeSpaceFinder
from edgeseg.embedding.free_space.finding import MEANING, FreeSpace
from edgeseg.embedding.free_space.processor import FreeSpaceProcessor
from edgeseg.embedding.free_space.road import RoadOptions, reach_m
from edgeseg.embedding.ground import GroundView
from edgeseg.embedding.pose import Mount
from edgeseg.runtime.result import Segmentation

from ..conftest import LABELS, PERSON, ROAD, SIZE_HW

HEIGHT_M = 1.5
PINHOLE = CameraModel(SIZE_HW, 200.0, 200.0, 159.5, 119.5)
BROWN = replace(PINHOLE, distortion=(-0.28, 0.09, 0.001, -0.0008, -0.012))
FISHEYE = CameraModel(SIZE_HW, 130.0, 130.0, 159.5, 119.5, (0.05, -0.01, 0.002, 0.0), "fisheye")
CAMERAS = {"pinhole": PINHOLE, "brown": BROWN, "fisheye": FISHEYE}
EXACT = {"pitch_error_deg": 0.0}

every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


def finder_of(camera: CameraModel = PINHOLE, tilt: float = 8.0, **options: float) -> FreeSpaceFinder:
    chosen = {"height_m": HEIGHT_M, **EXACT, **options}
    return FreeSpaceFinder(LABELS, ["road"], Optics(camera), Mount.tilted(tilt), RoadOptions(**chosen))


def view_of(camera: CameraModel, tilt: float, roll: float = 0.0, pitch: float = 0.0) -> GroundView:
    """The camera above the road by the ground's own arithmetic: north is ahead, east is right."""
    attitude = quaternion(math.radians(roll), math.radians(pitch), 0.0)
    pose = VehiclePose(0.0, attitude, HEIGHT_M)
    return GroundView.of(camera, Mount.tilted(tilt), pose)


@lru_cache
def rays_of(camera: CameraModel, corners: bool) -> np.ndarray:
    """The directions of the middles of all pixels, float64 [H, W, 3], or of their corners, [H + 1, W + 1, 3]."""
    height, width = camera.size_hw
    rows, columns = np.mgrid[0 : height + corners, 0 : width + corners] - 0.5 * corners
    return camera.rays(np.column_stack([columns.ravel(), rows.ravel()])).reshape(*rows.shape, 3)


def ground_of(view: GroundView, corners: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The ground that pixels show, x ahead and y left; NaN above the horizon."""
    north, east, down = np.moveaxis(rays_of(view.camera, corners) @ view.world_from_camera.T, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(down > 1e-9, view.height_m / down, np.nan)
    return scale * north, -scale * east


def seen(view: GroundView, is_road: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """The class map of a flat world: a pixel shows the ground at its middle. Above the horizon is no road."""
    x, y = ground_of(view)
    with np.errstate(invalid="ignore"):
        road = is_road(x, y) & np.isfinite(x)
    return np.where(road, ROAD, PERSON).astype(np.uint8)


def open_road(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.ones(x.shape, bool)


def crowded(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Posts, a wall at 15 m, and a kerb on the right."""
    posts = ((4.0, 0.3, 0.15), (6.0, -1.2, 0.3), (9.0, 1.5, 0.5), (5.0, 2.0, 0.2))
    road = (x < 15.0) & (y > -2.5)
    for px, py, radius in posts:
        road &= np.hypot(x - px, y - py) > radius
    return road


def points_of(space: FreeSpace, value: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Random points in the cells that have a value, x ahead and y left; the corners of cells are among them."""
    rng = np.random.default_rng(5)
    rows, columns = np.nonzero(space.grid == value)
    assert len(rows)
    which = rng.integers(0, len(rows), count)
    share = rng.random((2, count))
    share[:, : count // 4] = share[:, : count // 4].round()
    frame = space.grid_frame
    x = frame.x_m + (columns[which] + share[0]) * frame.cell_m
    y = frame.y_m + (rows[which] + share[1]) * frame.cell_m
    return x, y


@pytest.mark.parametrize("tilt", [-4.0, 0.0, 8.0, 25.0])
@pytest.mark.parametrize("distance", [4.0, 7.5, 14.0])
def test_a_wall_across_the_road_is_as_far_as_it_is(tilt: float, distance: float) -> None:
    classes = seen(view_of(PINHOLE, tilt), lambda x, y: x < distance)
    space = finder_of(tilt=tilt).update(classes, 0.0)
    # The row between which the wall begins, by the angle below the horizon.
    row = 119.5 + 200 * math.tan(math.atan(HEIGHT_M / distance) - math.radians(tilt))
    assert space.columns.rows[160] == math.floor(row)
    lower = math.atan((math.floor(row) + 0.5 - 119.5) / 200) + math.radians(tilt)
    assert space.columns.distance_m[160] == pytest.approx(HEIGHT_M / math.tan(lower), rel=1e-3)
    ahead = len(space.sectors.distance_m) // 2
    assert space.sectors.distance_m[ahead] == pytest.approx(space.columns.distance_m[160], rel=1e-3)
    # Along the ray, a wall straight across is farther to the side.
    bearing = space.sectors.bearings.middles[ahead + 20]
    assert space.sectors.distance_m[ahead + 20] * math.cos(bearing) == pytest.approx(distance, rel=0.06)
    assert space.ahead.obstacle_m == pytest.approx(space.columns.distance_m[160], rel=1e-3)


def brute_force(
    view: GroundView, classes: np.ndarray, space: FreeSpace, slack: float
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest corner of any pixel that is not road and reaches into a sector, by a loop over sectors.

    A pixel whose edge is where two sectors meet may count in either or in both: so there is a least and a most.
    """
    x, y = ground_of(view, corners=True)
    distance, bearing = np.where(np.isnan(x), np.inf, np.hypot(x, y)), np.arctan2(y, x)
    blocked = classes != ROAD
    distance, bearing = (
        np.stack([part[i : i + 240, j : j + 320][blocked] for i in (0, 1) for j in (0, 1)])
        for part in (distance, bearing)
    )
    distance = distance.min(0)
    shown = np.isfinite(distance) & (distance <= space.reach_m)
    distance, bearing = distance[shown], bearing[:, shown]
    right, left = np.nanmin(bearing, 0), np.nanmax(bearing, 0)
    least, most = (
        np.array(
            [
                distance[(left >= low + wider) & (right <= high - wider)].min(initial=np.inf)
                for low, high in pairwise(space.sectors.bearings.edges)
            ]
        )
        for wider in (-slack, slack)
    )
    return least, most


@every_camera
@pytest.mark.parametrize("roll", [-6.0, 0.0, 6.0])
def test_no_pixel_that_is_not_road_is_left_out(camera: CameraModel, roll: float) -> None:
    rng = np.random.default_rng(11)
    view = view_of(camera, 12.0, roll)
    classes = seen(view, crowded)
    classes[rng.random(SIZE_HW) < 0.0005] = PERSON
    space = finder_of(camera, tilt=12.0, roll_deg=roll).update(classes, 0.0)
    least, most = brute_force(view, classes, space, slack=2e-4)
    distance = space.sectors.distance_m
    known = ~np.isnan(distance)
    assert known.sum() > 0.7 * len(distance)
    assert (distance[known] >= least[known] * 0.999).all()
    assert (distance[known] <= most[known] * 1.001).all()
    assert (np.isclose(least, most) | ~known).mean() > 0.8
    # What is not known is so because there is nothing in it and it is not in view up to the end.
    assert np.isinf(most[~known]).all()


@every_camera
@pytest.mark.parametrize("roll", [-6.0, 0.0, 6.0])
def test_every_point_of_a_free_cell_is_road_and_so_is_the_way_to_it(camera: CameraModel, roll: float) -> None:
    view = view_of(camera, 12.0, roll)
    classes = seen(view, crowded)
    space = finder_of(camera, tilt=12.0, roll_deg=roll, cell_m=0.1).update(classes, 0.0)
    x, y = points_of(space, 0)
    assert crowded(x, y).mean() > 0.99  # what lies between the middles of two pixels is not rendered
    distance = np.hypot(x, y)
    sees_from = np.nanmin(np.where(np.isfinite(space.columns.distance_m), space.columns.distance_m, np.nan))
    assert sees_from > 0
    for share in (1.0, 0.9, 0.75, 0.6):
        at = np.column_stack([x * share, -y * share])
        uv = np.round(view.pixel_of(at)).astype(int)
        in_view = (uv[:, 0] >= 0) & (uv[:, 0] < 320) & (uv[:, 1] >= 0) & (uv[:, 1] < 240)
        assert in_view.all() or share < 1  # the way begins below the view
        inside = uv[in_view]
        assert (classes[inside[:, 1], inside[:, 0]] == ROAD).all()
    assert distance.max() <= space.reach_m


@pytest.mark.parametrize("value", [PERSON, VOID])
@pytest.mark.parametrize("wrong", [-1.0, -0.5, 0.5, 1.0])
def test_a_free_cell_is_free_for_every_pitch_within_the_error(wrong: float, value: int) -> None:
    """The vehicle pitches by what nobody measured: the frame shows that, and the finder does not know."""
    classes = seen(view_of(PINHOLE, 8.0, pitch=wrong), crowded)
    classes[classes == PERSON] = value
    options = {"pitch_error_deg": 1.0, "cell_m": 0.1, "range_error": 0.5}
    space = finder_of(**options).update(classes, 0.0)
    x, y = points_of(space, 0)
    # Half a pixel of the rendering is left: what begins within a pixel is seen at its middle.
    assert (crowded(x, y) | crowded(x - 0.15, y) | crowded(x, y + 0.05) & crowded(x, y - 0.05)).all()
    assert crowded(x, y).mean() > 0.995
    careless = finder_of(cell_m=0.1).update(classes, 0.0)
    if wrong < 0:  # nose down: everything looks farther away than it is
        assert crowded(*points_of(careless, 0)).mean() < 0.99
    ahead = len(space.sectors.distance_m) // 2
    if value == PERSON:
        assert space.sectors.nearest_m[ahead] < space.sectors.distance_m[ahead]
        assert space.sectors.free_m[ahead] <= space.sectors.nearest_m[ahead]
    else:
        assert not np.isfinite(space.sectors.nearest_m).any()
        assert not (space.grid == 100).any()


@pytest.mark.parametrize("wrong", [-2.0, 2.0])
def test_the_pitch_error_also_moves_points_aside(wrong: float) -> None:
    """A camera that turns about its own axis shows what is ahead on its left or right at another bearing."""

    def poles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.hypot((x + 0.3) % 0.9 - 0.45, (y + 0.2) % 0.9 - 0.45) > 0.1

    view = view_of(PINHOLE, 25.0, pitch=wrong)
    classes = seen(view, poles)
    options = {"tilt": 25.0, "pitch_error_deg": 2.0, "cell_m": 0.05, "range_error": 0.5, "range_m": 6.0}
    space = finder_of(**options).update(classes, 0.0)
    x, y = points_of(space, 0, 20_000)
    uv = np.round(view.pixel_of(np.column_stack([x, -y]))).astype(int)
    inside = (uv >= 0).all(1) & (uv < (320, 240)).all(1)
    assert inside.mean() > 0.99  # a point at the very edge may be a rounding beyond it
    assert (classes[uv[inside, 1], uv[inside, 0]] == ROAD).all()


@pytest.mark.parametrize("value", [PERSON, VOID])
def test_a_single_pixel_ends_the_free_space(value: int) -> None:
    """Nothing is smoothed away: neither the smallest obstacle, nor the smallest hole in what is known."""
    classes = seen(view_of(PINHOLE, 8.0), open_road)
    finder = finder_of()
    before = finder.update(classes, 0.0)
    classes[170, 160] = value
    after = finder.update(classes, 0.0)
    assert after.columns.rows[160] == 170
    assert (np.delete(after.columns.rows, 160) == np.delete(before.columns.rows, 160)).all()
    changed = np.flatnonzero(~np.isclose(after.sectors.free_m, before.sectors.free_m))
    assert 1 <= len(changed) <= 2
    distance = HEIGHT_M / math.tan(math.atan((170.5 - 119.5) / 200) + math.radians(8))
    assert after.sectors.free_m[changed] == pytest.approx(distance, rel=1e-3)
    assert after.ahead.free_to_m <= distance < before.ahead.free_to_m
    occupied = after.grid == 100
    if value == VOID:
        assert np.isnan(after.sectors.distance_m[changed]).all()
        assert not occupied.any()
        assert math.isinf(after.ahead.obstacle_m)
        assert math.isnan(after.columns.distance_m[160])
    else:
        assert after.sectors.distance_m[changed] == pytest.approx(distance, rel=1e-3)
        assert 1 <= occupied.sum() <= 3
    # What lies behind it is not known.
    x, y = points_of(after, 0)
    assert not ((y < -0.005) & (y > -0.02) & (x > distance)).any()


def test_a_gap_is_as_wide_as_it_is() -> None:
    """Two posts with a gap of 1.5 m: what is between them is free, and a vehicle of 2 m is told that it is not."""
    world = lambda x, y: (x < 6.0) | (x > 6.5) | (np.abs(y) < 0.75)  # noqa: E731
    classes = seen(view_of(PINHOLE, 8.0), world)
    narrow, wide = (finder_of(width_m=width).update(classes, 0.0).ahead for width in (1.2, 2.0))
    assert narrow.free_to_m > 8.0
    assert wide.free_to_m <= 6.0
    assert wide.obstacle_m == pytest.approx(6.0, rel=0.03)


def test_what_is_not_in_view_is_unknown() -> None:
    space = finder_of().update(seen(view_of(PINHOLE, 8.0), open_road), 0.0)
    x, y = points_of(space, 0)
    view = view_of(PINHOLE, 8.0)
    uv = view.pixel_of(np.column_stack([x, -y]))
    assert (uv[:, 0] >= -0.5).all()
    assert (uv[:, 0] <= 319.5).all()
    assert (uv[:, 1] <= 239.5).all()
    assert space.grid.max() == 0
    first_seen = HEIGHT_M / math.tan(math.atan((239.5 - 119.5) / 200) + math.radians(8))
    assert x.min() >= first_seen
    assert np.hypot(x, y).max() <= 20.0
    assert space.ahead.free_from_m >= first_seen
    assert math.isinf(space.ahead.obstacle_m)
    ahead = len(space.sectors.distance_m) // 2
    assert math.isinf(space.sectors.distance_m[ahead])
    # A sector at the edge of the view leaves it, and so nothing is said of its end.
    assert math.isnan(space.sectors.distance_m[0])


def test_the_bonnet_is_unknown_and_never_an_obstacle() -> None:
    classes = seen(view_of(PINHOLE, 8.0), open_road)
    classes[200:] = PERSON
    space = finder_of(bonnet=40 / 240).update(classes, 0.0)
    assert (space.columns.kinds == OBSTACLE).all()  # the sky
    assert space.columns.rows.max() < 100
    first_seen = HEIGHT_M / math.tan(math.atan((199.5 - 119.5) / 200) + math.radians(8))
    assert points_of(space, 0)[0].min() >= first_seen
    blocked = finder_of().update(classes, 0.0)
    assert (blocked.grid != 0).all()
    assert (blocked.columns.rows == 239).all()
    assert blocked.ahead.free_to_m == 0.0


def test_an_obstacle_at_the_lower_edge_is_in_the_grid() -> None:
    classes = seen(view_of(PINHOLE, 8.0), open_road)
    classes[230:] = PERSON
    space = finder_of(pitch_error_deg=0.5).update(classes, 0.0)
    assert (space.grid == 100).any()
    assert not (space.grid == 0).any()
    assert space.ahead.free_to_m == 0.0
    assert space.ahead.obstacle_m == pytest.approx(
        HEIGHT_M / math.tan(math.atan(0.6) + math.radians(8)), rel=1e-2
    )
    assert space.caption == "not free ahead: obstacle at 1.9 m"


def test_an_occupied_cell_is_where_the_obstacle_may_stand() -> None:
    classes = seen(view_of(PINHOLE, 8.0), lambda x, y: x < 10.0)
    exact = finder_of(cell_m=0.1).update(classes, 0.0)
    x, _ = points_of(exact, 100)
    assert x.min() > 9.4
    assert x.max() < 10.3
    wary = finder_of(cell_m=0.1, pitch_error_deg=0.5).update(classes, 0.0)
    x, _ = points_of(wary, 100)
    near = HEIGHT_M / math.tan(math.atan(HEIGHT_M / 9.7) + math.radians(0.5))
    assert x.min() == pytest.approx(near, abs=0.25)


@pytest.mark.parametrize(
    ("error", "most", "expected"), [(0.5, 0.2, 20.0), (1.0, 0.2, 14.1), (1.0, 0.1, 7.65)]
)
def test_the_pitch_error_bounds_the_range(error: float, most: float, expected: float) -> None:
    options = RoadOptions(HEIGHT_M, pitch_error_deg=error, range_error=most)
    reach = reach_m(options, HEIGHT_M)
    assert reach == pytest.approx(expected, rel=0.02)
    if reach < 20.0:
        farthest = HEIGHT_M / math.tan(math.atan(HEIGHT_M / reach) - math.radians(error))
        assert farthest / reach == pytest.approx(1 + most)
    space = finder_of(pitch_error_deg=error, range_error=most).update(
        seen(view_of(PINHOLE, 8.0), open_road), 0.0
    )
    # What is seen at that distance may truly be nearer, so that free ground is known to there alone.
    assert space.reach_m == pytest.approx(
        HEIGHT_M / math.tan(math.atan(HEIGHT_M / reach) + math.radians(error))
    )
    assert np.hypot(*points_of(space, 0)).max() <= space.reach_m
    assert space.sectors.free_m.max() <= space.reach_m * (1 + 1e-6)


@pytest.mark.parametrize("pitch", [-5.0, 5.0])
def test_the_vehicles_pitch_is_positive_nose_up(pitch: float) -> None:
    """A nose that goes up by 5 degrees is a camera tilted down by 5 degrees less."""
    classes = seen(view_of(PINHOLE, 8.0, pitch=pitch), crowded)
    pose = VehiclePose(0.0, quaternion(0.0, math.radians(pitch), 1.0), HEIGHT_M)
    posed = finder_of().update(classes, 0.0, pose=pose)
    still = finder_of(tilt=8.0 - pitch).update(classes, 0.0)
    assert posed.columns.distance_m == pytest.approx(still.columns.distance_m, rel=1e-4, nan_ok=True)
    ahead = len(posed.sectors.distance_m) // 2
    post = posed.sectors.distance_m[ahead + 4 : ahead + 12]
    assert post.min() == pytest.approx(math.hypot(4.0, 0.3) - 0.15, rel=0.04)


def test_a_pose_keeps_the_form_of_the_message() -> None:
    finder = finder_of()
    classes = seen(view_of(PINHOLE, 8.0), crowded)
    still = finder.update(classes, 0.0)
    for height, pitch in ((1.5, 0.0), (1.2, 2.0), (1.2, 2.01), (3.0, -4.0)):
        pose = VehiclePose(0.0, quaternion(0.02, math.radians(pitch), 0.0), height)
        space = finder.update(classes, 0.0, pose=pose)
        assert space.valid
        assert space.grid_frame == still.grid_frame
        assert space.sectors.bearings == still.sectors.bearings
        assert space.grid.shape == still.grid.shape


def test_a_camera_that_looks_up_sees_no_road() -> None:
    finder = finder_of()
    classes = seen(view_of(PINHOLE, 8.0), crowded)
    pose = VehiclePose(0.0, quaternion(0.0, math.radians(60), 0.0), HEIGHT_M)
    space = finder.update(classes, 0.0, pose=pose)
    assert (space.valid, space.reason) == (False, "no-road-in-view")
    assert (space.grid == -1).all()
    assert finder_of(tilt=-60.0).update(classes, 0.0).reason == "no-road-in-view"


@pytest.mark.parametrize("reason", ["mask-invalid", "no-road-in-view"])
def test_nothing_is_known_of_what_is_not_valid(reason: str) -> None:
    classes = seen(view_of(PINHOLE, 8.0), open_road)
    finder = finder_of()
    good = finder.update(classes, 7.0)
    nose_up = VehiclePose(0.0, quaternion(0.0, 1.0, 0.0), HEIGHT_M)
    bad = finder.update(
        classes, 7.0, valid=reason != "mask-invalid", pose=nose_up if reason == "no-road-in-view" else None
    )
    for space in (bad, replace(good, sequence=1).invalidated(reason)):
        assert (space.valid, space.reason, space.captured_at, space.sequence) == (False, reason, 7.0, 1)
        assert reason in MEANING
        assert (space.grid == -1).all()
        assert space.grid.shape == good.grid.shape
        assert (space.columns.kinds == UNKNOWN).all()
        assert (space.columns.rows == -1).all()
        assert np.isnan(space.columns.distance_m).all()
        assert np.isnan(space.sectors.distance_m).all()
        assert not np.isfinite(space.sectors.nearest_m).any()
        assert (space.sectors.free_m == 0).all()
        facts = space.facts()
        assert facts["free_to_m"] is facts["free_from_m"] is facts["obstacle_m"] is None
        assert facts["cells"]["unknown"] == space.grid.size
        assert space.caption == f"free space: {reason}"
        canvas = np.full((*SIZE_HW, 3), 90, np.uint8)
        space.draw(canvas)
        assert (canvas == 90).all()


def test_the_facts_are_small_and_ready_for_json() -> None:
    space = finder_of(pitch_error_deg=0.5).update(seen(view_of(PINHOLE, 8.0), crowded), 0.0)
    text = json.dumps(space.facts(), allow_nan=False)
    assert len(text) < 500
    facts = json.loads(text)
    assert facts["valid"] is True
    assert facts["sequence"] == 0
    assert facts["age_s"] > 0
    assert facts["ground"] == "flat"
    assert facts["obstacle_m"] == pytest.approx(3.85, rel=0.03)
    assert 2.5 < facts["free_to_m"] <= facts["obstacle_m"]
    assert sum(facts["columns"].values()) == 320
    assert sum(facts["cells"].values()) == space.grid.size
    assert min(facts["cells"].values()) > 0
    assert space.caption == f"free ahead to {space.ahead.free_to_m:.1f} m"


def test_results_are_numbered() -> None:
    finder = finder_of()
    classes = seen(view_of(PINHOLE, 8.0), crowded)
    assert [finder.update(classes, 0.0, valid=valid).sequence for valid in (True, False, True)] == [0, 1, 2]


def test_a_frame_of_another_size_has_the_same_view() -> None:
    finder = finder_of()
    small = finder.update(seen(view_of(PINHOLE, 8.0), crowded), 0.0)
    double = PINHOLE.scaled((480, 640))
    large = finder.update(seen(view_of(double, 8.0), crowded), 0.0)
    ends = [len(space.sectors.distance_m) // 2 for space in (small, large)]
    assert large.ahead.obstacle_m == pytest.approx(small.ahead.obstacle_m, rel=0.02)
    assert large.sectors.distance_m[ends[1]] == pytest.approx(small.sectors.distance_m[ends[0]], rel=0.1)
    odd = finder.update(np.zeros((240, 200), np.uint8), 0.0)
    assert (odd.valid, odd.reason) == (False, "camera-mismatch")
    assert len(odd.columns.rows) == 200
    first = finder_of().update(np.zeros((240, 200), np.uint8), 0.0)
    assert (first.reason, first.grid.size, first.caption) == (
        "camera-mismatch",
        0,
        "free space: camera-mismatch",
    )
    json.dumps(first.facts(), allow_nan=False)


def test_the_boundary_is_outlined_for_the_page() -> None:
    rows = np.array([50] * 20 + [-1] * 5 + [70] * 15, np.int32)
    kinds = np.where(rows >= 0, OBSTACLE, DRIVABLE).astype(np.uint8)
    left, right = boundary_lines(rows, kinds, (100, 40))
    assert left[0] == pytest.approx([0.5 / 40, 0.505])
    assert left[-1] == pytest.approx([19.5 / 40, 0.505])
    assert (right[:, 1] == 0.705).all()
    assert right[-1, 0] == pytest.approx(39.5 / 40)


@pytest.mark.parametrize("scale", [1, 0.5])
def test_is_drawn_at_the_boundary_and_in_the_corner(scale: float) -> None:
    camera = PINHOLE.scaled((480, 640))
    classes = seen(view_of(camera, 8.0), crowded)
    classes[300, 20:60] = VOID
    space = finder_of(camera).update(classes, 0.0)
    canvas = np.full((int(480 * scale), int(640 * scale), 3), 90, np.uint8)
    space.draw(canvas)
    for column in (50, 320, 450):
        at = (round(space.columns.rows[column] * scale), round(column * scale))
        near = canvas[at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2].reshape(-1, 3)
        blue, green, red = near[near.sum(1).argmax()].tolist()  # the line has dark edges
        if space.columns.kinds[column] == OBSTACLE:
            assert red > 200 > 100 > max(blue, green)
        else:
            assert max(blue, green, red) - min(blue, green, red) < 10 < abs(green - 90)
    corner = canvas[int(330 * scale) :, int(480 * scale) :].reshape(-1, 3)
    assert (corner[:, 1] > 150).mean() > 0.1  # free cells
    assert (canvas[: int(100 * scale)] == 90).all()


def test_all_of_a_column_may_be_road() -> None:
    space = finder_of(tilt=40.0).update(np.full(SIZE_HW, ROAD, np.uint8), 0.0)
    assert (space.columns.kinds == DRIVABLE).all()
    assert (space.columns.rows == -1).all()
    assert np.isinf(space.columns.distance_m).all()
    canvas = np.full((*SIZE_HW, 3), 90, np.uint8)
    space.draw(canvas)  # there is no boundary to draw


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height_m": 0.0}, "free space: height_m is 0.0; expected 0.05 to 20"),
        ({"range_m": 1000.0}, "free space: range_m is 1000.0; expected 0.5 to 200"),
        ({"pitch_error_deg": 8.0}, "with a pitch error of 8 degrees no distance is known to 20%"),
        (
            {"cell_m": 0.02, "range_m": 90.0},
            "expected at most 1000000; take larger cells or a shorter range",
        ),
    ],
)
def test_refuses_what_cannot_be(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        finder_of(**options).update(seen(view_of(PINHOLE, 8.0), open_road), 0.0)


def test_is_added_to_every_result() -> None:
    """The network's own class map counts, not a smoothed one."""
    classes = seen(view_of(PINHOLE, 8.0), crowded)
    processor = FreeSpaceProcessor(finder_of())
    frame = np.zeros((*SIZE_HW, 3), np.uint8)
    given = [
        Segmentation(classes, 0, 5.0),
        Segmentation(np.full(SIZE_HW, ROAD, np.uint8), 1, 5.1, raw_classes=classes),
        Segmentation(np.full(SIZE_HW, VOID, np.uint8), 2, 5.2, valid=False, reason="dark"),
        Segmentation(classes, 3, 5.3, pose=VehiclePose(0.0, quaternion(0.0, 1.0, 0.0), HEIGHT_M)),
    ]
    spaces = [processor.process(frame, result).findings["free_space"] for result in given]
    assert all(isinstance(space, FreeSpace) for space in spaces)
    assert [space.captured_at for space in spaces] == [5.0, 5.1, 5.2, 5.3]
    assert [space.reason for space in spaces] == ["", "", "mask-invalid", "no-road-in-view"]
    assert (spaces[0].grid == spaces[1].grid).all()
    stale = processor.process(frame, given[0]).invalidated("stale").findings["free_space"]
    assert (stale.valid, stale.reason, stale.sequence) == (False, "mask-invalid", 4)
