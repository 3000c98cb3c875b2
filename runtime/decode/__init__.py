"""The decode: from coarse logits directly to the class map at the frame's size, exact and without the large tensor.

The reference is bilinear interpolation (``align_corners=False``) of the logits to the frame's size, then argmax.
:mod:`.in_numpy` explains how most of the interpolation is avoided. The compiled kernel (``_decode.c``) is used if it
was built, and NumPy otherwise; both give the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import ModuleType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Floats
from ...core.errors import DataError, EdgesegError
from ..forks import Owned, stays_with_this_process
from . import in_numpy as decode_numpy
from .in_numpy import axis_of

__all__ = ["Decoder", "decode", "decode_margin", "is_compiled", "is_finite"]

T = TypeVar("T")

_WEIGHTS_A_STEP = 8
"""The kernel reads this many weights at once."""

_LOGITS_A_THREAD = 2_000_000
_CELLS_A_THREAD = 50_000
"""The least work for one more thread, logits to read and cells to fill: it takes a few times as long as the start."""


@lru_cache(maxsize=1)
def _kernel() -> ModuleType | None:
    try:
        from . import _decode
    except ImportError:  # edgeseg was installed without a C compiler
        return None
    return _decode


def is_compiled() -> bool:
    """Returns True if the compiled kernel decodes. NumPy gives the same, but takes a few times as long."""
    return _kernel() is not None


def is_finite(logits: Floats) -> bool:
    """Returns True if logits hold neither NaN nor infinity. Minimum and maximum are NaN if any logit is."""
    return bool(np.isfinite(logits.min()) and np.isfinite(logits.max()))


def decode(logits: Floats, size_hw: tuple[int, int], out: ClassMap | None = None) -> ClassMap:
    """Decodes one frame's logits to its class map. Releases the interpreter's lock during the work.

    Args:
        logits: float32 [C, h, w], 1 to 255 classes; fastest if it is contiguous, or a view of [h, w, C].
        size_hw: height and width of the class map, larger or smaller than the logits.
        out: uint8 [H, W], contiguous, to write into; None for a new array.

    Returns:
        uint8 [H, W]: ``out``, or the new array.

    Raises:
        DataError: a logit is NaN or infinite; the content of ``out`` is then undefined.

    Example:
        >>> decode(np.float32([[[0, 1]], [[1, 0]]]), (1, 4))
        array([[1, 1, 0, 0]], dtype=uint8)
    """
    out = np.empty(size_hw, np.uint8) if out is None else out
    if not Decoder()(logits, out):
        raise DataError(f"logits {list(logits.shape)} hold NaN or infinity, from which no class can be taken")
    return out


def decode_margin(logits: Floats, size_hw: tuple[int, int]) -> Floats:
    """Returns each pixel's margin: its largest interpolated logit minus its second largest, float32 [H, W].

    With one class it is infinite.
    """
    margin = np.empty(size_hw, np.float32)
    Decoder().margin(logits, margin)
    return margin


class Decoder:
    """Decodes frames, and allocates nothing after the first one.

    Any thread may call it. It decodes one frame after another.

    Args:
        threads: the largest number of threads for one frame; small logits are decoded by the caller alone.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._left_to_parent: ThreadPoolExecutor | None = None
        if threads > 1:
            stays_with_this_process(self, _IN_A_CHILD)
        self._pool: ThreadPoolExecutor | None = None
        self._coarse = np.empty(0, np.uint8)

    def __call__(self, logits: Floats, out: ClassMap) -> bool:
        """Writes the class map.

        Args:
            logits: as for :func:`decode`.
            out: uint8 [H, W], contiguous, of any size.

        Returns:
            True if all logits are finite; if not, the content of ``out`` is undefined.
        """
        with self._lock:
            return self._decode(logits, out)

    def margin(self, logits: Floats, out: Floats) -> None:
        """Writes the margins, as :func:`decode_margin` returns them.

        Args:
            logits: as for :func:`decode`; finite.
            out: float32 [H, W], contiguous, of any size.
        """
        with self._lock:
            self._decode_margin(logits, out)

    def close(self) -> None:
        """Ends the threads after the frame in progress. The decoder can be used again."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None

    def _decode(self, logits: Floats, out: ClassMap) -> bool:
        kernel = _kernel()
        if kernel is None:
            if not is_finite(logits):
                return False
            decode_numpy.decode(logits, (out.shape[0], out.shape[1]), out)
            return True
        values, steps = _as_stored(logits)
        classes, height, width = logits.shape
        positions = height * width
        coarse = out.reshape(-1) if out.shape == (height, width) else self._coarse_map(positions)

        def best(start: int, stop: int) -> bool:
            finite: bool = kernel.best(values, classes, start, stop, *steps, coarse)
            return finite

        if not all(self._side_by_side(best, positions, logits.size // _LOGITS_A_THREAD)):
            return False
        if out.shape != (height, width):
            axes = (*_packed(height, out.shape[0]), *_packed(width, out.shape[1]))

            def cells(start: int, stop: int) -> None:
                kernel.cells(values, classes, height, width, *steps, coarse, *axes, start, stop, out)

            self._side_by_side(cells, height + 1, positions // _CELLS_A_THREAD)
        return True

    def _decode_margin(self, logits: Floats, out: Floats) -> None:
        kernel = _kernel()
        if kernel is None:
            out[:] = decode_numpy.decode_margin(logits, (out.shape[0], out.shape[1]))
            return
        values, steps = _as_stored(logits)
        classes, height, width = logits.shape
        axes = (*_packed(height, out.shape[0]), *_packed(width, out.shape[1]))

        def cells(start: int, stop: int) -> None:
            kernel.cells(values, classes, height, width, *steps, None, *axes, start, stop, out)

        self._side_by_side(cells, height + 1, out.size // _CELLS_A_THREAD)

    def _coarse_map(self, positions: int) -> ClassMap:
        if len(self._coarse) != positions:
            self._coarse = np.empty(positions, np.uint8)
        return self._coarse

    def _side_by_side(self, function: Callable[[int, int], T], length: int, most_parts: int) -> list[T]:
        """Calls a function for parts of a range, each in its own thread; the first part in the caller's."""
        parts = min(self._threads, most_parts)
        if parts <= 1:
            return [function(0, length)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1, "edgeseg decode")
        edges = [length * part // parts for part in range(parts + 1)]
        others = [self._pool.submit(function, *edges[part : part + 2]) for part in range(1, parts)]
        return [function(*edges[:2]), *(other.result() for other in others)]


def _begin_anew(decoder: Decoder, error: EdgesegError) -> None:
    """Replaces the lock and the pool in a forked child: the parent's threads, which hold them, do not exist there."""
    decoder._lock = threading.Lock()
    decoder._left_to_parent, decoder._pool = decoder._pool, None


_IN_A_CHILD = Owned("the decoder", DataError, ignores=(), in_child=_begin_anew)


def _as_stored(logits: Floats) -> tuple[Floats, tuple[int, int]]:
    """Returns contiguous logits, and their steps from class to class and from position to position."""
    classes, height, width = logits.shape
    values = np.asarray(logits, np.float32)
    if not values.flags.c_contiguous:
        turned = values.transpose(1, 2, 0)
        if turned.flags.c_contiguous:
            return turned, (1, classes)
        values = np.ascontiguousarray(values)
    return values, (height * width, 1)


@lru_cache(maxsize=32)
def _packed(coarse: int, fine: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """Returns an axis in the kernel's form: int32 [4, cells] (near, far, first, pixels), and the padded weights."""
    axis = axis_of(coarse, fine)
    cells = np.stack([axis.near, axis.far, axis.first, axis.pixels]).astype(np.int32)
    weight = np.pad(axis.weight, (0, _WEIGHTS_A_STEP))
    cells.setflags(write=False)
    weight.setflags(write=False)
    return cells, weight
