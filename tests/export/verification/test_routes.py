"""Steps and routes: what storing a tensor costs, and what a reader gets."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.export.verification.routes import MatchedGraphs, half_spacing
from onnx import TensorProto, helper, numpy_helper

VALUES = np.array([[-4.0, -0.26, 0.0], [0.24, 1.0, 130.0]], np.float32)


def test_the_spacing_of_float16() -> None:
    value = np.concatenate([np.geomspace(1e-9, 6e4, 400), -np.geomspace(1e-9, 6e4, 400), [0.0]])
    rounded = value.astype(np.float16)
    assert np.array_equal(half_spacing(rounded), np.abs(np.spacing(rounded)).astype(np.float64))
    # NumPy's own is infinite there: the next number would be.
    assert half_spacing(np.array([65504.0]))[0] == 32


def matched(scale: list[float], zero: np.ndarray, **axis: int) -> MatchedGraphs:
    """FP32 with one operator, and the same behind Q/DQ."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    relu = helper.make_node("Relu", ["x"], ["y"], name="Relu")
    plain = helper.make_graph([relu], "plain", [value], [result])
    numbers = np.array(scale if axis else scale[0], np.float32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q", **axis),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="DQ", **axis),
        helper.make_node("Relu", ["d"], ["y"], name="Relu"),
    ]
    constants = [numpy_helper.from_array(numbers, "s"), numpy_helper.from_array(zero, "z")]
    other = helper.make_graph(nodes, "other", [value], [result], constants)
    opset = [helper.make_opsetid("", 18)]
    return MatchedGraphs(
        helper.make_model(plain, opset_imports=opset, ir_version=8),
        helper.make_model(other, opset_imports=opset, ir_version=8),
    )


def test_a_symmetric_range() -> None:
    (route,) = matched([0.5], np.array(0, np.int8)).ranges("x")
    assert route.quantizes
    assert route.source == "x"
    np.testing.assert_array_equal(route(VALUES), [[-4, -0.5, 0], [0, 1, 63.5]])
    np.testing.assert_array_equal(route.steps(VALUES), np.full(VALUES.shape, 0.5))
    assert route.step_power(VALUES) == pytest.approx(6 * 0.25 / 12)
    assert route.outside(VALUES) == 1


def test_an_unsigned_range_with_a_zero_point() -> None:
    (route,) = matched([0.5], np.array(4, np.uint8)).ranges("x")
    # 4 steps below zero, 251 above: -4 and 130 lie outside.
    np.testing.assert_array_equal(route(VALUES), [[-2, -0.5, 0], [0, 1, 125.5]])
    assert route.outside(VALUES) == 2


def test_a_range_for_each_channel() -> None:
    (route,) = matched([0.5, 1.0, 2.0], np.zeros(3, np.int8), axis=1).ranges("x")
    np.testing.assert_array_equal(route.steps(VALUES), [[0.5, 1, 2], [0.5, 1, 2]])
    assert route.outside(VALUES) == 0
    assert route.outside(np.array([[64.0, 64, 64], [-65, -65, -65]], np.float32)) == 2


def test_a_tensor_that_is_not_quantized_has_no_range() -> None:
    assert matched([0.5], np.array(0, np.int8)).ranges("y") == ()
