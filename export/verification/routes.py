"""The match between a variant's operators and FP32's, and the operators that a variant adds between two of them.

A variant may have Cast, QuantizeLinear and DequantizeLinear between two operators of FP32: a *route*.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from ...core.errors import VerificationError
from .stepwise import Array, initializers, run_node

_ROUTE = ("Cast", "QuantizeLinear", "DequantizeLinear")


def half_spacing(value: Array) -> Array:
    """Returns the spacing of float16 at each value: float64 of its shape. Beyond 65504 the format is continued."""
    exponent = np.frexp(value.astype(np.float64))[1] - 11
    return np.ldexp(1.0, np.where(value == 0, -24, np.maximum(exponent, -24)))


class Route:
    """The operators between a tensor and the operator that reads it.

    Attributes:
        source: the name of FP32's tensor that it starts from; empty if it starts from a constant.

    Args:
        source: as above.
        start: the constant, if it starts from one.
        nodes: in order from the source.
        graph: contains the nodes.
    """

    def __init__(
        self, source: str, start: Array | None, nodes: Sequence[onnx.NodeProto], graph: MatchedGraphs
    ) -> None:
        self.source = source
        self._start, self._nodes, self._graph = start, nodes, graph
        self.key = (source, *(node.name for node in nodes))

    @property
    def quantizes(self) -> bool:
        """True if it turns a float tensor into an 8-bit one and back."""
        return any(node.op_type == "QuantizeLinear" for node in self._nodes)

    def __call__(self, value: Array | None = None) -> Array:
        """Returns the reader's input for a value of the source; a constant needs no value."""
        result = self._start if self._start is not None else value
        assert result is not None
        for node in self._nodes:
            constants = [self._graph.constants[name] for name in node.input[1:] if name]
            if node.op_type == "Cast":
                result = result.astype(helper.tensor_dtype_to_np_dtype(node.attribute[0].i))
            else:
                result = run_node(node, self._graph.variant, [result, *constants])[0]
        return result

    def steps(self, value: Array) -> Array:
        """Returns the width of a tensor's storage steps, by element: float64 of its shape; 0 without steps."""
        widths = np.zeros(value.shape)
        for node in self._nodes:
            if node.op_type == "DequantizeLinear":
                widths = np.maximum(widths, np.broadcast_to(self._along(node, 1, value), value.shape))
        is_half = self._half() if self._start is None else self().dtype == np.float16
        if is_half:
            widths = widths + half_spacing(value)
        return widths

    def with_noise(self, value: Array | None, random: np.random.Generator) -> Array | None:
        """Returns a constant with the noise of its storage steps; the same array if there are none."""
        if value is None or value.dtype.kind != "f":
            return value
        widths = self.steps(value)
        if not widths.any():
            return value
        return (value + widths * random.uniform(-0.5, 0.5, value.shape)).astype(value.dtype)

    def step_power(self, value: Array) -> float:
        """Returns the sum of squares of a tensor's rounding errors: width^2 / 12 for each element."""
        return float(np.square(self.steps(value)).sum() / 12)

    def outside(self, value: Array) -> int:
        """Returns the number of values outside the range of Q by more than the half step that it rounds."""
        for node in self._nodes:
            if node.op_type == "QuantizeLinear":
                scale = self._along(node, 1, value)
                zero = self._along(node, 2, value) if len(node.input) > 2 else np.zeros(())
                kind = (
                    self._graph.constants[node.input[2]].dtype if len(node.input) > 2 else np.dtype(np.uint8)
                )
                limits = np.iinfo(kind)
                level = value / scale + zero
                return int(np.count_nonzero((level < limits.min - 0.5) | (level > limits.max + 0.5)))
        return 0

    def _half(self) -> bool:
        kinds = [
            self._graph.constants[node.input[1]].dtype == np.float16
            if node.op_type != "Cast"
            else node.attribute[0].i == onnx.TensorProto.FLOAT16
            for node in self._nodes
        ]
        return bool(kinds) and kinds[-1]

    def _along(self, node: onnx.NodeProto, position: int, value: Array) -> Array:
        """Returns a scale or zero point in a shape that broadcasts with the tensor: float64."""
        numbers = self._graph.constants[node.input[position]].astype(np.float64)
        if numbers.ndim == 0 or numbers.size == 1:
            return numbers.reshape(())
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
        return numbers.reshape([-1 if i == axis % value.ndim else 1 for i in range(value.ndim)])


class MatchedGraphs:
    """A variant's graph, matched to the FP32 graph by the names of the nodes.

    Attributes:
        reference: the FP32 graph.
        variant: the variant's graph.
        constants: of the variant, by name.
        twins: by the name of FP32's node, the variant's node.
        routes: by the name of FP32's node, the route of each input of its twin; None for an input left out.

    Raises:
        VerificationError: an operator of FP32 is missing, is another one, or reads something else.
    """

    def __init__(self, reference: onnx.ModelProto, variant: onnx.ModelProto) -> None:
        self.reference, self.variant = reference, variant
        self.constants = initializers(variant)
        self._fp32_constants = {item.name for item in reference.graph.initializer}
        nodes = {node.name: node for node in variant.graph.node}
        self.twins: dict[str, onnx.NodeProto] = {}
        tensors = {item.name: item.name for item in reference.graph.input}
        for node in reference.graph.node:
            twin = nodes.get(node.name)
            if twin is None or twin.op_type != node.op_type or len(twin.input) != len(node.input):
                raise VerificationError(
                    f"the variant has no {node.op_type} called {node.name}: its names are not those of the fp32"
                    " graph, so its operators cannot be compared; export the bundle again"
                )
            self.twins[node.name] = twin
            tensors[twin.output[0]] = node.output[0]
        self._tensors = tensors
        own = {twin.name for twin in self.twins.values()}
        self._between = {node.output[0]: node for node in variant.graph.node if node.name not in own}
        self.routes = {node.name: self._inputs(node) for node in reference.graph.node}
        self._ranges: dict[str, dict[tuple[str, ...], Route]] = {}
        for routes in self.routes.values():
            for route in routes:
                if route is not None and route.source and route.quantizes:
                    self._ranges.setdefault(route.source, {})[route.key] = route

    def ranges(self, tensor: str) -> tuple[Route, ...]:
        """Returns the routes that quantize a tensor of FP32 for its readers."""
        return tuple(self._ranges.get(tensor, {}).values())

    def _inputs(self, node: onnx.NodeProto) -> list[Route | None]:
        routes: list[Route | None] = []
        for wanted, name in zip(node.input, self.twins[node.name].input, strict=True):
            route = self._route(name) if name else None
            source = route.source if route is not None else ""
            expected = "" if wanted in self._fp32_constants else wanted
            if bool(wanted) != bool(name) or source != expected:
                raise VerificationError(
                    f"{node.name} reads {source or 'a constant'} in the variant and {wanted or 'nothing'} in the"
                    " fp32 graph, so they cannot be compared; export the bundle again"
                )
            routes.append(route)
        return routes

    def _route(self, name: str) -> Route:
        nodes: list[onnx.NodeProto] = []
        while name in self._between:
            node = self._between[name]
            if node.op_type not in _ROUTE:
                raise VerificationError(
                    f"{node.name} is a {node.op_type} that the fp32 graph does not have; export the bundle again"
                )
            nodes.insert(0, node)
            name = node.input[0]
        if name in self.constants:
            return Route("", self.constants[name], nodes, self)
        return Route(self._tensors[name], None, nodes, self)
