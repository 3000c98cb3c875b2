"""Constant scales in place of a computed size: the same values, and no arithmetic on shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeseg.export.graph.constant_scales import resize_scales, write_constant_scales
from edgeseg.runtime.tensorrt.messages import Messages, make_logger
from edgeseg.runtime.tensorrt.module import find_tensorrt, network_flags
from edgeseg.runtime.tensorrt.network import parse_onnx
from onnx import TensorProto, helper, numpy_helper

SIZES = {
    "twice": ((12, 16), (24, 32)),
    "from one pixel": ((1, 1), (6, 8)),
    "LRASPP at 360 x 480": ((23, 30), (45, 60)),
    "the scale is rounded up": ((7, 11), (10, 13)),
    "smaller": ((24, 33), (12, 11)),
}


def computed(
    before_hw: tuple[int, int], after_hw: tuple[int, int], *, side: int | str | None = None
) -> onnx.ModelProto:
    """A Resize as the exporter writes it, whose sizes are put together from the shape of ``x``."""
    height = before_hw[0] if side is None else side
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Shape", ["x"], ["front"], start=0, end=2),
                helper.make_node("Concat", ["front", "sides"], ["sizes"], axis=0),
                helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], "Resize_2", mode="linear"),
                helper.make_node("Relu", ["y"], ["z"]),
            ],
            "resize",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, height, before_hw[1]])],
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 4, None, None])],
            [numpy_helper.from_array(np.array(after_hw, np.int64), "sides")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("frames", [1, 3])
def test_onnx_runtime_computes_the_same(name: str, frames: int) -> None:
    before_hw, after_hw = SIZES[name]
    model = computed(before_hw, after_hw)
    x = np.random.default_rng(0).normal(size=(frames, 4, *before_hw)).astype(np.float32)
    wanted = run(model, x)
    write_constant_scales(model)
    onnx.checker.check_model(model, full_check=True)
    assert operators(model) == ["Resize", "Relu"]
    assert [item.name for item in model.graph.initializer] == ["y_scales"]
    found = run(model, x)
    assert found.shape == wanted.shape == (frames, 4, *after_hw)
    if name == "the scale is rounded up":
        # One unit in the last place of the scale, at positions up to 11.
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    else:
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("name", SIZES)
def test_tensorrt_reads_one_layer_of_the_same_size(name: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    trt = find_tensorrt("tensorrt_rtx").module
    before_hw, after_hw = SIZES[name]
    model = computed(before_hw, after_hw)
    write_constant_scales(model)
    messages = Messages()
    logger = make_logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    parse_onnx(trt, network, logger, messages, model.SerializeToString(), Path("resize.onnx"))
    kinds = [network.get_layer(i).type for i in range(network.num_layers)]
    assert kinds == [trt.LayerType.RESIZE, trt.LayerType.ACTIVATION]
    assert tuple(network.get_output(0).shape) == (-1, 4, *after_hw)


def test_whoever_multiplies_and_rounds_down_gets_the_size() -> None:
    wrong = [
        (before, after)
        for before in range(1, 160)
        for after in range(1, 161)
        for scale in [resize_scales((before, before), (after, after))[2]]
        if {int(float(scale) * before), int(scale * np.float32(before))} != {after}
    ]
    assert wrong == []


def test_whole_ratios_are_exact() -> None:
    scales = resize_scales((12, 16), (24, 128))
    assert scales.dtype == np.float32
    assert scales.tolist() == [1, 1, 2, 8]


def test_a_size_that_is_not_fixed_stays_computed() -> None:
    model = computed((12, 16), (24, 32), side="H")
    before = model.SerializeToString()
    write_constant_scales(model)
    assert model.SerializeToString() == before


def test_what_others_read_of_the_shape_stays() -> None:
    model = computed((12, 16), (24, 32))
    model.graph.output.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]))
    write_constant_scales(model)
    assert operators(model) == ["Shape", "Concat", "Resize", "Relu"]
    assert list(model.graph.node[2].input) == ["x", "", "y_scales"]
