"""The C library's handling of free memory."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_ARENAS = 2
_LARGEST_INT = 2**31 - 1


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


def keep_freed_blocks() -> bool:
    """Makes glibc keep freed blocks for the next step, instead of mapping (and zeroing) them anew each time.

    A training step allocates and frees gigabytes; without this a fifth of its time on a CPU is page faults.

    Returns:
        Whether the C library took the settings; another one than glibc keeps its own ways.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
