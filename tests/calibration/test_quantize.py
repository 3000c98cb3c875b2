"""The Q/DQ graphs: what is in them, what ONNX Runtime and TensorRT make of them, and what they compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeseg.calibration.graph import INPUT, LOGITS, Graph
from edgeseg.calibration.placement import TARGETS, candidates, quantized_tensors
from edgeseg.calibration.quantize import quantize
from edgeseg.calibration.session import UNWANTED, open_session
from edgeseg.core.errors import DataError
from edgeseg.export.graph.half import to_half
from edgeseg.runtime.tensorrt.builder import BuildRequest, build_engine
from edgeseg.runtime.tensorrt.module import find_tensorrt
from edgeseg.runtime.tensorrt.options import BuildOptions
from onnx import TensorProto, numpy_helper

from .conftest import SIZE_HW, Weights, build, nodes, with_relu

Ranges = Mapping[str, Mapping[str, tuple[float, float]]]


class Reader:
    """Looks into a model by name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = {node.name: node for node in model.graph.node}
        self.producers = {output: node for node in model.graph.node for output in node.output}
        self.values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}

    def pairs(self) -> list[str]:
        """The tensors with a Q, in the graph's order."""
        return [node.input[0] for node in self.nodes.values() if node.op_type == "QuantizeLinear"]

    def dequantized(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """The inputs of a constant's DQ: stored values, scale, zero point, axis."""
        node = self.producers[name]
        assert node.op_type == "DequantizeLinear"
        (axis,) = (item.i for item in node.attribute if item.name == "axis")
        return *(self.values[name] for name in node.input), axis


def run(model: onnx.ModelProto, frame: np.ndarray, *, fuse: bool = False) -> np.ndarray:
    return open_session(model, fuse_quantized=fuse).run([LOGITS], {INPUT: frame})[0]


def fused(weights: Weights) -> Graph:
    """The network with a ReLU behind its depthwise convolution, so that TensorRT's form quantizes that too."""
    return Graph(build(weights, operators=with_relu()))


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - wanted).sum() / np.square(wanted).sum()))


@pytest.mark.parametrize("target", TARGETS)
class TestEitherTarget:
    def test_it_is_valid_and_keeps_every_name(
        self, graph: Graph, ranges: Ranges, target: str, frame: np.ndarray
    ) -> None:
        before = graph.model.SerializeToString()
        model = quantize(graph, ranges["minmax"], target)
        onnx.checker.check_model(model, full_check=True)
        reader = Reader(model)
        assert {node.name for node in graph.nodes} <= set(reader.nodes)
        assert set(graph.producers) <= set(reader.producers)
        assert reader.pairs() == list(quantized_tensors(graph, target, candidates(graph, target)))
        assert graph.model.SerializeToString() == before
        assert run(model, frame).shape == (2, 3, 16, 24)

    def test_it_computes_nearly_the_same(
        self,
        graph: Graph,
        ranges: Ranges,
        target: str,
        frame: np.ndarray,
        wants_exact_sums: Callable[[str], None],
    ) -> None:
        wants_exact_sums(target)
        found = run(quantize(graph, ranges["minmax"], target), frame, fuse=target == "cpu")
        error = relative_error(found, run(graph.model, frame))
        # Some six roundings of about 1 % of the root mean square each; a wrong axis or scale gives far more.
        assert 1e-3 < error < 0.05

    def test_with_everything_in_float_it_is_the_float_graph(
        self, graph: Graph, ranges: Ranges, target: str, frame: np.ndarray
    ) -> None:
        model = quantize(graph, ranges["minmax"], target, candidates(graph, target))
        assert Reader(model).pairs() == []
        np.testing.assert_array_equal(run(model, frame), run(graph.model, frame))
        assert Graph(model).sha256 == graph.sha256

    def test_what_is_left_out_keeps_its_float_weights(
        self, graph: Graph, ranges: Ranges, target: str
    ) -> None:
        node = Reader(quantize(graph, ranges["minmax"], target, ["point"])).nodes["point"]
        assert list(node.input[1:]) == ["point.weight", "point.bias"]

    def test_no_constant_is_left_that_nobody_reads(self, graph: Graph, ranges: Ranges, target: str) -> None:
        model = quantize(graph, ranges["minmax"], target)
        read = {name for node in model.graph.node for name in node.input}
        assert {item.name for item in model.graph.initializer} <= read
        assert "stem.weight" not in read

    def test_gates_stay_in_float(self, graph: Graph, ranges: Ranges, target: str) -> None:
        reader = Reader(quantize(graph, ranges["minmax"], target))
        for name in ("squeeze", "excite"):
            assert list(reader.nodes[name].input[1:]) == [f"{name}.weight", f"{name}.bias"]

    def test_a_missing_range(self, graph: Graph, ranges: Ranges, target: str) -> None:
        fewer = {name: pair for name, pair in ranges["minmax"].items() if name != "d"}
        with pytest.raises(DataError, match="there is no range for d; calibrate this graph again"):
            quantize(graph, fewer, target)

    def test_an_unknown_exclusion(self, graph: Graph, ranges: Ranges, target: str) -> None:
        with pytest.raises(DataError, match=r"names Conv_99, which the graph does not have; .*stem, depth"):
            quantize(graph, ranges["minmax"], target, ["Conv_99"])

    def test_a_bias_that_is_moved(self, graph: Graph, ranges: Ranges, target: str, frame: np.ndarray) -> None:
        shift = np.linspace(-0.2, 0.3, 12).astype(np.float32)
        plain, moved = (
            open_session(with_output(quantize(graph, ranges["minmax"], target, (), shifts), "f"))
            for shifts in (None, {"deep": shift})
        )
        difference = moved.run(None, {INPUT: frame})[0] - plain.run(None, {INPUT: frame})[0]
        # The stored bias of the cpu form is rounded to its steps, about 1e-4 here.
        np.testing.assert_allclose(difference.mean((0, 2, 3)), shift, atol=1e-3)

    def test_convolutions_may_share_a_bias(
        self, weights: Weights, ranges: Ranges, target: str, frame: np.ndarray
    ) -> None:
        operators = nodes()
        for node in operators:
            if node.name == "point":
                node.input[2] = "depth.bias"
        shared = Graph(build({k: v for k, v in weights.items() if k != "point.bias"}, operators=operators))
        shifts = {"point": np.full(8, 0.25, np.float32)}
        session = open_session(
            with_output(quantize(shared, ranges["minmax"], target, (), shifts), "d", "p"),
            fuse_quantized=False,
        )
        depth, point = (x.mean((0, 2, 3)) for x in session.run(None, {INPUT: frame}))
        wanted = open_session(with_output(shared.model, "d", "p")).run(None, {INPUT: frame})
        np.testing.assert_allclose(depth, wanted[0].mean((0, 2, 3)), atol=0.05)
        np.testing.assert_allclose(point, wanted[1].mean((0, 2, 3)) + 0.25, atol=0.05)


