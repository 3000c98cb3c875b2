"""The camera model: from pixels to rays, for a pinhole with Brown's distortion and for a fisheye."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Matrix
from ...core.errors import UsageError

Distortion = Literal["brown", "fisheye"]

_BROWN_LENGTHS = (0, 4, 5, 8, 12, 14)
_FISHEYE_LENGTHS = (0, 4)
_NOT_INVERTED = 1e5
"""OpenCV marks a fisheye's point that it cannot invert by a larger number."""
_REFINEMENTS = 20
_ZERO = np.zeros(3)


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera. Its frame of reference is the optical one: x right, y down, z ahead.

    Attributes:
        size_hw: height and width of the frames that the numbers below are for.
        fx, fy: focal lengths in pixels.
        cx, cy: the principal point in pixels; (0, 0) is the centre of the first pixel.
        distortion: coefficients in OpenCV's order: k1, k2, p1, p2, k3, … of ``brown``, k1 to k4 of ``fisheye``.
        model: the kind of distortion.

    Raises:
        UsageError: a number is out of range, or there are too few or too many coefficients.
    """

    size_hw: tuple[int, int]
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = field(default=())
    model: Distortion = "brown"

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(number) for number in numbers):
            raise UsageError(f"the camera has numbers that are not finite: {numbers}")
        if min(self.size_hw) < 1 or min(self.fx, self.fy) <= 0:
            raise UsageError(
                f"a camera of {self.size_hw[1]} x {self.size_hw[0]} pixels with focal lengths of {self.fx:g} and "
                f"{self.fy:g} pixels: expected a size and focal lengths above 0"
            )
        lengths = _BROWN_LENGTHS if self.model == "brown" else _FISHEYE_LENGTHS
        if len(self.distortion) not in lengths:
            raise UsageError(
                f"a camera with {len(self.distortion)} distortion coefficients; a {self.model} model has "
                f"{', '.join(map(str, lengths[:-1]))} or {lengths[-1]}"
            )

    @classmethod
    def from_field_of_view(cls, size_hw: tuple[int, int], horizontal_degrees: float) -> CameraModel:
        """Returns an ideal pinhole, for a camera of which only the field of view is known.

        Args:
            size_hw: height and width of its frames.
            horizontal_degrees: the angle from the left edge to the right one, above 0 and below 180.
        """
        if not 0 < horizontal_degrees < 180:
            raise UsageError(
                f"a field of view of {horizontal_degrees:g} degrees; expected more than 0 and less than 180"
            )
        height, width = size_hw
        focal = width / 2 / math.tan(math.radians(horizontal_degrees) / 2)
        return cls(size_hw, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def matrix(self) -> Matrix:
        """The intrinsic matrix, float64 [3, 3]."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def scaled(self, size_hw: tuple[int, int]) -> CameraModel:
        """Returns the model for frames that were resized to another size, as from a smaller mode of the same sensor.

        Raises:
            UsageError: the aspect ratio is another, so that the frames were cropped, and how is not known.
        """
        if size_hw == self.size_hw:
            return self
        (height, width), (old_height, old_width) = size_hw, self.size_hw
        x, y = width / old_width, height / old_height
        if abs(x / y - 1) > 0.02:
            raise UsageError(
                f"the camera was calibrated at {old_width} x {old_height} and gives frames of {width} x {height}: "
                "another aspect ratio; calibrate it at this size"
            )
        return replace(
            self, size_hw=size_hw, fx=self.fx * x, fy=self.fy * y,
            cx=(self.cx + 0.5) * x - 0.5, cy=(self.cy + 0.5) * y - 0.5,
        )  # fmt: skip

    def rays(self, uv: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the directions in which pixels look.

        Args:
            uv: float64 [N, 2], pixel columns and rows.

        Returns:
            float64 [N, 3] in the camera's frame of reference, with z = 1; NaN where a fisheye's pixel does not look
            ahead.
        """
        points = np.ascontiguousarray(uv, np.float64).reshape(-1, 2)
        flat = (points - (self.cx, self.cy)) / (self.fx, self.fy)
        if self.is_distorted:
            flat = self._undistorted(points, flat)
        return np.column_stack([flat, np.ones(len(points))])

    def _undistorted(
        self, uv: npt.NDArray[np.float64], distorted: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Returns the directions float64 [N, 2] of pixels; ``distorted`` is what they would be without distortion."""
        coefficients = np.array(self.distortion)
        if self.model == "fisheye":
            flat = cv2.fisheye.undistortPoints(uv[:, None], self.matrix, coefficients).reshape(-1, 2)
            return np.asarray(np.where(np.abs(flat) > _NOT_INVERTED, np.nan, flat))
        flat = cv2.undistortPoints(uv[:, None], self.matrix, coefficients).reshape(-1, 2)
        # OpenCV stops after five steps, which leaves pixels of error towards the edge of a wide lens.
        for _ in range(_REFINEMENTS):
            again, _ = cv2.projectPoints(
                np.column_stack([flat, np.ones(len(flat))])[:, None], _ZERO, _ZERO, np.eye(3), coefficients
            )
            flat = flat + distorted - again.reshape(-1, 2)
        return np.asarray(flat)

    def project(self, rays: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the pixels, float64 [N, 2], at which directions are seen; NaN for those behind the camera.

        Args:
            rays: float64 [N, 3] in the camera's frame of reference, of any length.
        """
        rays = np.ascontiguousarray(rays, np.float64).reshape(-1, 3)
        ahead = rays[:, 2] > 1e-9
        flat = np.where(ahead[:, None], rays, (0.0, 0.0, 1.0))
        coefficients = np.array(self.distortion or (0.0,) * 4)
        if self.model == "fisheye":
            uv, _ = cv2.fisheye.projectPoints(flat[:, None], _ZERO, _ZERO, self.matrix, coefficients)
        else:
            uv, _ = cv2.projectPoints(flat[:, None], _ZERO, _ZERO, self.matrix, coefficients)
        return np.where(ahead[:, None], uv.reshape(-1, 2), np.nan)

    @property
    def is_distorted(self) -> bool:
        """True if straight lines do not stay straight in a frame."""
        return self.model == "fisheye" or any(self.distortion)

    def rectified(self) -> CameraModel:
        """Returns the ideal pinhole of the same size that shows as much as fits around this camera's centre."""
        return _rectified(self) if self.is_distorted else self

    def rectification(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Returns the maps for ``cv2.remap``, float32 [H, W] each, that turn a frame into :meth:`rectified`'s."""
        to = self.rectified()
        width_height = (self.size_hw[1], self.size_hw[0])
        coefficients = np.array(self.distortion or (0.0,) * 4)
        make = cv2.fisheye.initUndistortRectifyMap if self.model == "fisheye" else cv2.initUndistortRectifyMap
        x, y = make(self.matrix, coefficients, np.eye(3), to.matrix, width_height, cv2.CV_32FC1)
        return np.asarray(x, np.float32), np.asarray(y, np.float32)


@lru_cache(maxsize=8)
def _rectified(camera: CameraModel) -> CameraModel:
    """Returns the pinhole of a distorted camera. A live run asks for the same one with every frame."""
    if camera.model == "fisheye":
        # A fisheye may see 180 degrees, a pinhole cannot: it keeps the scale of the centre.
        return replace(camera, distortion=(), model="brown")
    width_height = (camera.size_hw[1], camera.size_hw[0])
    k, _ = cv2.getOptimalNewCameraMatrix(
        camera.matrix, np.array(camera.distortion), width_height, 0.0, width_height
    )
    return CameraModel(camera.size_hw, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
