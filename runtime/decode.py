"""From coarse logits straight to the class map at the frame's size, exactly and without the large tensor.

The reference is bilinear interpolation (``align_corners=False``) of the logits to the frame's size, then argmax. How
that is had without interpolating is told in :mod:`.decode_numpy`. Where the compiled kernel (``_decode.c``) was built
it does the work, with the same bits; else NumPy does.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

from . import decode_numpy
from .decode_numpy import ClassMap, Floats, axis_of, decode_margin

__all__ = ["decode", "decode_margin", "is_compiled", "is_finite"]


@lru_cache(maxsize=1)
def _kernel() -> ModuleType | None:
    try:
        from . import _decode
    except ImportError:  # edgeseg was installed where there is no C compiler
        return None
    return _decode


def is_compiled() -> bool:
    """Whether the compiled kernel decodes; NumPy's form gives the same and takes a few times as long."""
    return _kernel() is not None


def is_finite(logits: Floats) -> bool:
    """Whether logits hold neither NaN nor infinity. A NaN passes through both minimum and maximum."""
    return bool(np.isfinite(logits.min()) and np.isfinite(logits.max()))


def decode(logits: Floats, size_hw: tuple[int, int], out: ClassMap | None = None) -> ClassMap:
    """Decodes one frame's logits to its class map. The interpreter's lock is free meanwhile.

    Args:
        logits: float32 [C, h, w], finite, 1 to 255 classes; fastest where it is contiguous, or a view of [h, w, C].
        size_hw: height and width of the class map, larger or smaller than the logits.
        out: uint8 [H, W], contiguous, to write into; a new array where None.

    Returns:
        uint8 [H, W]: ``out``, or the new array.

    Example:
        >>> decode(np.float32([[[0, 1]], [[1, 0]]]), (1, 4))
        array([[1, 1, 0, 0]], dtype=uint8)
    """
    kernel = _kernel()
    if kernel is None:
        return decode_numpy.decode(logits, size_hw, out)
    classes, height, width = logits.shape
    positions = height * width
    steps = (positions, 1)  # from class to class, and from position to position
    values = np.asarray(logits, np.float32)
    if not values.flags.c_contiguous:
        turned = values.transpose(1, 2, 0)
        values, steps = (
            (turned, (1, classes)) if turned.flags.c_contiguous else (np.ascontiguousarray(values), steps)
        )
    out = np.empty(size_hw, np.uint8) if out is None else out
    if (height, width) == size_hw:
        kernel.best(values, classes, 0, positions, *steps, out)
        return out
    coarse = np.empty(positions, np.uint8)
    kernel.best(values, classes, 0, positions, *steps, coarse)
    rows, columns = _packed(height, size_hw[0]), _packed(width, size_hw[1])
    kernel.cells(values, classes, height, width, *steps, coarse, *rows, *columns, 0, height + 1, out)
    return out


@lru_cache(maxsize=32)
def _packed(coarse: int, fine: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """An axis as the kernel takes it: int32 [4, cells] (near, far, first, pixels), and the weights."""
    axis = axis_of(coarse, fine)
    cells = np.stack([axis.near, axis.far, axis.first, axis.pixels]).astype(np.int32)
    cells.setflags(write=False)
    return cells, axis.weight
