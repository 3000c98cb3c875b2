"""An ONNX graph for calibration: the readers of each tensor, the shapes, and the cost of each convolution."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from .session import open_session

INPUT, LOGITS = "frame", "logits"
CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Operator:
    """A convolution, the unit that is quantized or stays in float.

    Attributes:
        name: of its node.
        kind: ``Conv`` or ``ConvTranspose``.
        weight: name of its weights, as in the checkpoint.
        kernel_hw: of its kernel.
        depthwise: whether each output channel reads one input channel.
        macs: multiply-accumulates for one frame.
    """

    name: str
    kind: str
    weight: str
    kernel_hw: tuple[int, int]
    depthwise: bool
    macs: int

    @property
    def description(self) -> str:
        """A description for display: ``classifier.cbr.0, 1 x 1``."""
        height, width = self.kernel_hw
        form = ""
        if self.depthwise:
            form = ", depthwise"
        elif self.kind == "ConvTranspose":
            form = ", transposed"
        return f"{self.weight.removesuffix('.weight')}, {height} x {width}{form}"


class Graph:
    """A float32 graph of a bundle, read only; the model itself is never changed.

    Args:
        model: ``frame`` uint8 [N, H, W, 3] -> ``logits`` float32 [N, C, h, w].
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: Sequence[onnx.NodeProto] = model.graph.node
        self.initializers = {item.name: item for item in model.graph.initializer}
        self.producers = {output: node for node in self.nodes for output in node.output}

    @cached_property
    def consumers(self) -> Mapping[str, Sequence[onnx.NodeProto]]:
        """For each tensor, the nodes that read it, in the graph's order."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.input)):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def input_size_hw(self) -> tuple[int, int]:
        """Height and width of the frames."""
        dims = self.model.graph.input[0].type.tensor_type.shape.dim
        return int(dims[1].dim_value), int(dims[2].dim_value)

    @cached_property
    def sha256(self) -> str:
        """A digest of the computation: operators, attributes, connections and weights, not of the file's bytes."""
        digest = hashlib.sha256()
        for node in self.nodes:
            parts = [node.op_type, *node.input, "->", *node.output]
            parts += sorted(
                attribute.SerializeToString(deterministic=True).hex() for attribute in node.attribute
            )
            digest.update("\0".join(parts).encode())
        for name in sorted(self.initializers):
            values = self.values(name)
            digest.update(f"\0{name} {values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        digest.update(repr(self.input_size_hw).encode())
        return digest.hexdigest()

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """For each tensor, its shape for one frame; measured, because not every shape can be inferred."""
        names = self.activations
        session = open_session(with_outputs(self.model, names))
        outputs = session.run(list(names), {INPUT: np.zeros((1, *self.input_size_hw, 3), np.uint8)})
        return {name: value.shape for name, value in zip(names, outputs, strict=True)}

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """The float32 tensors between frame and logits, in the graph's order, without shapes and frames in their
        original layout."""
        inferred = onnx.shape_inference.infer_shapes(self.model)
        kinds = {
            info.name: info.type.tensor_type.elem_type
            for info in (*inferred.graph.value_info, *inferred.graph.output)
        }
        return tuple(
            output
            for node in self.nodes
            for output in node.output
            if kinds.get(output) == onnx.TensorProto.FLOAT and node.op_type != "Cast"
        )

    @cached_property
    def operators(self) -> Mapping[str, Operator]:
        """The convolutions by name, in the graph's order."""
        return {node.name: self._operator(node) for node in self.nodes if node.op_type in CONVOLUTIONS}

    @cached_property
    def gates(self) -> frozenset[str]:
        """The convolutions of squeeze-and-excitation: they read one value for each channel, and cost almost nothing."""
        return frozenset(
            node.name
            for node in self.nodes
            if node.op_type in CONVOLUTIONS and self.shapes[node.output[0]][2:] == (1, 1)
        )

    def values(self, name: str) -> npt.NDArray[np.generic]:
        """Returns the values of an initializer."""
        return numpy_helper.to_array(self.initializers[name])

    def only_consumer(self, tensor: str) -> onnx.NodeProto | None:
        """Returns the one node that reads a tensor; None if there are more, or none."""
        nodes = self.consumers.get(tensor, ())
        return nodes[0] if len(nodes) == 1 else None

    def _operator(self, node: onnx.NodeProto) -> Operator:
        weight = self.initializers[node.input[1]]
        kernel_hw = (int(weight.dims[2]), int(weight.dims[3]))
        source, target = self.shapes_of(node)
        # A convolution applies its kernel once for each output pixel, a transposed one once for each input pixel.
        pixels = target[2:] if node.op_type == "Conv" else source[2:]
        return Operator(
            name=node.name,
            kind=node.op_type,
            weight=weight.name,
            kernel_hw=kernel_hw,
            depthwise=groups(node) > 1 and groups(node) == source[1],
            macs=int(np.prod(weight.dims) * np.prod(pixels)),
        )

    def shapes_of(self, node: onnx.NodeProto) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Returns the shapes of a node's first input and first output for one frame."""
        return self.shapes[node.input[0]], self.shapes[node.output[0]]


def groups(node: onnx.NodeProto) -> int:
    """Returns the ``group`` attribute of a convolution."""
    return next((int(item.i) for item in node.attribute if item.name == "group"), 1)


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Returns a copy of a model whose outputs are the named tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy
