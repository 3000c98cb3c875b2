"""Quantization of a graph by Q/DQ pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from ..core.errors import DataError
from .graph import CONVOLUTIONS, Graph
from .placement import candidates, quantized_tensors
from .ranges import Range

_HALF_STEP = 2.0**-24
"""The smallest positive float16."""

_LARGEST_BIAS = 2.0**30
"""Of 32 bits, so that half of the range is left for the sum of products."""


@dataclass(frozen=True)
class Step:
    """The storage of a tensor: ``real = scale * (stored - zero_point)``.

    Attributes:
        scale: float32, a scalar or one for each channel.
        zero_point: of the stored type, in the shape of ``scale``.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.generic]


def quantize(
    graph: Graph,
    ranges: Mapping[str, Range],
    target: str,
    excluded: Collection[str] = (),
    shifts: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> onnx.ModelProto:
    """Returns the INT8 form of a float32 graph. Every tensor keeps its name.

    Args:
        graph: float32.
        ranges: by activation, its least and greatest value.
        target: ``tensorrt`` or ``cpu``.
        excluded: names of convolutions that stay in float.
        shifts: by convolution, the correction of its bias, float32 [output channels], as :mod:`.bias` measures it.

    Returns:
        A new model; float32 between the Q/DQ pairs.

    Raises:
        UsageError: an unknown target.
        DataError: a tensor that must be quantized has no range, or a name in ``excluded`` is no convolution.
    """
    unknown = sorted(set(excluded) - set(graph.operators))
    if unknown:
        raise DataError(
            f"the exclusion list names {', '.join(unknown)}, which the graph does not have;"
            " expected names of its convolutions, such as " + ", ".join(list(graph.operators)[:2])
        )
    quantized = [name for name in candidates(graph, target) if name not in set(excluded)]
    writer = _Writer(graph, target, shifts or {})
    steps = {
        name: activation_step(_range(ranges, name), target)
        for name in quantized_tensors(graph, target, quantized)
    }
    _share_steps(graph, target, steps)
    return writer.write(steps, frozenset(quantized))


def activation_step(value_range: Range, target: str) -> Step:
    """Returns an activation's step: signed and symmetric for ``tensorrt``, unsigned with a zero point for ``cpu``."""
    low, high = min(0.0, value_range[0]), max(0.0, value_range[1])
    if target == "tensorrt":
        return Step(_storable(np.float32(max(-low, high) / 127)), np.zeros((), np.int8))
    scale = np.float32((high - low) / 255) or np.float32(1)
    return Step(np.asarray(scale, np.float32), np.asarray(np.clip(round(-low / scale), 0, 255), np.uint8))


def weight_step(weight: npt.NDArray[np.float32], axis: int) -> Step:
    """Returns the step of weights: signed, symmetric, one for each channel along ``axis``."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = _storable(np.abs(weight).max(axis=others).astype(np.float32) / np.float32(127))
    return Step(scale, np.zeros(scale.shape, np.int8))


def _with_room(weights: Step, bias: npt.NDArray[np.float32], frame: Step) -> Step:
    """Widens the steps of channels with almost zero weights, so that 32 bits can hold their bias."""
    least = np.abs(bias) / (_LARGEST_BIAS * frame.scale)
    return Step(np.maximum(weights.scale, least).astype(np.float32), weights.zero_point)


def _storable(scale: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    """Rounds scales up to float16 values, so that the weights are quantized with the same scale that the float16 graph
    multiplies by, and nothing is clipped."""
    scale = np.asarray(scale, np.float32)
    near = scale.astype(np.float16)
    up = np.where(near.astype(np.float32) < scale, np.nextafter(near, np.float16(np.inf)), near)
    # A channel of zeros has no scale.
    return np.where(scale > 0, np.maximum(up.astype(np.float32), _HALF_STEP), 1).astype(np.float32)


def _range(ranges: Mapping[str, Range], name: str) -> Range:
    if name not in ranges:
        raise DataError(f"there is no range for {name}; calibrate this graph again")
    return ranges[name]


def _share_steps(graph: Graph, target: str, steps: dict[str, Step]) -> None:
    """Gives an operator that only moves values the step of its input: with another step it would convert twice."""
    for node in graph.nodes:
        output = node.output[0]
        if target == "cpu" and output in steps and node.op_type in ("MaxPool", "Slice", "Resize"):
            steps[output] = steps.get(node.input[0], steps[output])


class _Writer:
    """A copy of a graph in progress, with Q/DQ after the quantized tensors and before the quantized weights."""

    def __init__(self, graph: Graph, target: str, shifts: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._graph, self._target, self._shifts = graph, target, shifts
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def write(self, steps: Mapping[str, Step], quantized: frozenset[str]) -> onnx.ModelProto:
        for node in self._graph.nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [f"{name}_DQ" if name in steps else name for name in node.input]
            if node.op_type in CONVOLUTIONS and node.name in quantized:
                self._quantize_weights(node, copy, steps)
            self._nodes.append(copy)
            for name in node.output:
                if name in steps:
                    self._pair(name, steps[name])
        model = onnx.ModelProto()
        model.CopyFrom(self._graph.model)
        del model.graph.node[:]
        model.graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [item for name, item in self._graph.initializers.items() if name in used]
        del model.graph.initializer[:]
        model.graph.initializer.extend([*kept, *self._constants.values()])
        return model

    def _pair(self, name: str, step: Step) -> None:
        scale = self._constant(f"{name}_scale", step.scale)
        zero_point = self._constant(f"{name}_zero_point", step.zero_point)
        self._nodes += [
            helper.make_node("QuantizeLinear", [name, scale, zero_point], [f"{name}_Q"], f"{name}_Q"),
            helper.make_node(
                "DequantizeLinear", [f"{name}_Q", scale, zero_point], [f"{name}_DQ"], f"{name}_DQ"
            ),
        ]

    def _quantize_weights(
        self, node: onnx.NodeProto, copy: onnx.NodeProto, steps: Mapping[str, Step]
    ) -> None:
        axis = 0 if node.op_type == "Conv" else 1  # the output channels
        weight = self._graph.values(node.input[1]).astype(np.float32)
        step = weight_step(weight, axis)
        bias = None
        if len(node.input) > 2:
            bias = self._graph.values(node.input[2]).astype(np.float32) + self._shifts.get(node.name, 0)
            if self._target == "cpu":
                step = _with_room(step, bias, steps[node.input[0]])
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        stored = np.clip(np.rint(weight / step.scale.reshape(shape)), -127, 127).astype(np.int8)
        copy.input[1] = self._stored(node.input[1], stored, step, axis)
        if bias is None:
            return
        # Convolutions that share a bias still have their own steps and shifts.
        own = self._graph.only_consumer(node.input[2]) is not None
        name = node.input[2] if own else f"{node.input[2]}_{node.name}"
        if self._target == "cpu":
            copy.input[2] = self._stored_bias(name, bias, step, steps[node.input[0]])
        elif node.name in self._shifts:
            copy.input[2] = self._constant(f"{name}_shifted", bias)

    def _stored_bias(self, name: str, values: npt.NDArray[np.float32], weights: Step, frame: Step) -> str:
        scale = (weights.scale * frame.scale).astype(np.float32)
        stored = np.rint(values.astype(np.float64) / scale).astype(np.int32)
        return self._stored(name, stored, Step(scale, np.zeros(scale.shape, np.int32)), 0)

    def _stored(self, name: str, values: npt.NDArray[np.generic], step: Step, axis: int) -> str:
        result = f"{name}_DQ"
        if f"{name}_Q" not in self._constants:
            inputs = [
                self._constant(f"{name}_Q", values),
                self._constant(f"{name}_scale", step.scale),
                self._constant(f"{name}_zero_point", step.zero_point),
            ]
            self._nodes.append(helper.make_node("DequantizeLinear", inputs, [result], result, axis=axis))
        return result

    def _constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name
