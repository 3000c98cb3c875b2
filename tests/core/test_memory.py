from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.memory import give_back


def resident_mb() -> float:
    match = re.search(r"^VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    assert match is not None
    return int(match[1]) / 1024


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library cannot give memory back"
)
def test_what_is_free_goes_back_to_the_system() -> None:
    # Small enough to come from the heap, and every second one kept, so that the heap's end does not fall by itself.
    held = [np.ones(6000) for _ in range(4000)]
    del held[::2]
    held = held[-1:]
    before = resident_mb()
    give_back()
    assert resident_mb() < before - 20
    assert held[0].sum() == 6000
