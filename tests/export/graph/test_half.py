"""Float16 is one pass over the float32 graph: what it rounds, what it leaves, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from edgeseg.core.errors import ModelError
from edgeseg.export.graph.half import QUANTIZED_OPSET, to_half
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle
from onnx import TensorProto, helper, numpy_helper

SIZE_HW = (64, 96)


@pytest.fixture(scope="module")
def lraspp() -> onnx.ModelProto:
    """The graph with global means, a resize and gates."""
    checkpoint = resolve_weights("lraspp", "random", 5, {})
    return export_graph(checkpoint.build(), checkpoint.info, SIZE_HW)


def plain(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The nodes that are no cast."""
    return {node.name: node for node in model.graph.node if node.op_type != "Cast"}


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor, as the standard's own inference sees it."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {value.name: value.type.tensor_type.elem_type for value in values} | {
        item.name: item.data_type for item in inferred.initializer
    }


def test_names_stay_and_the_right_tensors_are_float16(lraspp: onnx.ModelProto) -> None:
    half = to_half(lraspp)
    before, after = plain(lraspp), plain(half)
    assert list(after) == list(before)
    assert {i.name for i in half.graph.initializer} == {i.name for i in lraspp.graph.initializer}
    kind = kinds(half)
    assert kind["frame"] == TensorProto.UINT8
    assert kind["Sub_2"] == kind["mean"] == kind["logits"] == TensorProto.FLOAT
    for node in after.values():
        wide = node.op_type in ("ReduceMean", "Transpose", "Sub")
        expected = TensorProto.FLOAT if wide else TensorProto.FLOAT16
        # The scales of a Resize are float32 by its schema, whatever it resizes.
        read = node.input[:1] if node.op_type == "Resize" else node.input
        found = {kind[name] for name in (*read, *node.output) if name}
        assert found & {TensorProto.FLOAT, TensorProto.FLOAT16} <= {expected}, node.name


def test_casts_are_few_and_named_after_their_neighbour(lraspp: onnx.ModelProto) -> None:
    half = to_half(lraspp)
    casts = {node.name: node for node in half.graph.node if node.op_type == "Cast"}
    means = [node.name for node in half.graph.node if node.op_type == "ReduceMean"]
    assert len(means) == 9
    expected = {"Cast_0", "Cast_after_Sub_2", "Cast_before_logits"}
    expected |= {f"Cast_{side}_{mean}" for mean in means for side in ("before", "after")}
    assert set(casts) == expected
    written = {output for cast in casts.values() for output in cast.output}
    assert not [cast.name for cast in casts.values() if cast.input[0] in written], "no cast reads a cast"


def test_the_graph_given_is_left_as_it_was(lraspp: onnx.ModelProto) -> None:
    before = lraspp.SerializeToString(deterministic=True)
    to_half(lraspp)
    assert lraspp.SerializeToString(deterministic=True) == before


def test_a_sum_over_a_map_may_pass_65504() -> None:
    model = small_graph(
        [helper.make_node("ReduceMean", ["Sub", "axes"], ["logits"], name="Mean", keepdims=1)],
        {"axes": np.array([2, 3])},
    )
    half = to_half(model)
    frame = np.full((1, 8, 8, 3), 255, np.uint8)
    assert np.array_equal(run(half, frame), run(model, frame))
    # Float32 from the frame to the logits: nothing is left to cast.
    assert [node.name for node in half.graph.node if node.op_type == "Cast"] == ["Cast"]


def test_a_weight_beyond_float16_is_refused_by_its_name() -> None:
    message = r"head\.weight holds 7e[+]04, and float16 ends at 65504; deploy it in fp32"
    with pytest.raises(ModelError, match=message):
        to_half(convolution(7e4))
    assert to_half(convolution(65504)) is not None
    with pytest.raises(ModelError, match=r"head\.weight holds values that are not finite"):
        to_half(convolution(float("nan")))


