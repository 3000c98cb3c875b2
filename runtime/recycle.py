"""Arrays that are used again once nobody holds them, so that a steady stream of frames allocates nothing."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

_MOST = 24
_MOST_KINDS = 8
_MOST_BYTES = 256 << 20
"""Kept of other kinds when a new one comes, so that a source that changes its size hoards no memory."""


class ArrayPool:
    """Hands out arrays, and takes each back by itself when its last holder has let it go.

    An array is in use while anything refers to it or to a view of it: a result in a sink's queue, a frame that a
    user keeps. Nobody gives one back, so nobody can give it back too early. One thread at a time takes, or two would be
    given the same array; any may hold.
    """

    def __init__(self) -> None:
        self._arrays: dict[tuple[tuple[int, ...], Any], list[npt.NDArray[Any]]] = {}
        self._free_count = _references_of_a_free_one()

    def take(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array that nobody holds; what is in it is left from its last use.

        Args:
            shape, dtype: as for ``numpy.empty``. Where there are many kinds, as with pictures of all sizes, those of
                the oldest are let go.
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
        # Someone who keeps every result needs no pool: what he holds is his, and is not counted over and over.
        if len(arrays) < _MOST:
            arrays.append(array)
        return array

    def _bytes(self) -> int:
        return sum(array.nbytes for arrays in self._arrays.values() for array in arrays)


def _references_of_a_free_one() -> int:
    """What ``sys.getrefcount`` says, in such a loop, of an array that only its list holds; interpreters differ."""
    arrays = [np.empty(0)]
    for array in arrays:
        return sys.getrefcount(array)
    raise AssertionError
