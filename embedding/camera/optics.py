"""The optics: the camera model for frames of any size, from a calibration or from a field of view alone."""

from __future__ import annotations

from dataclasses import dataclass

from .model import CameraModel


@dataclass(frozen=True)
class Optics:
    """A camera whose frames may come in several sizes.

    Attributes:
        calibration: the calibrated camera; None if only its field of view is known.
        horizontal_degrees: the angle from the left edge of a frame to the right one; used without a calibration.
    """

    calibration: CameraModel | None = None
    horizontal_degrees: float = 60.0

    def for_frames(self, size_hw: tuple[int, int]) -> CameraModel:
        """Returns the model for frames of a size.

        Raises:
            UsageError: they have another aspect ratio than the calibration.
        """
        if self.calibration is not None:
            return self.calibration.scaled(size_hw)
        return CameraModel.from_field_of_view(size_hw, self.horizontal_degrees)
