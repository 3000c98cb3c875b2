"""Steps: what a value may lose by being stored in 8 bits, and what may lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.calibration.quantize import Step, activation_step, weight_step
from hypothesis import given
from hypothesis import strategies as st

TARGETS = ("tensorrt", "cpu")
ROUNDING = 1 + 1e-5
"""The step itself and the product with it are rounded to float32."""

bounds = st.floats(2**-13, 2**13, width=32)
ranges = st.one_of(
    st.tuples(bounds.map(lambda v: -v), bounds),
    st.tuples(st.just(0.0), bounds),
    st.tuples(bounds.map(lambda v: -v), st.just(0.0)),
)


def round_trip(values: np.ndarray, step: Step) -> np.ndarray:
    """QuantizeLinear and DequantizeLinear, as the standard has them."""
    limits = np.iinfo(step.zero_point.dtype)
    stored = np.rint(values / step.scale) + step.zero_point.astype(np.float64)
    return (np.clip(stored, limits.min, limits.max) - step.zero_point) * step.scale


@pytest.mark.parametrize("target", TARGETS)
@given(value_range=ranges, share=st.floats(0, 1))
def test_inside_its_range_a_value_moves_by_half_a_step(
    target: str, value_range: tuple[float, float], share: float
) -> None:
    step = activation_step(value_range, target)
    low, high = value_range
    value = np.float64(low + share * (high - low))
    assert abs(round_trip(value, step) - value) <= step.scale / 2 * ROUNDING
    assert round_trip(np.float64(0), step) == 0


@pytest.mark.parametrize("target", TARGETS)
@given(value_range=ranges)
def test_no_step_is_wider_than_8_bits_need(target: str, value_range: tuple[float, float]) -> None:
    low, high = value_range
    needed = (high - low) / 255 if target == "cpu" else max(-low, high) / 127
    scale = float(activation_step(value_range, target).scale)
    # float16 has 11 bits: rounding up to it costs one part in 1024, or its least step.
    assert needed / ROUNDING <= scale <= needed * (1 + 2**-10) + 2**-24


@given(value_range=ranges)
def test_tensorrt_is_symmetric_and_its_scale_is_a_float16(value_range: tuple[float, float]) -> None:
    step = activation_step(value_range, "tensorrt")
    assert step.zero_point.dtype == np.int8
    assert step.zero_point == 0
    assert np.float32(np.float16(step.scale)) == step.scale


def test_the_cpu_spends_all_of_8_bits_on_what_there_is() -> None:
    after_relu = activation_step((0.0, 5.1), "cpu")
    assert after_relu.zero_point.dtype == np.uint8
    assert after_relu.zero_point == 0
    assert after_relu.scale == np.float32(5.1 / 255)
    assert activation_step((-1.0, 1.0), "cpu").zero_point in (127, 128)
    assert activation_step((-2.0, 0.0), "cpu").zero_point == 255


@pytest.mark.parametrize("target", TARGETS)
def test_a_tensor_that_is_always_zero(target: str) -> None:
    step = activation_step((0.0, 0.0), target)
    assert step.scale > 0
    assert np.isfinite(step.scale)
    assert round_trip(np.zeros(3), step).tolist() == [0, 0, 0]


@pytest.mark.parametrize("target", TARGETS)
def test_a_range_that_leaves_zero_out_is_widened_to_it(target: str) -> None:
    assert round_trip(np.float64(0), activation_step((2.0, 4.0), target)) == 0
    assert abs(round_trip(np.float64(4.0), activation_step((2.0, 4.0), target)) - 4.0) < 0.02


@given(seed=st.integers(0, 10**6), axis=st.sampled_from([0, 1]), magnitude=st.floats(1e-3, 1e3))
def test_weights_move_by_half_their_channels_step(seed: int, axis: int, magnitude: float) -> None:
    random = np.random.default_rng(seed)
    weight = (random.standard_normal((4, 5, 3, 3)) * magnitude).astype(np.float32)
    weight[(slice(None),) * axis + (2,)] = 0  # a channel that is off
    weight[(slice(None),) * axis + (1,)] *= 1e-3
    step = weight_step(weight, axis)
    assert step.scale.shape == step.zero_point.shape == (weight.shape[axis],)
    assert step.zero_point.dtype == np.int8
    assert not step.zero_point.any()
    np.testing.assert_array_equal(step.scale.astype(np.float16).astype(np.float32), step.scale)
    shape = [-1 if i == axis else 1 for i in range(4)]
    back = round_trip(weight, Step(step.scale.reshape(shape), step.zero_point.reshape(shape)))
    assert (np.abs(back - weight) <= step.scale.reshape(shape) / 2 * ROUNDING).all()
    assert not back[(slice(None),) * axis + (2,)].any()
    stored = np.rint(weight / step.scale.reshape(shape))
    assert np.abs(stored).max() <= 127
