"""Conversion of a float32 graph to float16, in one pass over the ONNX graph that keeps every name.

Three parts stay float32 because float16 would harm them. The path from the frame to the network's first operator,
because near 128 float16 has steps of 1/8 of a grey level. The mean over a whole map, because its sum could exceed
65504. And the output logits. The operators' own schemas, not a list, give the type that each input must have.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...core.errors import ModelError

QUANTIZED_OPSET = 19
"""The first opset whose QuantizeLinear and DequantizeLinear take float16; TensorRT 10.3 parses up to 20."""

_QUANTIZED_IR_VERSION = 9
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
_STEM = ("Cast", "Transpose", "Sub", "Mul", "Gather")
_MEANS = ("ReduceMean", "GlobalAveragePool")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_ELEMENTS = {
    f"tensor({np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name})": kind
    for kind in (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
} | {"tensor(float)": TensorProto.FLOAT, "tensor(float16)": TensorProto.FLOAT16}


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a float32 graph, plain or with Q/DQ, in float16.

    Nodes and tensors keep their names and values; ``frame`` and ``logits`` keep their types. A tensor that is
    needed in the other type gets one Cast, named after its neighbour: ``Cast_after_Sub_2``,
    ``Cast_before_ReduceMean_24``, ``Cast_before_logits``. Scales of Q/DQ also become float16, so the opset becomes
    ``QUANTIZED_OPSET``. Tensors of int8, uint8 or int32 do not change.

    Args:
        model: as ``onnx_file.export_graph`` gives it; not changed.

    Raises:
        ModelError: a weight does not fit float16, a scale would become 0, or an operator has no float16 form.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    if any(node.op_type in _QUANTIZERS for node in half.graph.node):
        half.opset_import[0].version = QUANTIZED_OPSET
        half.ir_version = _QUANTIZED_IR_VERSION
    _Pass(half).run()
    return half


class _Pass:
    """One walk over the nodes in order, with the type that each tensor has so far."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.opset = model.opset_import[0].version
        self.stem = _stem(model.graph)
        self.initializers = {item.name: item for item in model.graph.initializer}
        self.kinds: dict[str, int] = {
            item.name: item.type.tensor_type.elem_type for item in model.graph.input
        }
        self.producers: dict[str, str] = {}
        self.casts: dict[str, str] = {}
        self.converted: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.scales: dict[str, str] = {}
        for node in model.graph.node:
            if node.op_type in _QUANTIZERS:
                self.scales.setdefault(node.input[1], node.name)

    def run(self) -> None:
        outputs = {item.name: item.type.tensor_type.elem_type for item in self.graph.output}
        inner = {name: f"{name}_half" for name in outputs}
        for node in list(self.graph.node):
            self._convert(node)
        for node in self.nodes:
            for ports in (node.input, node.output):
                ports[:] = [
                    inner[name] if name in outputs and self.kinds[name] != outputs[name] else name
                    for name in ports
                ]
        for name, kind in outputs.items():
            if self.kinds[name] != kind:
                self.nodes.append(_cast(inner[name], name, kind, f"Cast_before_{name}"))
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)

    def _convert(self, node: onnx.NodeProto) -> None:
        wide = node.name in self.stem or node.op_type in _MEANS
        float_kind = TensorProto.FLOAT if wide else TensorProto.FLOAT16
        schema = self._schema(node)
        bound: dict[str, int] = {}
        for position, name in enumerate(node.input):
            if not name:
                continue
            formal = schema.inputs[min(position, len(schema.inputs) - 1)]
            if self._kind(name) in _FLOATS:
                allowed = _allowed(schema, formal.type_str)
                kind = _ELEMENTS[allowed[0]] if len(allowed) == 1 else float_kind
                if kind == TensorProto.FLOAT16 and "tensor(float16)" not in allowed:
                    raise ModelError(f"{node.name} has no float16 form; deploy it in fp32")
                node.input[position] = self._as(name, kind, node.name)
                bound.setdefault(formal.type_str, kind)
            else:
                bound.setdefault(formal.type_str, self._kind(name))
        if node.op_type == "Cast":
            to = node.attribute[0]
            to.i = float_kind if to.i in _FLOATS else to.i
            bound[schema.outputs[0].type_str] = to.i
        self.nodes.append(node)
        for position, name in enumerate(node.output):
            formal = schema.outputs[min(position, len(schema.outputs) - 1)]
            self.kinds[name] = _output_kind(schema, formal.type_str, bound, node)
            self.producers[name] = node.name

    def _as(self, name: str, kind: int, reader: str) -> str:
        """Returns the name of a float tensor in this type; adds a Cast if there is none yet."""
        item = self.initializers.get(name)
        if item is not None and name not in self.converted:
            self.converted.add(name)
            self.kinds[name] = kind
            if kind == TensorProto.FLOAT16:
                item.CopyFrom(numpy_helper.from_array(self._rounded(item), name))
        if self.kinds[name] == kind:
            return name
        if name not in self.casts:
            # The Cast's name shows the float32 side: the tensor before it towards float16, its reader towards float32.
            down = kind == TensorProto.FLOAT16
            title = f"Cast_after_{self.producers.get(name, name)}" if down else f"Cast_before_{reader}"
            self.nodes.append(_cast(name, title, kind, title))
            self.casts[name] = title
        return self.casts[name]

    def _kind(self, name: str) -> int:
        if name in self.initializers and name not in self.kinds:
            return int(self.initializers[name].data_type)
        return self.kinds[name]

    def _rounded(self, item: TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        value = numpy_helper.to_array(item)
        if not np.isfinite(value).all():
            raise ModelError(f"{item.name} holds values that are not finite; train the network again")
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if not np.isfinite(half).all():
            raise ModelError(
                f"{item.name} holds {np.abs(value).max():.3g}, and float16 ends at 65504; deploy it in fp32"
            )
        if item.name in self.scales and not (half > 0).all():
            raise ModelError(
                f"the scale {item.name} of {self.scales[item.name]} is {value.min():.3g}, which float16 rounds to"
                " 0; calibrate again, or keep its operator out of INT8"
            )
        return half

    def _schema(self, node: onnx.NodeProto) -> onnx.defs.OpSchema:
        try:
            return onnx.defs.get_schema(node.op_type, self.opset, node.domain)
        except onnx.defs.SchemaError as error:
            raise ModelError(
                f"{node.name} is {node.domain or 'ONNX'}'s {node.op_type}, which opset {self.opset} does not know;"
                " deploy it in fp32"
            ) from error


def _allowed(schema: onnx.defs.OpSchema, type_str: str) -> list[str]:
    """Returns the types that a formal parameter accepts: one named type, or all types of a type variable."""
    variables = {item.type_param_str: list(item.allowed_type_strs) for item in schema.type_constraints}
    return variables.get(type_str, [type_str])


def _output_kind(
    schema: onnx.defs.OpSchema, type_str: str, bound: dict[str, int], node: onnx.NodeProto
) -> int:
    allowed = _allowed(schema, type_str)
    if type_str in bound:
        return bound[type_str]
    if len(allowed) == 1 and allowed[0] in _ELEMENTS:
        return _ELEMENTS[allowed[0]]
    if node.op_type == "QuantizeLinear":
        return int(TensorProto.UINT8)  # the standard's type if there is no zero point
    raise ModelError(f"{node.name} makes a tensor whose type no input gives; make it an initializer")


def _stem(graph: onnx.GraphProto) -> set[str]:
    """Returns the names of the nodes between frame and network: the cast, the layout, the normalization."""
    stem: set[str] = set()
    tensor = graph.input[0].name
    while True:
        readers = list(_readers(graph, tensor))
        if len(readers) != 1 or readers[0].op_type not in _STEM:
            return stem
        stem.add(readers[0].name)
        tensor = readers[0].output[0]


def _readers(graph: onnx.GraphProto, tensor: str) -> Iterator[onnx.NodeProto]:
    return (node for node in graph.node if tensor in node.input)


def _cast(source: str, target: str, kind: int, name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=name, to=kind)