class TestTensorRT:
    def test_signed_and_symmetric_with_scales_that_float16_holds(self, graph: Graph, ranges: Ranges) -> None:
        reader = Reader(quantize(graph, ranges["minmax"], "tensorrt"))
        for name, values in reader.values.items():
            if name.endswith("_zero_point"):
                assert values.dtype == np.int8, name
                assert not values.any(), name
            if name.endswith("_scale"):
                np.testing.assert_array_equal(values.astype(np.float16).astype(np.float32), values, name)
        assert reader.values["d_scale"].shape == ()

    @pytest.mark.parametrize(("name", "axis", "channels"), [("deep", 0, 12), ("up", 1, 8), ("depth", 0, 8)])
    def test_weights_have_a_scale_for_each_output_channel(
        self, ranges: Ranges, weights: Weights, name: str, axis: int, channels: int
    ) -> None:
        reader = Reader(quantize(fused(weights), ranges["minmax"], "tensorrt"))
        stored, scale, zero_point, found = reader.dequantized(reader.nodes[name].input[1])
        assert found == axis
        assert scale.shape == zero_point.shape == (channels,)
        shape = [-1 if i == axis else 1 for i in range(4)]
        error = np.abs(stored * scale.reshape(shape) - weights[f"{name}.weight"])
        assert (error <= scale.reshape(shape) * 0.5001).all()

    def test_biases_stay_in_float(self, graph: Graph, ranges: Ranges) -> None:
        reader = Reader(quantize(graph, ranges["minmax"], "tensorrt"))
        for name in candidates(graph, "tensorrt"):
            assert reader.nodes[name].input[2] == f"{name}.bias"

    def test_one_branch_of_the_addition_is_quantized(self, weights: Weights, ranges: Ranges) -> None:
        reader = Reader(quantize(fused(weights), ranges["minmax"], "tensorrt"))
        assert list(reader.nodes["Add_7"].input) == ["p", "r_DQ"]

    def test_in_float16_tensorrt_builds_it(self, graph: Graph, ranges: Ranges, tmp_path: Path) -> None:
        half = to_half(quantize(graph, ranges["minmax"], "tensorrt"))
        onnx.checker.check_model(half, full_check=True)
        kinds = {item.name: item.data_type for item in half.graph.initializer}
        assert kinds["deep.weight_scale"] == TensorProto.FLOAT16
        assert kinds["deep.weight_Q"] == TensorProto.INT8
        pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
        path = tmp_path / "int8.onnx"
        onnx.save(half, path)
        warnings: list[str] = []
        engine = build_engine(
            find_tensorrt("tensorrt_rtx"),
            BuildRequest(path, SIZE_HW, BuildOptions(batch=(1, 4))),
            on_warning=warnings.append,
        )
        assert [line for line in warnings if "scales to fp32" not in line] == []
        assert len(engine) > 1000

    def test_in_float16_it_computes_nearly_the_same(
        self, graph: Graph, ranges: Ranges, frame: np.ndarray
    ) -> None:
        model = quantize(graph, ranges["minmax"], "tensorrt")
        # A value that float16 rounds to the other side of a step's edge moves by a whole step: there are few.
        assert relative_error(run(to_half(model), frame), run(model, frame)) < 0.01


