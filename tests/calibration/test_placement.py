"""Which convolutions and which tensors are quantized, for each target: exact sets on a graph that has every case."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.placement import candidates, output_of, quantized_tensors
from edgeseg.core.errors import UsageError
from onnx import helper

from .conftest import Weights, build, nodes, with_relu


def test_tensorrt_runs_every_convolution_but_the_gates(weights: Weights) -> None:
    graph = Graph(build(weights, operators=with_relu()))
    everything = candidates(graph, "tensorrt")
    assert everything == ("stem", "depth", "point", "deep", "up", "score")
    # Of the addition p + r only r, which a convolution reads too: p fuses. Nothing in squeeze-and-excitation.
    assert quantized_tensors(graph, "tensorrt", everything) == ("sub", "r", "d", "o", "h", "k")


@pytest.mark.parametrize("follows", ["HardSwish", "Sigmoid", None])
def test_a_depthwise_convolution_without_a_relu_stays_in_float_for_tensorrt(
    weights: Weights, follows: str | None
) -> None:
    operators = nodes() if follows is None else with_relu()
    for node in operators:
        if node.name == "Relu_5":
            assert follows is not None
            node.op_type = follows
    graph = Graph(build(weights, operators=operators))
    everything = candidates(graph, "tensorrt")
    assert everything == ("stem", "point", "deep", "up", "score")
    # What it gives is quantized for the convolution behind it; what it reads is not.
    assert quantized_tensors(graph, "tensorrt", everything) == ("sub", "d", "o", "h", "k")
    assert "depth" in candidates(graph, "cpu")


def test_a_relu_beside_another_reader_is_not_fused(weights: Weights) -> None:
    operators = with_relu()
    (add,) = (node for node in operators if node.name == "Add_7")
    add.input[1] = "w"
    assert "depth" not in candidates(Graph(build(weights, operators=operators)), "tensorrt")


def test_the_cpu_has_no_transposed_convolution_and_none_that_ends_in_float(graph: Graph) -> None:
    assert candidates(graph, "cpu") == ("stem", "depth", "point", "deep")


def test_tensorrt_quantizes_nothing_for_what_stays_in_float(graph: Graph) -> None:
    assert quantized_tensors(graph, "tensorrt", ("point",)) == ("d",)
    assert quantized_tensors(graph, "tensorrt", ()) == ()


def test_the_cpu_quantizes_behind_each_convolution_and_what_lies_between(graph: Graph) -> None:
    everything = candidates(graph, "cpu")
    # The sum a is between quantized tensors; e and u, the gate's product and the transposed output, are not.
    assert quantized_tensors(graph, "cpu", everything) == ("sub", "r", "d", "p", "a", "o", "h")


def test_the_cpu_keeps_float_around_what_stays_in_float(graph: Graph) -> None:
    assert quantized_tensors(graph, "cpu", ("deep",)) == ("o", "h")
    assert quantized_tensors(graph, "cpu", ("stem", "depth")) == ("sub", "r", "d")
    assert quantized_tensors(graph, "cpu", ()) == ()


def test_the_cpu_writes_a_concatenation_in_8_bits_where_a_convolution_reads_it(weights: Weights) -> None:
    operators = nodes()
    (score,) = (node for node in operators if node.name == "score")
    score.output[0] = "coarse"
    operators.append(helper.make_node("Softplus", ["coarse"], ["logits"], "Softplus_20"))
    graph = Graph(build(weights, operators=operators))
    assert candidates(graph, "cpu")[-1] == "score"
    tensors = quantized_tensors(graph, "cpu", candidates(graph, "cpu"))
    assert tensors == ("sub", "r", "d", "p", "a", "e", "o", "h", "u", "k", "coarse")
    assert "logits" not in tensors


def test_the_kernel_writes_behind_its_relu(graph: Graph) -> None:
    by_name = {node.name: node for node in graph.nodes}
    assert output_of(graph, by_name["stem"]) == "r"
    assert output_of(graph, by_name["depth"]) == "d"
    assert output_of(graph, by_name["score"]) == "logits"


def test_the_kernel_writes_behind_its_relu6_too(weights: Weights) -> None:
    operators = nodes()
    (relu,) = (node for node in operators if node.name == "Relu_4")
    relu.op_type = "Clip"
    relu.input.extend(["zero", "six"])
    graph = Graph(build({**weights, "zero": np.float32(0), "six": np.float32(6)}, operators=operators))
    everything = candidates(graph, "cpu")
    assert quantized_tensors(graph, "cpu", everything) == ("sub", "r", "d", "p", "a", "o", "h")
    assert output_of(graph, next(node for node in graph.nodes if node.name == "stem")) == "r"


def test_a_grouped_transposed_convolution_stays_in_float(weights: Weights) -> None:
    operators = nodes()
    (up,) = (node for node in operators if node.name == "up")
    up.attribute.append(helper.make_attribute("group", 4))
    grouped = {**weights, "up.weight": weights["up.weight"][:, :2]}
    assert "up" not in candidates(Graph(build(grouped, operators=operators)), "tensorrt")


def test_an_unknown_target(graph: Graph) -> None:
    with pytest.raises(UsageError, match="unknown INT8 target 'tpu'; known: tensorrt, cpu"):
        candidates(graph, "tpu")
