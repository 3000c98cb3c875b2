"""Memory that the process has freed, given back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Lets the C library return what is free; where it cannot, as outside of glibc, nothing is done.

    A large thing that is freed and made again, such as a network, otherwise leaves holes behind that add up.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
