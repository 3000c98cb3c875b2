"""Headroom: the activations of a float16 graph compared with float16's range, with room for a kernel's sums.

A float16 kernel of a GPU need not keep its sums in float32: the builder chooses the kernel by time. A partial sum may
be larger than the result. So every float16 tensor must stay below a quarter of float16's range.

ONNX Runtime computes the values from the variant's own graph in float32, where nothing overflows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from ...calibration.graph import Graph
from ...calibration.ranges import Extremes
from ...runtime.bundle import Variant
from ...runtime.checked_files import read_checked

FLOAT16_LARGEST = 65504.0
LIMIT = FLOAT16_LARGEST / 4
FRAMES = 4
"""The number of frames that are measured: each costs another run of the network."""


@dataclass(frozen=True)
class Headroom:
    """The largest values of a graph's float16 tensors.

    Attributes:
        largest: the greatest absolute value; infinite if one is not finite.
        operator: the node that gives it; empty if the graph has no float16 tensor.
        without: the nodes that exceed ``LIMIT``, in the graph's order.
        frames: the number of measured frames.
    """

    largest: float
    operator: str
    without: tuple[str, ...]
    frames: int


class HeadroomMeter:
    """Measures headroom frame by frame.

    Args:
        model: a graph with float16 in it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        half = _half_tensors(model)
        graph = Graph(_in_float32(model))
        self._producers = {output: node.name for output, node in graph.producers.items()}
        self._extremes = Extremes(
            graph, [name for name in graph.activations if name in half], fuse_quantized=False
        )
        self._frames = 0

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Adds a frame, uint8 [1, H, W, 3]; frames after the first ``FRAMES`` are ignored."""
        if self._frames < FRAMES:
            self._frames += 1
            self._extremes.add(frame)

    def result(self) -> Headroom:
        """Returns the headroom of the frames so far."""
        values = np.maximum(np.abs(self._extremes.low), np.abs(self._extremes.high))
        values = np.where(np.isfinite(values), values, np.inf)
        nodes = [self._producers[name] for name in self._extremes.names]
        if not nodes or not self._frames:
            return Headroom(0.0, "", (), self._frames)
        without = tuple(node for node, value in zip(nodes, values, strict=True) if value > LIMIT)
        return Headroom(float(values.max()), nodes[int(np.argmax(values))], without, self._frames)


def meter_of(variant: Variant) -> HeadroomMeter | None:
    """Returns a meter for a variant; None if its graph has no float16.

    Raises:
        BundleError: the file is missing, or not the one that the bundle was made with.
    """
    model = onnx.load_from_string(read_checked(variant.path, variant.sha256))
    kinds = {item.data_type for item in model.graph.initializer}
    return HeadroomMeter(model) if TensorProto.FLOAT16 in kinds else None


def _half_tensors(model: onnx.ModelProto) -> set[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    return {
        info.name for info in inferred.value_info if info.type.tensor_type.elem_type == TensorProto.FLOAT16
    }


def _in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the same graph with every float16 widened; names and values stay."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del wide.graph.value_info[:]
    for item in wide.graph.initializer:
        if item.data_type == TensorProto.FLOAT16:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item).astype(np.float32), item.name))
    for node in wide.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    return wide