def test_an_operator_that_the_opset_does_not_know_is_refused() -> None:
    model = small_graph(
        [helper.make_node("Gelu", ["Sub"], ["logits"], name="Gelu_3", domain="com.example")], {}
    )
    with pytest.raises(ModelError, match=r"Gelu_3 is com.example's Gelu, which opset 18 does not know"):
        to_half(model)


def test_weights_that_are_subnormal_in_float16_pass() -> None:
    frame = np.full((1, 8, 8, 3), 255, np.uint8)
    expected = run(convolution(1e-6), frame)
    # 1e-6 is 16.8 times float16's smallest step: half a step is 3 %.
    np.testing.assert_allclose(run(to_half(convolution(1e-6)), frame), expected, rtol=0.03)


def test_a_quantized_graph_gets_float16_scales() -> None:
    model = quantized(0.125)
    half = to_half(model)
    assert half.opset_import[0].version == QUANTIZED_OPSET
    assert model.opset_import[0].version == 18
    kind = kinds(half)
    assert kind["scale"] == kind["dequantized"] == kind["head.scale"] == TensorProto.FLOAT16
    assert kind["zero"] == kind["quantized"] == kind["head.weight"] == TensorProto.INT8
    onnx.checker.check_model(half, full_check=True)
    frame = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    # Every value of this graph is a multiple of 1/32 below 64: float16 holds them all.
    assert np.array_equal(run(half, frame), run(model, frame))


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (1e-9, "the scale scale of Quantize is 1e-09, which float16 rounds to 0; calibrate again"),
        (1e6, "scale holds 1e[+]06, and float16 ends at 65504"),
    ],
)
def test_a_scale_that_float16_loses_is_refused(scale: float, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_half(quantized(scale))


def test_the_file_of_a_bundle_is_the_pass_over_the_other(bundle: Bundle) -> None:
    graph = onnx.load(bundle.variant("fp32").path)
    content = to_half(graph).SerializeToString(deterministic=True)
    assert content == Path(bundle.variant("fp16").path).read_bytes()


def convolution(weight: float) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["Sub", "head.weight"], ["logits"], name="Conv")
    return small_graph([node], {"head.weight": np.full((2, 3, 1, 1), weight, np.float32)})


def quantized(scale: float) -> onnx.ModelProto:
    nodes = [
        helper.make_node("QuantizeLinear", ["Sub", "scale", "zero"], ["quantized"], name="Quantize"),
        helper.make_node(
            "DequantizeLinear", ["quantized", "scale", "zero"], ["dequantized"], name="Dequantize"
        ),
        helper.make_node(
            "DequantizeLinear", ["head.weight", "head.scale"], ["weight"], name="Weight", axis=0
        ),
        helper.make_node("Conv", ["dequantized", "weight"], ["logits"], name="Conv"),
    ]
    weights: dict[str, npt.NDArray[np.generic]] = {
        "scale": np.array(scale, np.float32),
        "zero": np.array(0, np.int8),
        "head.weight": np.array([[1, 2, 3], [-1, 0, 1]], np.int8).reshape(2, 3, 1, 1),
        "head.scale": np.array([0.5, 0.25], np.float32),
    }
    return small_graph(nodes, weights)


def small_graph(nodes: list[onnx.NodeProto], weights: dict[str, npt.NDArray[np.generic]]) -> onnx.ModelProto:
    """A frame less its mean, and what follows."""
    stem = [
        helper.make_node("Cast", ["frame"], ["Cast"], name="Cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["Cast"], ["Transpose"], name="Transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["Transpose", "mean"], ["Sub"], name="Sub"),
    ]
    weights = {"mean": np.array([123.675, 116.28, 103.53], np.float32).reshape(1, 3, 1, 1), **weights}
    graph = helper.make_graph(
        [*stem, *nodes],
        "small",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", None, None, None])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model: onnx.ModelProto, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"frame": frame})
    assert isinstance(logits, np.ndarray)
    return logits
