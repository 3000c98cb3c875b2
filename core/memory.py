"""What the C library does with memory that is free."""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX, _ARENAS = -8, 2


def give_back() -> None:
    """Lets the C library return what is free; where it cannot, as outside of glibc, nothing is done.

    A large thing that is freed and made again, such as a network, otherwise leaves holes behind that add up.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def share_arenas() -> None:
    """Lets the threads share two pools of memory, where glibc would give each its own, of which every one keeps some.

    A steady run allocates nothing that they could wait for each other with. What the environment says stays.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None and "MALLOC_ARENA_MAX" not in os.environ:
        choose(_M_ARENA_MAX, _ARENAS)
