"""The camera: a pinhole above the map, with its lens and sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame, Matrix
from ...core.pose import VehiclePose
from ...core.rotations import quaternion
from .canvas import PX_PER_M

_FOCAL = 0.95  # focal length over frame width

FIELD_OF_VIEW_DEG = math.degrees(2 * math.atan(0.5 / _FOCAL))
"""The angle from the left edge of a frame to the right one: 55.5 degrees."""


@dataclass(frozen=True)
class Pose:
    """The position and direction of the camera.

    Attributes:
        x, y: map pixels.
        height_m: above the ground.
        yaw: direction of the frame's right edge on the map, radians.
        pitch: 0 is straight down; positive is ahead, in the direction of the frame's upper edge.
        roll: positive lowers the right side.
    """

    x: float
    y: float
    height_m: float
    yaw: float
    pitch: float
    roll: float

    def of_vehicle(self, at: float) -> VehiclePose:
        """Returns the pose in an autopilot's conventions, for a vehicle whose camera looks down.

        North is up on the map. Roll is positive here with the right side *up*, and in an autopilot with it down.

        Args:
            at: seconds, in the time base that its user chooses.
        """
        attitude = quaternion(-self.roll, self.pitch, self.yaw)
        return VehiclePose(at, attitude, self.height_m, -self.y / PX_PER_M, self.x / PX_PER_M)

    def frame_to_map(self, size_hw: tuple[int, int]) -> Matrix:
        """Returns the homography float64 [3, 3] from frame pixels to map pixels (of the endless map)."""
        height, width = size_hw
        focal = _FOCAL * width
        inverse_k = np.array(
            [[1 / focal, 0, -(width - 1) / 2 / focal], [0, 1 / focal, -(height - 1) / 2 / focal], [0, 0, 1]]
        )
        cy, sy, cp, sp, cr, sr = (f(a) for a in (self.yaw, self.pitch, self.roll) for f in (np.cos, np.sin))
        turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        lean = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
        rays = turn @ tilt @ lean @ inverse_k
        above = self.height_m * PX_PER_M
        ground = np.array([[above, 0, self.x], [0, above, self.y], [0, 0, 1]])
        return np.asarray(ground @ rays)


@dataclass(frozen=True)
class Exposure:
    """The sensor's parameters for one frame.

    Attributes:
        gain_bgr: exposure and white balance.
        gamma: of the tone curve; 1 changes nothing.
        noise: standard deviation of sensor noise in grey levels.
        blur_xy: motion during the exposure in frame pixels.
    """

    gain_bgr: tuple[float, float, float]
    gamma: float
    noise: float
    blur_xy: tuple[float, float]


class Sensor:
    """The sensor, which turns the light on the lens into a frame: blur, vignette, tone, noise."""

    def __init__(self, size_hw: tuple[int, int], rng: np.random.Generator) -> None:
        self.size_hw = size_hw
        height, width = size_hw
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        radius2 = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / np.float32(
            width * width / 4 + height * height / 4
        )
        fall_off = np.rint(255 * (1 - 0.2 * radius2 * (0.6 + 0.4 * radius2))).astype(np.uint8)
        self._vignette = cv2.merge([fall_off] * 3)
        tile = rng.standard_normal((height + 64, width + 64, 3), np.float32)
        tile += (
            cv2.GaussianBlur(rng.standard_normal((height + 64, width + 64, 1), np.float32), (0, 0), 0.8)[
                ..., None
            ]
            * 1.2
        )
        self._noise = np.clip(128 + 24 * tile / tile.std(), 0, 255).astype(np.uint8)

    def expose(self, light: Frame, exposure: Exposure, shift_xy: tuple[int, int]) -> Frame:
        """Renders one frame; ``shift_xy``, each 0 to 63, moves the noise."""
        kernel = _motion_kernel(round(exposure.blur_xy[0], 1), round(exposure.blur_xy[1], 1))
        frame = light if kernel is None else cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        frame = cv2.multiply(frame, self._vignette, scale=1 / 255)
        level = np.arange(256) / 255
        curve = [np.clip(255 * (level * gain) ** exposure.gamma, 0, 255) for gain in exposure.gain_bgr]
        frame = cv2.LUT(frame, np.rint(np.stack(curve, -1)).astype(np.uint8)[None])
        height, width = self.size_hw
        dx, dy = shift_xy
        noise = self._noise[dy : dy + height, dx : dx + width]
        amount = exposure.noise / 24
        return np.asarray(cv2.addWeighted(frame, 1.0, noise, amount, -128 * amount), np.uint8)


@lru_cache(maxsize=512)
def _motion_kernel(dx: float, dy: float) -> npt.NDArray[np.float32] | None:
    """Returns a line as long as the motion, in steps of a tenth of a pixel; None below a third of a pixel."""
    length = float(np.hypot(dx, dy))
    if length < 0.34:
        return None
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    steps = np.linspace(-0.5, 0.5, 24)
    for x, y in zip(steps * dx + half, steps * dy + half, strict=True):
        i, j = int(y), int(x)
        fy, fx = y - i, x - j
        for row, wy in ((i, 1 - fy), (i + 1, fy)):
            for column, wx in ((j, 1 - fx), (j + 1, fx)):
                if wy * wx > 0:
                    kernel[row, column] += wy * wx
    return np.asarray(kernel / kernel.sum(), np.float32)
