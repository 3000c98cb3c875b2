"""From coarse logits straight to the class map at the frame's size, exactly and without the large tensor.

The reference is bilinear interpolation (``align_corners=False``) of the logits to the frame's size, then argmax. How
that is had without interpolating is told in :mod:`.decode_numpy`. Where the compiled kernel (``_decode.c``) was built
it does the work, with the same bits; else NumPy does.
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

from ...core.errors import DataError, EdgesegError
from ..forks import Owned, stays_with_this_process
from . import in_numpy as decode_numpy
from .in_numpy import ClassMap, Floats, axis_of

__all__ = ["Decoder", "decode", "decode_margin", "is_compiled", "is_finite"]

T = TypeVar("T")

_LANES = 8
"""The kernel reads weights in steps of so many."""

_LOGITS_A_THREAD = 2_000_000
_CELLS_A_THREAD = 50_000
"""What takes a few times as long as handing it to another thread: logits to look through, cells to fill."""


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
        logits: float32 [C, h, w], 1 to 255 classes; fastest where it is contiguous, or a view of [h, w, C].
        size_hw: height and width of the class map, larger or smaller than the logits.
        out: uint8 [H, W], contiguous, to write into; a new array where None.

    Returns:
        uint8 [H, W]: ``out``, or the new array.

    Raises:
        DataError: a logit is NaN or infinite; what ``out`` then holds means nothing.

    Example:
        >>> decode(np.float32([[[0, 1]], [[1, 0]]]), (1, 4))
        array([[1, 1, 0, 0]], dtype=uint8)
    """
    out = np.empty(size_hw, np.uint8) if out is None else out
    if not Decoder()(logits, out):
        raise DataError(f"logits {list(logits.shape)} hold NaN or infinity, which no class follows from")
    return out


def decode_margin(logits: Floats, size_hw: tuple[int, int]) -> Floats:
    """The margin of each pixel: its largest interpolated logit minus its second largest, float32 [H, W].

    With one class it is infinite.
    """
    margin = np.empty(size_hw, np.float32)
    Decoder().margin(logits, margin)
    return margin


class Decoder:
    """Decodes frame after frame, and allocates nothing once it has seen the first.

    Any thread may call it: one frame is decoded after another.

    Args:
        threads: the most that work on one frame; small logits are done by the caller alone.
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
            Whether all logits are finite. Where not, what ``out`` holds means nothing.
        """
        with self._lock:
            return self._decode(logits, out)

    def margin(self, logits: Floats, out: Floats) -> None:
        """Writes the margins that :func:`decode_margin` tells of.

        Args:
            logits: as for :func:`decode`; finite.
            out: float32 [H, W], contiguous, of any size.
        """
        with self._lock:
            self._decode_margin(logits, out)

    def close(self) -> None:
        """Ends its threads, once the frame under way is decoded. It can be used again."""
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

    def _side_by_side(self, function: Callable[[int, int], T], length: int, worth: int) -> list[T]:
        """Calls a function for parts of a range, in as many threads as are worth it; the first part in this one."""
        parts = min(self._threads, worth)
        if parts <= 1:
            return [function(0, length)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1, "edgeseg decode")
        edges = [length * part // parts for part in range(parts + 1)]
        others = [self._pool.submit(function, *edges[part : part + 2]) for part in range(1, parts)]
        return [function(*edges[:2]), *(other.result() for other in others)]


def _begin_anew(decoder: Decoder, error: EdgesegError) -> None:
    """In a forked child: the lock may be held by a thread that is not there, and the pool has none of its threads."""
    decoder._lock = threading.Lock()
    decoder._left_to_parent, decoder._pool = decoder._pool, None


_IN_A_CHILD = Owned("the decoder", DataError, ignores=(), in_child=_begin_anew)


def _as_stored(logits: Floats) -> tuple[Floats, tuple[int, int]]:
    """Contiguous logits, and their steps from class to class and from position to position."""
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
    """An axis as the kernel takes it: int32 [4, cells] (near, far, first, pixels); and the weights, padded."""
    axis = axis_of(coarse, fine)
    cells = np.stack([axis.near, axis.far, axis.first, axis.pixels]).astype(np.int32)
    weight = np.pad(axis.weight, (0, _LANES))
    cells.setflags(write=False)
    weight.setflags(write=False)
    return cells, weight
