"""Intruders: where they are, how they are drawn, and that the world is the same without them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeseg.data.aerial import AerialWorld
from edgeseg.data.aerial.camera import Pose
from edgeseg.data.aerial.canvas import PX_PER_M
from edgeseg.data.aerial.intruders import Intruder, IntruderKind, placed
from edgeseg.data.aerial.labels import CAR, GRASS, PERSON
from edgeseg.data.aerial.render import render

SIZE_HW = (128, 128)


def on_its_way(kind: IntruderKind = "person") -> Intruder:
    return Intruder(kind, np.array([10.0, 12.0, 15.0]), np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 0.0]]))


class TestWay:
    def test_it_moves_along_straight_lines_and_then_stands(self) -> None:
        intruder = on_its_way()
        assert intruder.at(11.0)[0].tolist() == [10.0, 0.0]
        assert intruder.at(14.0)[0].tolist() == [20.0, 0.0]

    def test_its_heading_is_that_of_its_way_also_while_it_stands(self) -> None:
        way = np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 20.0], [-5.0, 20.0]])
        intruder = Intruder("car", np.array([0.0, 1.0, 2.0, 3.0]), way)
        assert intruder.at(0.5)[1] == pytest.approx(math.pi / 2)
        assert intruder.at(1.5)[1] == pytest.approx(math.pi / 2)
        assert intruder.at(2.5)[1] == pytest.approx(math.pi)

    def test_one_that_never_moves_has_a_heading(self) -> None:
        assert Intruder("car", np.array([0.0, 1.0]), np.zeros((2, 2))).at(0.5)[1] == 0.0

    def test_it_is_there_from_its_first_time_to_its_last(self) -> None:
        intruder = on_its_way()
        assert [intruder.is_there(at) for at in (9.9, 10.0, 15.0, 15.1)] == [False, True, True, False]

    def test_those_of_a_kind_that_are_there_are_placed(self) -> None:
        positions, headings, looks = placed([on_its_way("person"), on_its_way("car")], "car", 11.0)
        assert positions.tolist() == [[10.0, 0.0]]
        assert (headings.tolist(), looks) == ([0.0], [0])
        assert placed([on_its_way()], "person", 99.0)[0].shape == (0, 2)


class TestRender:
    @pytest.fixture
    def above_grass(self, world: AerialWorld) -> Pose:
        """Five metres above grass, without people, cars and shadows of them around."""
        rows, columns = np.nonzero(world.labels[600:3400:50, 600:3400:50] == GRASS)
        for row, column in zip(rows, columns, strict=True):
            x, y = 600.0 + 50 * column, 600.0 + 50 * row
            pose = Pose(x, y, 5.0, 0.3, 0.1, -0.1)
            _, truth = render(world, pose, 0.0, SIZE_HW)
            if (truth == GRASS).all():
                return pose
        raise AssertionError("the place has no open grass")

    @pytest.mark.parametrize(("kind", "class_id", "size_m2"), [("person", PERSON, 0.5), ("car", CAR, 8.0)])
    def test_it_is_seen_at_its_place_with_its_class(
        self, world: AerialWorld, above_grass: Pose, kind: IntruderKind, class_id: int, size_m2: float
    ) -> None:
        pose = Pose(above_grass.x, above_grass.y, 5.0, 0.0, 0.0, 0.0)
        way = np.array([[pose.x, pose.y], [pose.x, pose.y]])
        _, truth = render(world, pose, 0.0, SIZE_HW, [Intruder(kind, np.array([0.0, 1.0]), way)])
        rows, columns = np.nonzero(truth == class_id)
        assert (rows.mean(), columns.mean()) == pytest.approx((63.5, 63.5), abs=3)
        pixel_m = 5.0 / (0.95 * SIZE_HW[1])
        assert size_m2 / 3 < len(rows) * pixel_m**2 < size_m2 * 2

    def test_it_casts_no_class_when_it_is_away(self, world: AerialWorld, above_grass: Pose) -> None:
        way = np.full((2, 2), (above_grass.x, above_grass.y))
        there = Intruder("person", np.array([5.0, 6.0]), way)
        assert np.array_equal(
            render(world, above_grass, 0.0, SIZE_HW, [there])[0], render(world, above_grass, 0.0, SIZE_HW)[0]
        )

    def test_a_shadow_behind_a_camera_near_the_ground_is_not_drawn(
        self, world: AerialWorld, above_grass: Pose
    ) -> None:
        low = Pose(above_grass.x, above_grass.y, 0.2, 0.0, 0.25, 0.0)
        behind = np.full((2, 2), (low.x, low.y + 3 * PX_PER_M))
        with np.errstate(invalid="raise"):
            render(world, low, 0.0, SIZE_HW, [Intruder("car", np.array([0.0, 1.0]), behind)])
