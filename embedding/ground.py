"""The ground as a camera sees it: flat, and as far below as the vehicle's height says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Matrix, Points
from ..core.pose import VehiclePose
from ..core.rotations import Vector
from .camera.model import CameraModel
from .pose import Mount


@dataclass(frozen=True)
class GroundView:
    """A camera above flat ground at one moment.

    Ground coordinates are metres north and east of the fixed origin of the vehicle's position.

    Attributes:
        camera: the camera, for frames of its own size.
        world_from_camera: float64 [3, 3], turns the camera's directions into north, east, down.
        north_m, east_m: of the camera, from the origin.
        height_m: of the camera above the ground.
    """

    camera: CameraModel
    world_from_camera: Matrix
    north_m: float
    east_m: float
    height_m: float

    @classmethod
    def of(cls, camera: CameraModel, mount: Mount, pose: VehiclePose) -> GroundView:
        """Returns the view of a camera on a vehicle with a known pose."""
        world_from_body = pose.world_from_body
        north, east, down = world_from_body @ np.array(mount.offset_frd_m)
        return cls(
            camera,
            world_from_body @ mount.body_from_camera,
            pose.north_m + float(north),
            pose.east_m + float(east),
            pose.height_m - float(down),
        )

    def ground_of(self, uv: Points) -> Points:
        """Returns the ground that pixels show.

        Args:
            uv: float64 [N, 2], pixel columns and rows.

        Returns:
            float64 [N, 2], metres north and east; NaN for pixels at or above the horizon.
        """
        rays = self.camera.rays(uv) @ self.world_from_camera.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ground = self.height_m * rays[:, :2] / rays[:, 2:]
        ground = np.where(rays[:, 2:] > 1e-6, ground, np.nan)
        return np.asarray(ground + self.nadir())

    def pixel_of(self, ground: Points) -> Points:
        """Returns the pixels float64 [N, 2] that show points of the ground; NaN for those behind the camera.

        A pixel may lie outside the frame.

        Args:
            ground: float64 [N, 2], metres north and east.
        """
        ground = np.asarray(ground, np.float64).reshape(-1, 2)
        offset = ground - self.nadir()
        world = np.column_stack([offset, np.full(len(offset), self.height_m)])
        return self.camera.project(world @ self.world_from_camera)

    def ground_from_pixel(self) -> Matrix:
        """Returns the homography float64 [3, 3] from pixels to metres north and east.

        It is exact for a camera without distortion. For another it holds for the frames of ``camera.rectified()``.
        """
        inverse_k = np.linalg.inv(self.camera.rectified().matrix)
        place = np.array([[self.height_m, 0, self.north_m], [0, self.height_m, self.east_m], [0, 0, 1.0]])
        return np.asarray(place @ self.world_from_camera @ inverse_k)

    def metres_per_pixel(self, uv: Points) -> Points:
        """Returns the size of pixels on the ground, float64 [N, 2]: the shortest and the longest extent in metres.

        Args:
            uv: float64 [N, 2], pixel columns and rows; NaN is returned for those that do not show the ground.
        """
        uv = np.asarray(uv, np.float64).reshape(-1, 2)
        steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
        around = self.ground_of((uv + steps[:, None]).reshape(-1, 2)).reshape(4, -1, 2)
        columns = np.stack([around[0] - around[1], around[2] - around[3]], axis=-1)  # [N, 2, 2], the Jacobian
        known = np.isfinite(columns).all((1, 2))
        sizes = np.full((len(uv), 2), np.nan)
        if known.any():
            sizes[known] = np.linalg.svd(columns[known], compute_uv=False)[:, ::-1]
        return sizes

    def nadir(self) -> Vector:
        """Returns the point of the ground below the camera, float64 [2], metres north and east."""
        return np.array([self.north_m, self.east_m])
