from __future__ import annotations

import numpy as np
import pytest
from edgeseg.data.aerial import AERIAL_LABELS, AerialWorld
from edgeseg.data.aerial.canvas import MAP_PX, PX_PER_M
from edgeseg.data.aerial.labels import CAR, PERSON, WATER


def test_labels_are_the_eight_of_the_world() -> None:
    assert AERIAL_LABELS.names == ("grass", "bare field", "road", "roof", "water", "tree", "car", "person")


def test_map_holds_every_ground_class_and_nothing_that_moves(world: AerialWorld) -> None:
    assert world.colour.shape == (MAP_PX, MAP_PX, 3)
    assert world.labels.shape == (MAP_PX, MAP_PX)
    shares = np.bincount(world.labels.ravel(), minlength=8) / MAP_PX**2
    assert len(shares) == 8
    assert shares[CAR] == shares[PERSON] == 0
    assert (shares[:CAR] > 0.01).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_map_continues_across_its_seams(world: AerialWorld, axis: int) -> None:
    image = world.colour.swapaxes(0, axis).astype(np.int16)
    labels = world.labels.swapaxes(0, axis)
    rows = range(0, MAP_PX - 1, 64)
    colour_steps = [np.abs(image[r] - image[r + 1]).mean() for r in rows]
    label_steps = [(labels[r] != labels[r + 1]).mean() for r in rows]
    # A row differs from the next by noise and by the edges it meets; a seam that did not fit would differ as two
    # unrelated rows do, several times more than the most uneven pair of neighbours.
    assert np.abs(image[-1] - image[0]).mean() <= max(colour_steps) * 1.1
    assert (labels[-1] != labels[0]).mean() <= max(label_steps) * 1.1


def test_water_looks_unlike_the_ground(world: AerialWorld) -> None:
    wet = world.labels == WATER
    blue_over_red = world.colour[..., 0].astype(np.int16) - world.colour[..., 2]
    assert blue_over_red[wet].mean() > blue_over_red[~wet].mean() + 10


class TestLife:
    def test_cars_and_people_move_smoothly(self, world: AerialWorld) -> None:
        for placed in (world.life.cars, world.life.people):
            still, _ = placed(1.0)
            next_frame, _ = placed(1.0 + 1 / 25)
            later, _ = placed(6.0)
            assert _apart_m(still, next_frame).max() < 0.75  # 19 m/s
            assert (_apart_m(still, later) > 0.5).mean() > 0.1

    def test_moving_cars_never_meet(self, world: AerialWorld) -> None:
        for time_s in np.arange(0.0, 28.0, 1.0):
            xy = np.concatenate([lane.at(time_s)[0] for lane in world.life.lanes])
            gaps = _apart_m(xy[:, None], xy[None])
            np.fill_diagonal(gaps, np.inf)
            assert gaps.min() > 2.4  # metres between middles: two cars side by side in their lanes


def _apart_m(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    gap = np.mod(a - b + MAP_PX / 2, MAP_PX) - MAP_PX / 2
    return np.hypot(gap[..., 0], gap[..., 1]) / PX_PER_M
