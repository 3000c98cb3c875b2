"""Constant scales for each Resize whose output size the exporter computes from its input.

N is free, so the exporter reads it at run time and builds the whole output shape from it: Shape, then Concat, then
Resize. All other sizes are fixed, so four constants are enough. Without arithmetic on shapes, ONNX Runtime keeps no
operator on the CPU when it runs on a GPU, and TensorRT has one layer instead of six.

ONNX also allows a constant output size with ``axes``, but TensorRT's parser does not accept it when N is free.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

_SIZES = 3
"""The position of a Resize's input with the output's sizes; the scales are before it."""


def write_constant_scales(model: onnx.ModelProto) -> None:
    """Gives every Resize of fixed height and width constant scales, in place, and removes nodes that are now unused.

    A Resize that changes N or channels, or that has no fixed sizes, stays unchanged.

    Args:
        model: as the exporter gives it.
    """
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    dims = {
        info.name: [
            dim.dim_value if dim.HasField("dim_value") else None for dim in info.type.tensor_type.shape.dim
        ]
        for info in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    changed = False
    for node in model.graph.node:
        if node.op_type != "Resize" or len(node.input) <= _SIZES or not node.input[_SIZES]:
            continue
        before, after = dims.get(node.input[0], []), dims.get(node.output[0], [])
        sides = [side for side in (*before[2:], *after[2:]) if side is not None]
        if len(before) != 4 or len(after) != 4 or len(sides) != 4 or before[1] != after[1]:
            continue
        name = f"{node.output[0]}_scales"
        scales = resize_scales((sides[0], sides[1]), (sides[2], sides[3]))
        model.graph.initializer.append(numpy_helper.from_array(scales, name))
        node.input[:] = [node.input[0], "", name]
        changed = True
    if changed:
        _drop_unread(model.graph)


def resize_scales(before_hw: tuple[int, int], after_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Returns the scales with which a Resize gives exactly this size, in any arithmetic.

    A runtime multiplies a side by its scale and rounds down. If the nearest float32 is below the ratio, the result may
    be one pixel too small; the next float32 above it is always enough. Whole ratios are exact.

    Returns:
        float32 [4]: of N, C, H and W.
    """
    scales = [np.float32(1), np.float32(1)]
    for before, after in zip(before_hw, after_hw, strict=True):
        scale = np.float32(after / before)
        scales.append(np.nextafter(scale, np.float32(np.inf)) if float(scale) * before < after else scale)
    return np.array(scales, np.float32)


def _drop_unread(graph: onnx.GraphProto) -> None:
    kept: list[onnx.NodeProto] = []
    read = {item.name for item in graph.output}
    for node in reversed(graph.node):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    nodes = [*reversed(kept)]
    constants = [item for item in graph.initializer if item.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
