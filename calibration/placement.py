"""The placement of Q and DQ: one rule for each target, because the two targets need opposite forms.

``tensorrt`` fuses a convolution whose input and weights come from DQ, whatever follows it. It uses symmetric signed 8
bit, weights per channel, and the bias in float. In a residual addition, the branch that has other readers is quantized;
the branch that only the addition reads is not, so that convolution and addition fuse.
(NVIDIA, "Working with Quantized Types", TensorRT developer guide.) A depthwise convolution without a ReLU after it
stays in float: between Q and DQ, TensorRT 8.5 and 8.6 fuse it with the operators that follow, such as hard-swish. They
may then have no kernel for the fused operator and build no engine (NVIDIA/TensorRT#3385, #4060).

``cpu`` is the form of ONNX Runtime's kernels: unsigned activations with a zero point, signed weights per channel, a
bias of 32 bits at the product of the two scales, and a Q directly after each convolution. Without that Q the
convolution runs in float between two conversions. Additions, concatenations and poolings between quantized tensors
stay in 8 bits.

In both, squeeze-and-excitation stays in float: its convolutions read one value for each channel, and the multiplication
after the hard sigmoid does not fuse.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from ..core.errors import UsageError
from .graph import CONVOLUTIONS, LOGITS, Graph, groups

TARGETS = ("tensorrt", "cpu")
_KEEPS_RANGE = ("MaxPool", "Slice", "Relu", "Resize")
"""Operators whose output is within their input's range, so that they run directly on 8 bits."""
_FUSES = ("Relu", "Clip")
"""Operators that become part of a convolution: ReLU, and ReLU6, whose bounds the 8-bit range already has."""


def check_target(target: str) -> None:
    """Raises ``UsageError`` for a target that is not in ``TARGETS``."""
    if target not in TARGETS:
        raise UsageError(f"unknown INT8 target {target!r}; known: {', '.join(TARGETS)}")


def candidates(graph: Graph, target: str) -> tuple[str, ...]:
    """Returns the convolutions that a target can run in INT8, in the graph's order.

    Raises:
        UsageError: an unknown target.
    """
    check_target(target)
    return tuple(
        node.name
        for node in graph.nodes
        if node.op_type in CONVOLUTIONS and node.name not in graph.gates and _fits(graph, node, target)
    )


def _fits(graph: Graph, node: onnx.NodeProto, target: str) -> bool:
    if node.op_type == "Conv":
        if target == "tensorrt":
            return not graph.operators[node.name].depthwise or fused_relu(graph, node) is not None
        # The logits are float32: without a Q after it, ONNX Runtime would run the convolution in float.
        return str(node.output[0]) != LOGITS
    # ONNX Runtime has no transposed convolution in INT8. In TensorRT the scales of a grouped one would not lie
    # along an axis of its weights.
    return target == "tensorrt" and groups(node) == 1


def quantized_tensors(graph: Graph, target: str, quantized: Collection[str]) -> tuple[str, ...]:
    """Returns the activations that get a Q/DQ pair if the convolutions in ``quantized`` run in INT8.

    Returns:
        Names in the graph's order.
    """
    chosen = {node.input[0] for node in graph.nodes if node.name in quantized}
    if target == "cpu":
        chosen |= {output_of(graph, node) for node in graph.nodes if node.name in quantized}
        _spread(graph, chosen)
        # A concatenation that is read in 8 bits is also written in 8 bits: a quarter of the memory traffic.
        chosen |= {
            name
            for node in graph.nodes
            if node.op_type == "Concat" and node.output[0] in chosen
            for name in node.input
        }
        chosen -= {LOGITS}
    return tuple(output for node in graph.nodes for output in node.output if output in chosen)


def output_of(graph: Graph, node: onnx.NodeProto) -> str:
    """Returns the tensor that a convolution's kernel writes: the output of its fused ReLU or ReLU6, if it has one."""
    return str((fused_relu(graph, node) or node).output[0])


def fused_relu(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Returns the ReLU or ReLU6 that is the only reader of a convolution's output, so that both fuse; else None."""
    after = graph.only_consumer(node.output[0])
    return after if after is not None and after.op_type in _FUSES else None


def _spread(graph: Graph, chosen: set[str]) -> None:
    """Keeps operators between quantized tensors in 8 bits."""
    for node in graph.nodes:
        read = [name for name in node.input if name and name not in graph.initializers]
        between = node.op_type in _KEEPS_RANGE or node.op_type in ("Concat", "Add")
        if between and read and all(name in chosen for name in read):
            chosen.add(node.output[0])
