"""The C library's handling of free memory."""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX, _ARENAS = -8, 2


def give_back() -> None:
    """Lets the C library return free memory to the system. Does nothing outside of glibc, which alone can do so.

    A large object that is freed and made again, such as a network, otherwise leaves holes that add up.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def share_arenas() -> None:
    """Lets the threads share two pools of memory. By default glibc gives each thread a pool, and each keeps some.

    In a steady run the threads do not wait for each other: they allocate nothing. A setting in the environment stays.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None and "MALLOC_ARENA_MAX" not in os.environ:
        choose(_M_ARENA_MAX, _ARENAS)
