"""Keeping the C library from handing every large tensor back to the kernel."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_INT = 2**31 - 1


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
