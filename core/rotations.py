"""Rotations as unit quaternions (w, x, y, z) and matrices, in the conventions of aerospace.

The world is north, east, down (NED); the body is forward, right, down (FRD). A rotation turns body into world
coordinates. Roll is positive right side down, pitch nose up, yaw clockwise seen from above.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .arrays import Matrix

Vector = npt.NDArray[np.float64]


def quaternion(roll: float, pitch: float, yaw: float) -> Vector:
    """Returns the quaternion float64 [4] of angles in radians, turned in the order yaw, pitch, roll."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a / 2), math.cos(a / 2)) for a in (roll, pitch, yaw))
    return np.array(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )


def matrix_of(q: Vector) -> Matrix:
    """Returns the rotation matrix float64 [3, 3] of a unit quaternion."""
    w, x, y, z = (float(value) for value in q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of(matrix: Matrix) -> Vector:
    """Returns the unit quaternion float64 [4] of a rotation matrix, with w of 0 or more."""
    m = np.asarray(matrix, np.float64)
    # The four candidates differ in which component is not divided by a small number (Shepperd 1978).
    squares = np.array(
        [
            1 + m[0, 0] + m[1, 1] + m[2, 2],
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
        ]
    )
    largest = int(squares.argmax())
    scale = 2 * math.sqrt(float(squares[largest]))
    off = (m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1])
    on = (m[1, 0] + m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2])
    rows = (
        (squares[0], off[0], off[1], off[2]),
        (off[0], squares[1], on[0], on[1]),
        (off[1], on[0], squares[2], on[2]),
        (off[2], on[1], on[2], squares[3]),
    )
    q = np.array(rows[largest]) / scale
    return -q if q[0] < 0 else q


def angles_of(q: Vector) -> tuple[float, float, float]:
    """Returns (roll, pitch, yaw) in radians of a unit quaternion; the inverse of :func:`quaternion`."""
    w, x, y, z = (float(value) for value in q)
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return roll, pitch, yaw


def between(first: Vector, second: Vector, share: float) -> Vector:
    """Returns the rotation at a share of the way from one to another, on the shortest way at constant speed.

    Args:
        first, second: unit quaternions.
        share: 0 gives the first, 1 the second.
    """
    cosine = float(first @ second)
    if cosine < 0:  # q and -q are the same rotation; the nearer one is the shorter way
        second, cosine = -second, -cosine
    if cosine > 0.9995:  # so near that the sine is lost to rounding
        q = first + share * (second - first)
        return np.asarray(q / np.linalg.norm(q))
    angle = math.acos(cosine)
    q = (math.sin((1 - share) * angle) * first + math.sin(share * angle) * second) / math.sin(angle)
    return np.asarray(q)
