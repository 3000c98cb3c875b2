"""Pinned arrays for results, used in turn so that no frame allocates memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .base import CudaDevice


class ArraySpec(NamedTuple):
    """The shape and type of one array."""

    shape: tuple[int, ...]
    dtype: npt.DTypeLike


class ResultRing:
    """A fixed number of places for results; the next result overwrites the oldest.

    The arrays of a name are made when it is first used, so unread results cost no memory.

    Args:
        cuda: the device that the results come from.
        specs: the arrays of one place, by name.
        places: the number of results that are kept.
    """

    def __init__(self, cuda: CudaDevice, specs: Mapping[str, ArraySpec], places: int) -> None:
        self._cuda = cuda
        self._specs = specs
        self._places: list[dict[str, npt.NDArray[Any]]] = [{} for _ in range(places)]
        self._next = 0

    def take(self, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """The arrays of the next place, by name.

        Raises:
            BackendError: there is not enough memory for them.
        """
        for name in names:
            if name not in self._places[0]:
                for place in self._places:
                    place[name] = self._cuda.pinned(*self._specs[name])
        place = self._places[self._next]
        self._next = (self._next + 1) % len(self._places)
        return {name: place[name] for name in names}


def zeroed(cuda: CudaDevice, spec: ArraySpec) -> npt.NDArray[Any]:
    """A pinned array of zeros.

    Raises:
        BackendError: there is not enough memory for it.
    """
    array = cuda.pinned(*spec)
    array[...] = np.zeros((), spec.dtype)
    return array
