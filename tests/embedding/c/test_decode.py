"""The C library decodes to Python's class maps: the kernel is the same, and so are the axes it reads."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.runtime.decode import in_numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...support.c_library import Pieces

sides = st.tuples(st.integers(1, 40), st.integers(1, 40))
pixels = st.tuples(st.integers(1, 300), st.integers(1, 300))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 30), sides, pixels, st.integers(0, 2**32 - 1), st.booleans())
def test_it_is_numpys_bit_for_bit(
    pieces: Pieces,
    classes: int,
    coarse_hw: tuple[int, int],
    size_hw: tuple[int, int],
    seed: int,
    levels: bool,
) -> None:
    logits = np.random.default_rng(seed).normal(size=(classes, *coarse_hw)).astype(np.float32)
    if levels:  # many ties
        logits = np.round(logits)
    np.testing.assert_array_equal(pieces.decode(logits, size_hw), in_numpy.decode(logits, size_hw))


@pytest.mark.parametrize("size_hw", [(64, 64), (1080, 1920), (1, 5000), (333, 777)], ids=str)
def test_frames_of_usual_sizes(pieces: Pieces, size_hw: tuple[int, int]) -> None:
    logits = np.random.default_rng(5).normal(size=(8, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(pieces.decode(logits, size_hw), in_numpy.decode(logits, size_hw))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told(pieces: Pieces, value: float) -> None:
    logits = np.zeros((3, 5, 7), np.float32)
    assert pieces.decode(logits, (20, 20)) is not None
    logits[1, 2, 3] = value
    assert pieces.decode(logits, (20, 20)) is None
