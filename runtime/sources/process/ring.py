"""Frames in memory that two processes share. It has no name, so nothing is left behind when either ends."""

from __future__ import annotations

import fcntl
import mmap
import os

import numpy as np
import numpy.typing as npt

SLOTS = 3
"""One slot that is written, the newest, and one that is read."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Ring:
    """Slots for frames of one shape.

    Attributes:
        shape: of a frame: height, width, 3.
        slots: uint8 [H, W, 3], :data:`SLOTS` of them; a reader cannot write to them.
    """

    def __init__(self, shape: tuple[int, int, int], memory: mmap.mmap) -> None:
        self.shape = shape
        size = _bytes_of(shape)
        self.slots: list[npt.NDArray[np.uint8]] = [
            np.frombuffer(memory, np.uint8, size, number * size).reshape(shape) for number in range(SLOTS)
        ]

    @classmethod
    def create(cls, shape: tuple[int, int, int]) -> tuple[Ring, int]:
        """Makes a ring. Returns it and its file descriptor, which the caller closes after sending it."""
        fd = os.memfd_create("edgeseg-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, SLOTS * _bytes_of(shape))
            # If the memory could shrink, SIGBUS would end a reader.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            return cls(shape, mmap.mmap(fd, SLOTS * _bytes_of(shape))), fd
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, shape: tuple[int, int, int], fd: int) -> Ring:
        """Opens the ring of a file descriptor for reading.

        Raises:
            ValueError: it is too small for such frames, or could become so.
        """
        size = SLOTS * _bytes_of(shape)
        if os.fstat(fd).st_size < size or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise ValueError("the shared memory is too small or not sealed")
        return cls(shape, mmap.mmap(fd, size, prot=mmap.PROT_READ))


def _bytes_of(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
