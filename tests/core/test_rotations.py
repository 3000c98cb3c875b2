"""Rotations: conventions of aerospace, and the way between quaternions, matrices and angles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeseg.core.rotations import angles_of, between, matrix_of, quaternion, quaternion_of

FORWARD, RIGHT, DOWN = np.eye(3)


def test_the_nose_goes_up_with_positive_pitch() -> None:
    assert (matrix_of(quaternion(0, math.radians(10), 0)) @ FORWARD)[2] == pytest.approx(
        -math.sin(math.radians(10))
    )


def test_the_right_side_goes_down_with_positive_roll() -> None:
    assert (matrix_of(quaternion(math.radians(10), 0, 0)) @ RIGHT)[2] == pytest.approx(
        math.sin(math.radians(10))
    )


def test_yaw_turns_from_north_to_east() -> None:
    assert matrix_of(quaternion(0, 0, math.pi / 2)) @ FORWARD == pytest.approx([0, 1, 0], abs=1e-12)


def test_angles_matrices_and_quaternions_agree() -> None:
    rng = np.random.default_rng(0)
    for roll, pitch, yaw in rng.uniform((-3.1, -1.5, -3.1), (3.1, 1.5, 3.1), (200, 3)):
        q = quaternion(roll, pitch, yaw)
        assert angles_of(q) == pytest.approx((roll, pitch, yaw), abs=1e-9)
        turned = matrix_of(q)
        assert turned.T @ turned == pytest.approx(np.eye(3), abs=1e-12)
        assert matrix_of(quaternion_of(turned)) == pytest.approx(turned, abs=1e-12)


def test_half_a_turn_about_each_axis_has_its_quaternion() -> None:
    for axis in range(3):
        turned = np.diag([1.0 if k == axis else -1.0 for k in range(3)])
        assert matrix_of(quaternion_of(turned)) == pytest.approx(turned, abs=1e-12)


def test_between_two_rotations_the_speed_is_constant() -> None:
    start, end = quaternion(0, 0, 0.2), quaternion(0, 0, 1.4)
    for share in (0.0, 0.25, 0.5, 1.0):
        assert angles_of(between(start, end, share))[2] == pytest.approx(0.2 + share * 1.2)


def test_between_takes_the_short_way_where_signs_differ() -> None:
    start, end = quaternion(0, 0, 0.2), -quaternion(0, 0, 0.4)
    assert abs(angles_of(between(start, end, 0.5))[2]) == pytest.approx(0.3)


def test_between_rotations_that_are_nearly_the_same_stays_a_rotation() -> None:
    start, end = quaternion(0, 0.1, 0.2), quaternion(0, 0.1, 0.2 + 1e-7)
    assert np.linalg.norm(between(start, end, 0.3)) == pytest.approx(1, abs=1e-15)
