"""A graph run one operator at a time, so that every tensor really has the type in the graph.

ONNX Runtime on the CPU computes a float16 graph in float32 and removes the casts between two operators: no activation
is rounded and none overflows, unlike on a GPU. With one session for each operator every rounding is kept, nothing is
fused, and only the tensors that are still needed are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from ...core.libraries import load_onnxruntime

Array = npt.NDArray[Any]


class RunnableNode:
    """One node of a graph, ready to run on arrays of fixed types.

    Args:
        node: the node to run.
        model: gives the opset.
        kinds: the element type of each input, in order; None for an input that is left out.
    """

    def __init__(self, node: onnx.NodeProto, model: onnx.ModelProto, kinds: Sequence[Any]) -> None:
        onnxruntime = load_onnxruntime()

        # Inputs are named by position, because a node may read one tensor twice.
        names = [f"in_{i}" if kind is not None else "" for i, kind in enumerate(kinds)]
        alone = onnx.NodeProto()
        alone.CopyFrom(node)
        alone.input[:] = names
        graph = helper.make_graph(
            [alone],
            node.name or node.op_type,
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), None)
                for name, kind in zip(names, kinds, strict=True)
                if kind is not None
            ],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        )
        single = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._names = names
        self._session = onnxruntime.InferenceSession(
            single.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, inputs: Sequence[Array | None]) -> list[Array]:
        """Runs it; None is an input that is left out."""
        feeds = {name: value for name, value in zip(self._names, inputs, strict=True) if value is not None}
        results: list[Array] = self._session.run(None, feeds)
        return results


def run_node(node: onnx.NodeProto, model: onnx.ModelProto, inputs: Sequence[Array | None]) -> list[Array]:
    """Runs one node of a graph once."""
    return RunnableNode(node, model, [None if value is None else value.dtype for value in inputs])(inputs)


def initializers(model: onnx.ModelProto) -> dict[str, Array]:
    """Returns the constants of a graph by name."""
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def last_readers(nodes: Sequence[onnx.NodeProto]) -> dict[str, int]:
    """Returns, by tensor, the position of the last node that reads it."""
    return {name: position for position, node in enumerate(nodes) for name in node.input}


def walk(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> Iterator[tuple[onnx.NodeProto, list[Array]]]:
    """Runs a graph node by node, and yields each with its outputs.

    Args:
        model: in topological order.
        feeds: by name, the graph's inputs.
    """
    nodes = list(model.graph.node)
    last = last_readers(nodes)
    constants = initializers(model)
    values = dict(feeds)
    for position, node in enumerate(nodes):
        inputs: list[Array | None] = []
        for name in node.input:
            if not name:
                inputs.append(None)
            else:
                inputs.append(constants[name] if name in constants else values[name])
        outputs = run_node(node, model, inputs)
        yield node, outputs
        values.update(zip(filter(None, node.output), outputs, strict=True))
        for name in {*node.input, *node.output}:
            if last.get(name, -1) <= position:
                values.pop(name, None)


def first_infinite(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> onnx.NodeProto | None:
    """Returns the first node with a value that is not finite, each operator computed in the graph's own types."""
    for node, outputs in walk(model, feeds):
        if any(value.dtype.kind == "f" and not np.isfinite(value).all() for value in outputs):
            return node
    return None
