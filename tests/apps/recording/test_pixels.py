from __future__ import annotations

import numpy as np
import pytest
from edgeseg.apps.recording.pixels import pack, unpack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
)


@given(arrays.arrays(np.uint8, SHAPES))
def test_every_bit_comes_back(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(unpack(pack(pixels), pixels.shape), pixels)


def test_views_too() -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (40, 60, 3), np.uint8)
    for view in (pixels[::2, ::3], pixels[:, ::-1], pixels[..., 1]):
        np.testing.assert_array_equal(unpack(pack(view), view.shape), view)


@pytest.mark.parametrize("shape", [(3, 5, 3), (4, 5), (4, 4, 3), (400, 5, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="bytes or more where"):
        unpack(pack(np.zeros((4, 5, 3), np.uint8)), shape)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be inflated"):
        unpack(b"nonsense", (4, 5, 3))
    with pytest.raises(ValueError, match=r"holds 21 bytes or more where 20 belong"):
        unpack(pack(np.zeros((4, 5, 3), np.uint8)), (4, 5))
