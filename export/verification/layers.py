"""A search for the first operator of a variant that departs from FP32 by more than its rounding explains.

Errors grow on their way through a network, so the operator that shows an error is seldom its cause. Here each operator
is judged by itself: it gets FP32's inputs at that place, in the form in which the variant reads them (through its
Cast, Q and DQ), without the errors of earlier operators. Two errors are measured, as root mean squares over all frames,
both relative to the operator's output in FP32:

* its *own error*: the variant's operator against the FP32 operator with FP32's weights, on the same inputs. The
  expected error is computed, not guessed: the FP32 operator's response to noise on its weights, plus the rounding of
  the output.
  The noise is uniform and as wide as the variant's steps: one step of the scale for a quantized tensor, the spacing of
  float16 for a float16 tensor, none otherwise. So the figure includes the operator's own gain.
* the *error of its range*, if its output is quantized for its readers: the values after Q and DQ against those before.
  The expected error is step / sqrt(12). Values outside the range count: this error exists to find them.

An error departs if it exceeds ``TOLERANCE`` times the expected error, that of a range ``RANGE_TOLERANCE`` times. An
operator with wide but correct steps does not depart; its error is still reported. If calibration moved a bias to
compensate earlier errors, the mean of each channel has no meaning and is removed from the own error. The *total error*
is the error at an operator when the whole variant runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from ...core.errors import VerificationError
from .routes import MatchedGraphs, Route, half_spacing
from .stepwise import Array, RunnableNode, initializers, last_readers

TOLERANCE = 3.0
"""LR-ASPP in float16 and in Q/DQ stays below 1.3: rounding errors are nearly independent, and few form a bias."""

RANGE_TOLERANCE = 6.0
"""Images that calibration has not seen exceed its ranges a little: with min-max over 8 images, up to 4.2 on others.
Ranges at 0.3 of their width exceed 10 for three tensors in four."""

_LEAST_SHOWN = 0.001
_FLOAT32_ROUNDING = 1e-6
"""Relative, for sums of some thousand products in another order."""


@dataclass
class Deviation:
    """Squares of one error, summed over the frames.

    Attributes:
        error: of the difference.
        expected: of the error that rounding explains.
        signal: of the FP32 tensor.
    """

    error: float = 0.0
    expected: float = 0.0
    signal: float = 0.0

    def add(self, error: Array, expected: float, signal: Array) -> None:
        """Adds one frame: the difference, the expected sum of squares, and the FP32 tensor."""
        self.error += _power(error)
        self.expected += expected + _FLOAT32_ROUNDING**2 * _power(signal)
        self.signal += _power(signal)

    @property
    def relative(self) -> float:
        """The error as a share of the signal; infinite if it is not finite."""
        return self._share(self.error)

    @property
    def relative_expected(self) -> float:
        """The expected error as a share of the signal."""
        return self._share(self.expected)

    @property
    def excess(self) -> float:
        """The error divided by the expected error."""
        if not np.isfinite(self.error) or (self.error and not self.expected):
            return float("inf")
        return float(np.sqrt(self.error / self.expected)) if self.error else 0.0

    def _share(self, power: float) -> float:
        if not np.isfinite(power):
            return float("inf")
        return float(np.sqrt(power / self.signal)) if self.signal else float(np.sqrt(power))


@dataclass
class OperatorResult:
    """The measurements of one operator.

    Attributes:
        name: of its node.
        kind: its ONNX operator.
        weight: the name of its first constant of more than one dimension; empty if it has none.
        output: the name of its tensor in FP32.
        total: the error up to here when the whole variant runs.
        own: its own error.
        range: the error of its output's Q/DQ; None if its output is not quantized.
        outside: the number of its output's values outside that range.
        values: the number of its output's values.
    """

    name: str
    kind: str
    weight: str
    output: str
    total: Deviation = field(default_factory=Deviation)
    own: Deviation = field(default_factory=Deviation)
    range: Deviation | None = None
    outside: int = 0
    values: int = 0

    @property
    def clipped(self) -> float:
        """The share of its output that is outside the range."""
        return self.outside / self.values if self.values else 0.0

    @property
    def departs(self) -> bool:
        """True if either error exceeds its limit."""
        return self.own.excess > TOLERANCE or self.range_departs

    @property
    def range_departs(self) -> bool:
        """True if the error of the range exceeds its limit."""
        return self.range is not None and self.range.excess > RANGE_TOLERANCE


@dataclass(frozen=True)
class LayerComparison:
    """A variant compared with FP32, operator by operator.

    Attributes:
        variant: its name.
        precision: of the variant.
        frames: the number of compared frames.
        operators: in the graph's order.
    """

    variant: str
    precision: str
    frames: int
    operators: tuple[OperatorResult, ...]

    @property
    def first(self) -> OperatorResult | None:
        """The first operator that departs; None if none does."""
        return next((operator for operator in self.operators if operator.departs), None)

    def verdict(self) -> str:
        """Returns one sentence: the operator that departs and what to do, or that none departs."""
        found = self.first
        if found is None:
            last = self.operators[-1]
            gathered = percent(last.total.relative)
            return f"no operator departs by more than its rounding; at {last.output} the errors add up to {gathered} %"
        if not found.own.excess > TOLERANCE:
            assert found.range is not None
            return (
                f"the range of {found.output} is too narrow: {percent(found.clipped)} % of its values lie outside,"
                f" and cost {percent(found.range.relative)} % where {percent(found.range.relative_expected)} % is its"
                " rounding; calibrate on more images, or with --method minmax"
            )
        advice = (
            f"keep {found.name} in float: add it to the exclusion list"
            if self.precision == "int8" and found.weight
            else "export it again, or deploy it in fp32"
        )
        if not np.isfinite(found.own.error):
            return f"{found.name} gives values that are not finite, past float16's 65504; deploy it in fp32"
        return (
            f"{found.name} departs by {percent(found.own.relative)} % where {percent(found.own.relative_expected)} % is"
            f" its rounding; {advice}"
        )


def compare_layers(
    reference: onnx.ModelProto,
    variant: onnx.ModelProto,
    frames: Iterable[Array],
    *,
    name: str,
    precision: str,
    corrected: Collection[str] = (),
) -> LayerComparison:
    """Measures every operator of a variant against FP32.

    Args:
        reference: the FP32 graph.
        variant: float16 or with Q/DQ; its nodes have the names of FP32's.
        frames: uint8 [1, H, W, 3], one after another; only one frame's tensors are in memory.
        name: of the variant.
        precision: of the variant.
        corrected: the operators with a bias that calibration corrected.

    Raises:
        VerificationError: the variant's graph does not have FP32's operators, or there are no frames.
    """
    graph = MatchedGraphs(reference, variant)
    comparison = _Comparison(graph, frozenset(corrected))
    count = 0
    for frame in frames:
        comparison.add(frame, np.random.default_rng(count))
        count += 1
    if not count:
        raise VerificationError("there are no frames to compare the operators on; name at least one")
    return LayerComparison(name, precision, count, tuple(comparison.results))


class _Comparison:
    def __init__(self, graph: MatchedGraphs, corrected: frozenset[str]) -> None:
        self.graph, self.corrected = graph, corrected
        self.constants = initializers(graph.reference)
        self.nodes: Sequence[onnx.NodeProto] = list(graph.reference.graph.node)
        self.last = last_readers(self.nodes)
        self.results = [
            OperatorResult(node.name, node.op_type, self._weight(node), node.output[0]) for node in self.nodes
        ]

    def _weight(self, node: onnx.NodeProto) -> str:
        return next((i for i in node.input if i in self.constants and self.constants[i].ndim > 1), "")

    def add(self, frame: Array, random: np.random.Generator) -> None:
        """Adds one frame, uint8 [1, H, W, 3]."""
        source = self.graph.reference.graph.input[0].name
        exact, running = {source: frame}, {source: frame}
        for position, (node, result) in enumerate(zip(self.nodes, self.results, strict=True)):
            output, free = self._judge(node, result, exact, running, random)
            exact[node.output[0]], running[node.output[0]] = output, free
            for name in {*node.input, *node.output}:
                if self.last.get(name, -1) <= position:
                    exact.pop(name, None)
                    running.pop(name, None)

    def _judge(
        self,
        node: onnx.NodeProto,
        result: OperatorResult,
        exact: dict[str, Array],
        running: dict[str, Array],
        random: np.random.Generator,
    ) -> tuple[Array, Array]:
        """Measures one operator; returns its output in FP32 and in the variant as it runs on its own."""
        twin, routes = self.graph.twins[node.name], self.graph.routes[node.name]
        plain = [exact.get(name, self.constants.get(name)) for name in node.input]
        read = [_through(route, exact, running) for route in routes]
        # The limit needs FP32's operator on the variant's inputs: activations through Q/DQ, weights unchanged.
        same = [
            weight if name in self.constants else _like(value, weight)
            for name, value, weight in zip(node.input, read, plain, strict=True)
        ]
        noisy = [
            route.with_noise(value, random) if route is not None and name in self.constants else value
            for name, value, route in zip(node.input, same, routes, strict=True)
        ]
        operator = RunnableNode(node, self.graph.reference, [None if v is None else v.dtype for v in plain])
        output = operator(plain)[0]
        wanted = operator(same)[0]
        noise = (
            _power(_difference(operator(noisy)[0], wanted))
            if any(a is not b for a, b in zip(noisy, same, strict=True))
            else 0.0
        )
        turned = RunnableNode(twin, self.graph.variant, [None if v is None else v.dtype for v in read])
        own = turned(read)[0]
        free = turned([_through(route, running, running) for route in routes])[0]
        difference = _difference(own, wanted)  # [N, C, H, W] for an operator with a bias
        if node.name in self.corrected:
            difference -= difference.mean(axis=(0, 2, 3), keepdims=True)
        result.own.add(difference, noise + _rounding(own), wanted)
        result.total.add(_difference(free, output), 0.0, output)
        for route in self.graph.ranges(node.output[0]):
            self._judge_range(route, result, output, output.astype(own.dtype))
        return output, free

    def _judge_range(self, route: Route, result: OperatorResult, output: Array, stored: Array) -> None:
        if result.range is None:
            result.range = Deviation()
        result.range.add(_difference(route(stored), output), route.step_power(output), output)
        result.outside += route.outside(output)
        result.values += output.size


def _through(route: Route | None, values: dict[str, Array], variant: dict[str, Array]) -> Array | None:
    """Returns an input of the variant's operator, with the source in the variant's type."""
    if route is None or not route.source:
        return None if route is None else route()
    with np.errstate(over="ignore"):
        return route(values[route.source].astype(variant[route.source].dtype))


def _like(value: Array | None, model: Array | None) -> Array | None:
    return None if value is None or model is None else value.astype(model.dtype)


def _difference(value: Array, wanted: Array) -> Array:
    with np.errstate(invalid="ignore"):  # infinite minus infinite is not a number, and so not finite
        return value.astype(np.float64) - wanted.astype(np.float64)


def _rounding(value: Array) -> float:
    """Returns the sum of squares of a tensor's rounding errors in float16: uniform between two neighbours."""
    if value.dtype != np.float16:
        return 0.0
    return _power(half_spacing(value[np.isfinite(value)])) / 12


def _power(value: Array) -> float:
    wide = value.astype(np.float64, copy=False).ravel()
    return float(np.einsum("i,i->", wide, wide))  # a dot product would wait for BLAS threads


def percent(share: float) -> str:
    """Formats a share in points of 100, with as few digits as are needed."""
    points = 100 * share
    if not np.isfinite(points):
        return "infinite"
    if 0 < points < _LEAST_SHOWN:
        return f"<{_LEAST_SHOWN}"
    return f"{points:.0f}" if points >= 10 else f"{points:.2g}"
