"""The types of the arrays that the parts pass to each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
"""A frame or an image: uint8 [H, W, 3] BGR; where its user says so, N of them that have one size: [N, H, W, 3]."""

ClassMap = npt.NDArray[np.uint8]
"""The class of each pixel: uint8 [H, W], 255 (void) where there is none."""

Pixels = npt.NDArray[np.uint8]
"""A frame or a class map, for code that treats both alike: uint8 [H, W, 3] or [H, W]."""

Logits = npt.NDArray[np.float32]
"""A network's scores, before the last upsampling: float32 [C, h, w] of one frame, or [N, C, h, w]."""

Floats = npt.NDArray[np.float32]
"""Numbers in float32, of the shape that its user names."""

Doubles = npt.NDArray[np.float64]
"""Numbers in float64, of the shape that its user names."""

Matrix = npt.NDArray[np.float64]
"""A rotation, a homography or an affine map: float64, of the shape that its user names."""

Points = npt.NDArray[np.float64]
"""Points of a plane or of space: float64 [..., 2] or [..., 3]."""
