"""A pool of arrays that are used again when nothing refers to them, so that a steady stream allocates nothing."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

_MOST = 24
_MOST_KINDS = 8
_MOST_BYTES = 256 << 20
"""The limit for arrays of other kinds when a new kind comes, so that a source that changes its size frees memory."""


class ArrayPool:
    """Gives out arrays, and uses each one again when nothing refers to it any more.

    An array is in use while anything refers to it or to a view of it, such as a result in a sink's queue or a frame
    that a user keeps. Arrays are not returned explicitly, so none can be returned too early. Only one thread at a time
    may call :meth:`take`, or two could get the same array. Any thread may keep an array.
    """

    def __init__(self) -> None:
        self._arrays: dict[tuple[tuple[int, ...], Any], list[npt.NDArray[Any]]] = {}
        self._free_count = _references_of_a_free_one()

    def take(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Returns an array that nothing else refers to. It holds values of its last use.

        Args:
            shape, dtype: as for ``numpy.empty``. If there are many kinds, as with images of all sizes, the arrays of
                the oldest kinds are freed.
        """
        kind = (shape, dtype)
        if kind not in self._arrays:
            while len(self._arrays) == _MOST_KINDS or (self._arrays and self._bytes() > _MOST_BYTES):
                del self._arrays[next(iter(self._arrays))]
            self._arrays[kind] = []
        arrays = self._arrays[kind]
        for array in arrays:
            if sys.getrefcount(array) <= self._free_count:
                return array
        array = np.empty(shape, dtype)
        # A caller that keeps every result gains nothing from the pool, and a longer list would be slow to search.
        if len(arrays) < _MOST:
            arrays.append(array)
        return array

    def _bytes(self) -> int:
        return sum(array.nbytes for arrays in self._arrays.values() for array in arrays)


def _references_of_a_free_one() -> int:
    """Returns ``sys.getrefcount`` of an array that only its list holds, in a loop as above. Interpreters differ."""
    arrays = [np.empty(0)]
    for array in arrays:
        return sys.getrefcount(array)
    raise AssertionError
