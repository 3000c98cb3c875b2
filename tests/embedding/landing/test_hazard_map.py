"""The hazard map: hazards enter at once and leave slowly, memory fades, and clearance is never more than the truth."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.core.labels import VOID
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.ground import GroundView
from edgeseg.embedding.landing.hazard_map import HazardMap, MapOptions
from edgeseg.embedding.landing.hazards import HazardTable
from edgeseg.embedding.pose import Mount

from ..conftest import GRASS, LABELS, PERSON, ROAD, MakePose

TABLE = HazardTable.landing_on(LABELS, ["grass"], {"road": 0.0, "person": 3.0})


def map_of(**options: float) -> HazardMap:
    return HazardMap(LABELS, TABLE, MapOptions(**{"confirm_frames": 1, **options}))  # type: ignore[arg-type]


@pytest.fixture
def view(camera: CameraModel, pose: MakePose) -> GroundView:
    return GroundView.of(camera, Mount.looking_down(), pose())


def room_at(hazards: HazardMap, north: float, east: float) -> float:
    cell = hazards.cell_of(north, east)
    assert cell is not None
    return float(hazards.clearance_m()[cell])


def test_the_edge_of_the_view_is_not_safe(view: GroundView, grass: np.ndarray) -> None:
    hazards = map_of()
    hazards.update(grass, view, 0.0)
    # The view is 20 m wide and 15 m high.
    assert room_at(hazards, 0.0, 0.0) == pytest.approx(7.5, abs=0.4)
    assert room_at(hazards, 0.0, 9.0) == pytest.approx(1.0, abs=0.3)


def test_void_is_not_safe(view: GroundView, grass: np.ndarray) -> None:
    hazards = map_of()
    grass[:, 160:] = VOID
    hazards.update(grass, view, 0.0)
    assert room_at(hazards, 0.0, -1.0) == pytest.approx(1.0, abs=0.3)
    assert room_at(hazards, 0.0, 1.0) < 0


def test_a_hazard_keeps_its_margin(view: GroundView, grass: np.ndarray) -> None:
    plain, near_person = map_of(), map_of()
    grass[118:122, 158:162] = ROAD
    plain.update(grass, view, 0.0)
    grass[118:122, 158:162] = PERSON
    near_person.update(grass, view, 0.0)
    assert room_at(plain, 0.0, 5.0) - room_at(near_person, 0.0, 5.0) == pytest.approx(
        3.0, abs=0.01
    ) or room_at(near_person, 0.0, 5.0) == pytest.approx(2.0, abs=0.4)
    assert room_at(near_person, 0.0, 2.0) < 0


def test_a_hazard_of_a_single_pixel_is_not_missed(view: GroundView, grass: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        hazards = map_of(cell_m=0.25)  # four pixels a cell
        column, row = rng.integers(20, 300), rng.integers(20, 220)
        shown = grass.copy()
        shown[row, column] = ROAD
        hazards.update(shown, view, 0.0)
        north, east = view.ground_of(np.array([[column, row]], np.float64))[0]
        assert room_at(hazards, north, east) < 0


def test_clearance_is_never_more_than_the_truth(camera: CameraModel, pose: MakePose) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        tilted = pose(
            height_m=float(rng.uniform(8, 40)), roll=rng.uniform(-17, 17), pitch=rng.uniform(-17, 17)
        )
        seen = GroundView.of(camera, Mount.looking_down(), tilted)
        shown = np.full(camera.size_hw, GRASS, np.uint8)
        rows, columns = rng.integers(0, 240, 40), rng.integers(0, 320, 40)
        shown[rows, columns] = ROAD
        hazards = map_of()
        hazards.update(shown, seen, 0.0)
        room = hazards.clearance_m()
        unsafe = seen.ground_of(np.column_stack([columns, rows]).astype(np.float64))
        for row, column in zip(*np.nonzero(room > 0.2), strict=True):
            place = hazards.ground_at(int(row), int(column))
            nearest = np.hypot(*(unsafe - place).T).min()
            assert room[row, column] <= nearest


def test_a_hazard_enters_at_once_and_leaves_slowly(view: GroundView, grass: np.ndarray) -> None:
    hazards = map_of(confirm_frames=3)
    for index in range(3):
        assert room_at(hazards, 0, 0) < 0 if index else hazards.cell_of(0, 0) is None
        hazards.update(grass, view, index * 0.1)
    assert room_at(hazards, 0, 0) > 5
    with_person = grass.copy()
    with_person[118:122, 158:162] = PERSON
    hazards.update(with_person, view, 0.3)
    assert room_at(hazards, 0, 2.5) < 0
    for index in range(4, 6):
        hazards.update(grass, view, index * 0.1)
        assert room_at(hazards, 0, 2.5) < 0
    hazards.update(grass, view, 0.6)
    assert room_at(hazards, 0, 2.5) > 4


def test_a_hazard_that_flickers_keeps_the_worst_it_was(view: GroundView, grass: np.ndarray) -> None:
    hazards = map_of(confirm_frames=3)
    person, road = grass.copy(), grass.copy()
    person[118:122, 158:162], road[118:122, 158:162] = PERSON, ROAD
    hazards.update(person, view, 0.0)
    for index in range(1, 6):
        hazards.update(road if index % 2 else grass, view, index * 0.1)
    assert room_at(hazards, 0, 2.0) < 0


def test_ground_out_of_view_is_remembered_for_a_while(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    hazards = map_of(memory_s=2.0)
    hazards.update(grass, GroundView.of(camera, Mount.looking_down(), pose()), 0.0)
    low = GroundView.of(camera, Mount.looking_down(), pose(height_m=2.0))
    hazards.update(grass, low, 1.0)
    assert room_at(hazards, 0, 0) == pytest.approx(7.5, abs=0.4)
    hazards.update(grass, low, 3.1)
    assert room_at(hazards, 0, 0) < 0.8


def test_the_ground_stands_still_while_the_vehicle_moves(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    hazards = map_of()
    shown = grass.copy()
    shown[118:122, 158:162] = ROAD
    hazards.update(shown, GroundView.of(camera, Mount.looking_down(), pose()), 0.0)
    moved = GroundView.of(camera, Mount.looking_down(), pose(north_m=12.0, yaw=45.0))
    hazards.update(grass, moved, 0.1)
    assert room_at(hazards, 0, 0) < 0
    assert room_at(hazards, 12.0, 0) > 5


def test_a_horizon_in_view_adds_no_ground_from_behind(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    hazards = map_of()
    hazards.update(grass, GroundView.of(camera, Mount.tilted(20), pose()), 0.0)
    cell = hazards.cell_of(-5.0, 0.0)
    assert cell is None or hazards.clearance_m()[cell] < 0


def test_the_map_is_no_larger_than_allowed(camera: CameraModel, pose: MakePose, grass: np.ndarray) -> None:
    hazards = map_of(cell_m=0.05, most_cells=100)
    for index in range(5):
        hazards.update(
            grass, GroundView.of(camera, Mount.looking_down(), pose(north_m=index * 3.0)), index * 0.1
        )
        assert max(hazards.clearance_m().shape) <= 101
    assert room_at(hazards, 12.0, 0.0) == pytest.approx(7.5, abs=0.8)


def test_cells_double_on_the_way_up_and_halve_on_the_way_down(
    camera: CameraModel, pose: MakePose, grass: np.ndarray
) -> None:
    hazards = map_of(cell_m=0.05, most_cells=200, confirm_frames=2, memory_s=100.0)
    shown = grass.copy()
    shown[118:122, 158:162] = ROAD
    sizes = []
    for index, height in enumerate((8, 16, 40, 40, 16, 8, 8)):
        view = GroundView.of(camera, Mount.looking_down(), pose(height_m=height, north_m=3.3, east_m=-1.7))
        hazards.update(shown if index < 2 else grass, view, index * 0.1)
        sizes.append(hazards.cell_m)
        assert max(hazards.clearance_m().shape) <= 201
        if index < 3:
            assert room_at(hazards, 3.3, -1.7) < 0
    assert sizes == pytest.approx([0.05, 0.1, 0.2, 0.2, 0.1, 0.05, 0.05])
    assert room_at(hazards, 3.3, -1.7) > 2.0


def test_cells_that_are_joined_keep_the_worst(camera: CameraModel, pose: MakePose, grass: np.ndarray) -> None:
    rng = np.random.default_rng(7)
    hazards = map_of(cell_m=0.05, most_cells=480, memory_s=100.0)
    shown = grass.copy()
    rows, columns = rng.integers(20, 220, 6), rng.integers(20, 300, 6)
    shown[rows, columns] = ROAD
    low = GroundView.of(camera, Mount.looking_down(), pose(height_m=10, north_m=0.37, east_m=-0.21))
    hazards.update(shown, low, 0.0)
    nothing = np.full(grass.shape, VOID, np.uint8)
    hazards.update(nothing, GroundView.of(camera, Mount.looking_down(), pose(height_m=60)), 0.1)
    assert hazards.cell_m > 0.05
    for north, east in low.ground_of(np.column_stack([columns, rows]).astype(np.float64)):
        assert room_at(hazards, north, east) < 0


def test_a_map_that_forgets_knows_nothing(view: GroundView, grass: np.ndarray) -> None:
    hazards = map_of()
    hazards.update(grass, view, 0.0)
    hazards.clear()
    assert hazards.cell_of(0, 0) is None
    assert not hazards.clearance_m().size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell_m": 0.0}, "cells of 0 m; expected 0.01 to 10"),
        ({"most_cells": 3}, "a map of 3 cells a side"),
        ({"confirm_frames": 0}, "0 frames to confirm"),
        ({"memory_s": 0.0}, "a memory of 0 s"),
    ],
)
def test_impossible_options_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MapOptions(**change)  # type: ignore[arg-type]
