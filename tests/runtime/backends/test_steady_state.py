"""Nothing is allocated for a frame: what it leaves in Python's and NumPy's memory is a few small objects."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg import Segmenter
from edgeseg.runtime.backends import backend_class

SIZE_HW = (360, 480)
FRAMES = 50
MOST_BYTES = 64 << 10
"""Of a frame of 2.7 MB, a network's input of 0.5 MB, logits of 65 kB and a class map of 0.9 MB."""


@pytest.mark.parametrize(
    ("backend", "device"), [("onnxruntime", "cpu"), ("openvino", "cpu"), ("openvino", "cpu-f32")]
)
def test_a_segmenter_allocates_nothing_for_a_frame(
    make_bundle: Callable[..., Path], backend: str, device: str
) -> None:
    if reason := backend_class(backend).why_unavailable(device):
        pytest.skip(reason)
    frame = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (720, 1280, 3), np.uint8)
    with Segmenter(make_bundle("real", stride=8, size_hw=SIZE_HW), backend=backend, device=device) as seg:
        for _ in range(10):
            result = seg(frame)
        assert result.classes.shape == (720, 1280)
        tracemalloc.start()
        try:
            seg(frame)
            at_first = tracemalloc.get_traced_memory()[0]
            peaks = []
            for _ in range(FRAMES):
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                result = seg(frame)
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
            at_last = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert max(peaks) < MOST_BYTES
    # The interpreter's own free lists fill by some kB; one class map would be 922 kB.
    assert at_last - at_first < MOST_BYTES
