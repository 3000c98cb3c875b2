"""The C library's resize gives OpenCV's bytes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from edgeseg.core.arrays import Frame
from edgeseg.runtime.preprocess import Preprocessor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...support.c_library import Pieces

SIZES = [
    (480, 640), (720, 1280), (1080, 1920), (513, 511), (511, 513), (1024, 1024), (512, 512), (256, 256), (1024, 512),
    (512, 1024), (1023, 1024), (1024, 1023), (2048, 2048), (100, 77), (1, 1), (2, 3), (1, 2000), (3000, 1), (721, 1281),
]  # fmt: skip
INPUTS = [(512, 512), (360, 480), (257, 129)]


def frames(size_hw: tuple[int, int]) -> list[Frame]:
    """Noise, where every rounding shows; and the extremes, where a sum would overflow."""
    generator = np.random.default_rng(sum(size_hw))
    noise = generator.integers(0, 256, (*size_hw, 3), np.uint8)
    return [noise, np.where(noise > 127, 255, 0).astype(np.uint8), np.full_like(noise, 255)]


@pytest.mark.parametrize("input_hw", INPUTS, ids=str)
def test_it_is_opencvs_bit_for_bit(pieces: Pieces, input_hw: tuple[int, int]) -> None:
    prepare = Preprocessor(input_hw)
    for size_hw in SIZES:
        for frame_bgr in frames(size_hw):
            np.testing.assert_array_equal(
                pieces.resize(frame_bgr, input_hw), prepare(frame_bgr)[0], str(size_hw)
            )


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(*[st.integers(1, 300)] * 2), st.tuples(*[st.integers(1, 300)] * 2), st.integers(0, 2**32 - 1)
)
def test_it_is_opencvs_at_any_size(
    pieces: Pieces, size_hw: tuple[int, int], input_hw: tuple[int, int], seed: int
) -> None:
    frame_bgr = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    np.testing.assert_array_equal(pieces.resize(frame_bgr, input_hw), Preprocessor(input_hw)(frame_bgr)[0])


def test_rows_may_have_a_gap(pieces: Pieces) -> None:
    """A part of a frame is a frame, and what lies beside it is not looked at."""
    whole = np.random.default_rng(3).integers(0, 256, (90, 130, 3), np.uint8)
    part = whole[11:70, 20:101]
    for input_hw in ((32, 48), part.shape[:2]):
        expected = cv2.resize(part, input_hw[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(pieces.resize(part, input_hw), expected)


def test_half_the_size_is_the_mean_of_four(pieces: Pieces) -> None:
    frame_bgr = np.random.default_rng(4).integers(0, 256, (64, 96, 3), np.uint8)
    mean = frame_bgr.reshape(32, 2, 48, 2, 3).astype(int).sum(axis=(1, 3))
    np.testing.assert_array_equal(pieces.resize(frame_bgr, (32, 48)), (mean + 2) // 4)