class TestCpu:
    def test_unsigned_activations(self, graph: Graph, ranges: Ranges) -> None:
        reader = Reader(quantize(graph, ranges["minmax"], "cpu"))
        assert {reader.values[f"{name}_zero_point"].dtype for name in reader.pairs()} == {np.dtype(np.uint8)}
        assert reader.values["sub_zero_point"] > 0  # negative values too
        assert reader.values["r_zero_point"] == 0  # behind its ReLU

    def test_biases_are_stored_at_the_product_of_both_scales(
        self, graph: Graph, ranges: Ranges, weights: Weights
    ) -> None:
        reader = Reader(quantize(graph, ranges["minmax"], "cpu"))
        for node in graph.nodes:
            if node.name not in candidates(graph, "cpu"):
                continue
            stored, scale, zero_point, axis = reader.dequantized(reader.nodes[node.name].input[2])
            weight_scale = reader.dequantized(reader.nodes[node.name].input[1])[1]
            assert stored.dtype == zero_point.dtype == np.int32
            assert axis == 0
            assert not zero_point.any()
            np.testing.assert_array_equal(scale, weight_scale * reader.values[f"{node.input[0]}_scale"])
            np.testing.assert_allclose(stored * scale, weights[node.input[2]], atol=scale.max())

    def test_pooling_keeps_its_inputs_step(self, weights: Weights, ranges: Ranges) -> None:
        operators = nodes()
        for node in operators:
            if node.name == "MaxPool_14":
                node.input[0] = "a"
        graph = Graph(build(weights, operators=operators))
        reader = Reader(quantize(graph, ranges["minmax"], "cpu"))
        assert reader.values["o_scale"] == reader.values["a_scale"]
        assert reader.values["o_zero_point"] == reader.values["a_zero_point"]

    def test_the_logits_and_transposed_convolutions_stay_in_float(self, graph: Graph, ranges: Ranges) -> None:
        reader = Reader(quantize(graph, ranges["minmax"], "cpu"))
        assert reader.producers[LOGITS].op_type == "Conv"
        assert list(reader.nodes["up"].input[1:]) == ["up.weight", "up.bias"]

    @pytest.mark.parametrize("excluded", [(), ("depth",), ("point",), ("stem", "deep")])
    def test_onnx_runtime_runs_just_what_is_quantized_in_int8(
        self, graph: Graph, ranges: Ranges, tmp_path: Path, excluded: tuple[str, ...]
    ) -> None:
        """A convolution in float between Q/DQ pairs is one that ONNX Runtime would quantize by itself, and worse."""
        model = optimized(quantize(graph, ranges["minmax"], "cpu", excluded), tmp_path / "optimized.onnx")
        kinds = [node.op_type for node in model.graph.node]
        inside = [name for name in candidates(graph, "cpu") if name not in excluded]
        assert kinds.count("QLinearConv") == len(inside)
        assert kinds.count("Conv") == 2 + 1 + len(excluded)  # the gates, and the one that writes the logits
        assert kinds.count("ConvTranspose") == 1
        left = {item.name for item in model.graph.initializer if item.data_type == TensorProto.INT8}
        assert not any("up" in name for name in left)

    def test_a_channel_of_next_to_no_weights_keeps_its_bias(
        self, weights: Weights, ranges: Ranges, frame: np.ndarray
    ) -> None:
        """A channel that training has switched off: almost no weights are left, and its bias does all the work."""
        faint, bias = weights["point.weight"].copy(), weights["point.bias"].copy()
        faint[2], bias[2] = 1e-12, 40.0
        graph = Graph(build({**weights, "point.weight": faint, "point.bias": bias}))
        wide = {**ranges["minmax"], "p": (-5.0, 45.0), "a": (-5.0, 50.0)}
        session = open_session(with_output(quantize(graph, wide, "cpu"), "p"))
        found = session.run(None, {INPUT: frame})[0][:, 2]
        np.testing.assert_allclose(found, 40.0, rtol=1e-3)


def with_output(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """A copy that gives tensors in place of the logits."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def optimized(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Returns the graph that ONNX Runtime makes of a model with edgeseg's options."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=UNWANTED
    )
    return onnx.load(path)
