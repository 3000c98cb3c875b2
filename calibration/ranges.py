"""Activation ranges, measured image by image, so that memory does not grow with the number of images.

ONNX Runtime's own calibraters keep every image's activations until the end. Here two passes are enough: the first finds
each tensor's least and greatest value, the second fills a histogram between the two. A method derives its range from
that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ..core.errors import DataError, UsageError
from .graph import INPUT, Graph, with_outputs
from .session import open_session

METHODS = ("minmax", "percentile", "entropy")
BINS = 2048
PERCENTILE = 99.99
_LEVELS = 128
_GROUP_BYTES = 256 * 2**20

Range = tuple[float, float]
Frames = Callable[[], Iterable[npt.NDArray[np.uint8]]]


@dataclass(frozen=True)
class Histogram:
    """The histogram of a tensor's values between its least and greatest.

    Attributes:
        low, high: the least and the greatest value; zero is between them or equals one of them.
        counts: int64 [BINS], for bins of equal width from ``low`` to ``high``.
    """

    low: float
    high: float
    counts: npt.NDArray[np.int64]


def measure(
    graph: Graph, frames: Frames, methods: Iterable[str], on_step: Callable[[], None] = lambda: None
) -> dict[str, dict[str, Range]]:
    """Measures the range of every activation.

    Args:
        graph: float32.
        frames: returns a new iterator over the calibration frames at each call, uint8 [1, H, W, 3] at the graph's size.
        methods: some of ``METHODS``.
        on_step: called after each frame of each pass.

    Returns:
        By method, by tensor, (low, high).

    Raises:
        UsageError: an unknown method.
        DataError: there are no frames, or an activation is not finite.
    """
    chosen = tuple(methods)
    for method in chosen:
        if method not in METHODS:
            raise UsageError(f"unknown calibration method {method!r}; known: {', '.join(METHODS)}, or auto")
    extremes = _extremes(graph, frames, on_step)
    result = {"minmax": extremes} if "minmax" in chosen else {}
    if set(chosen) - {"minmax"}:
        histograms = _histograms(graph, frames, extremes, on_step)
        if "percentile" in chosen:
            result["percentile"] = {name: percentile_range(h) for name, h in histograms.items()}
        if "entropy" in chosen:
            result["entropy"] = {name: entropy_range(h) for name, h in histograms.items()}
    return {method: result[method] for method in chosen}


def passes(methods: Iterable[str]) -> int:
    """Returns the number of passes of :func:`measure` over the frames."""
    return 2 if set(methods) - {"minmax"} else 1


class Extremes:
    """The least and the greatest value of every activation, over any number of frames.

    ONNX Runtime returns two numbers for each tensor and frame; memory does not grow with the number of frames.

    Args:
        graph: float32.
        names: of the activations; all if None.
        fuse_quantized: as for :func:`.session.open_session`.

    Attributes:
        names: in the graph's order.
        low, high: float64, one for each name; infinite before the first frame.
    """

    def __init__(
        self, graph: Graph, names: Sequence[str] | None = None, *, fuse_quantized: bool = True
    ) -> None:
        self.names = tuple(graph.activations if names is None else names)
        self.low, self.high = np.full(len(self.names), np.inf), np.full(len(self.names), -np.inf)
        self._session = open_session(_with_extremes(graph.model, self.names), fuse_quantized=fuse_quantized)

    def add(self, frame: npt.NDArray[np.uint8]) -> str | None:
        """Adds a frame, uint8 [1, H, W, 3]; returns the first activation that is not finite on it, or None."""
        if not self.names:
            return None
        values = np.array(self._session.run(None, {INPUT: frame}), np.float64).reshape(2, -1)
        self.low, self.high = np.minimum(self.low, values[0]), np.maximum(self.high, values[1])
        finite = np.isfinite(values).all(axis=0)
        return None if finite.all() else self.names[int(np.argmin(finite))]


def _extremes(graph: Graph, frames: Frames, on_step: Callable[[], None]) -> dict[str, Range]:
    found = Extremes(graph)
    for frame in frames():
        if (name := found.add(frame)) is not None:
            raise DataError(f"{name} is not finite on a calibration image; the network cannot be quantized")
        on_step()
    if not np.isfinite(found.low).all():
        raise DataError("there are no calibration images; ranges need at least one")
    return {
        name: (min(0.0, float(least)), max(0.0, float(most)))
        for name, least, most in zip(found.names, found.low, found.high, strict=True)
    }


def _with_extremes(whole: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Returns a graph whose outputs are two numbers for each tensor, so that ONNX Runtime returns no activation."""
    model = with_outputs(whole, ())
    for kind in ("Min", "Max"):
        for name in names:
            result = f"{name}_{kind}"
            model.graph.node.append(helper.make_node(f"Reduce{kind}", [name], [result], keepdims=0))
            model.graph.output.append(onnx.ValueInfoProto(name=result))
    return model


def _histograms(
    graph: Graph, frames: Frames, extremes: Mapping[str, Range], on_step: Callable[[], None]
) -> dict[str, Histogram]:
    counts = {name: np.zeros(BINS, np.int64) for name in graph.activations}
    groups = [(names, open_session(with_outputs(graph.model, names))) for names in _groups(graph)]
    for frame in frames():
        for names, session in groups:
            for name, values in zip(names, session.run(list(names), {INPUT: frame}), strict=True):
                low, high = extremes[name]
                counts[name] += _count(values, low, high)
        on_step()
    return {name: Histogram(*extremes[name], counts[name]) for name in counts}


def _groups(graph: Graph) -> Iterator[tuple[str, ...]]:
    """Splits the tensors into groups that fit into a bounded memory in one run, for any size of frame."""
    group: list[str] = []
    size = 0
    for name in graph.activations:
        needed = 4 * int(np.prod(graph.shapes[name]))
        if group and size + needed > _GROUP_BYTES:
            yield tuple(group)
            group, size = [], 0
        group.append(name)
        size += needed
    yield tuple(group)


def _count(values: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.int64]:
    width = (high - low) or 1.0
    position = values.ravel() - np.float32(low)
    position *= np.float32(BINS / width)
    index = np.minimum(position.astype(np.int32), BINS - 1)
    return np.bincount(np.maximum(index, 0), minlength=BINS)


def percentile_range(histogram: Histogram, percentile: float = PERCENTILE) -> Range:
    """Returns a range without the rarest values, half of them at each end; zero stays inside.

    Args:
        histogram: of one tensor.
        percentile: share of the values inside, of 100.
    """
    total = histogram.counts.sum()
    tail = total * (1 - percentile / 100) / 2
    below = np.cumsum(histogram.counts)
    edges = np.linspace(histogram.low, histogram.high, BINS + 1)
    first = int(np.searchsorted(below, tail, side="right"))
    last = int(np.searchsorted(below, total - tail, side="left"))
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last, BINS - 1) + 1]))


def entropy_range(histogram: Histogram) -> Range:
    """Returns the bound at which 8 bits keep most of a tensor's distribution, by relative entropy.

    For each bound, larger magnitudes are clipped to it, and the result is spread over 128 levels. The bound with the
    least divergence (Kullback and Leibler) between the two is chosen. (Migacz 2017, "8-bit Inference with TensorRT".)

    Args:
        histogram: of one tensor.
    """
    magnitudes, width = _magnitudes(histogram)
    if np.count_nonzero(magnitudes) <= _LEVELS // 2:  # with so few values clipping gains nothing
        return histogram.low, histogram.high
    candidates = np.unique(np.linspace(_LEVELS, len(magnitudes), 96).astype(int))
    divergences = [_divergence(magnitudes, int(bound)) for bound in candidates]
    bound = float(candidates[int(np.argmin(divergences))] * width)
    return max(histogram.low, -bound), min(histogram.high, bound)


def _magnitudes(histogram: Histogram) -> tuple[npt.NDArray[np.float64], float]:
    """Returns the histogram of absolute values, and the width of its bins."""
    largest = max(-histogram.low, histogram.high) or 1.0
    centres = np.linspace(histogram.low, histogram.high, 2 * BINS + 1)[1::2]
    width = largest / BINS
    index = np.minimum((np.abs(centres) / width).astype(int), BINS - 1)
    counts = histogram.counts.astype(np.float64)
    return np.bincount(index, weights=counts, minlength=BINS).astype(np.float64), width


def _divergence(magnitudes: npt.NDArray[np.float64], bound: int) -> float:
    kept = magnitudes[:bound].copy()
    kept[0] = 0  # zeros are exact at any scale, and would outweigh all other values
    clipped = kept.copy()
    clipped[-1] += magnitudes[bound:].sum()
    level = np.arange(bound) * _LEVELS // bound
    filled = kept > 0
    mass = np.bincount(level, weights=kept, minlength=_LEVELS)
    width = np.bincount(level, weights=filled, minlength=_LEVELS)
    spread = np.where(filled, (mass / np.maximum(width, 1))[level], 0)
    p, q = clipped / max(clipped.sum(), 1e-12), spread / max(spread.sum(), 1e-12)
    # Values that are clipped to an empty level are lost completely.
    q = np.where((p > 0) & (q == 0), 1e-9, q)
    inside = p > 0
    return float(np.sum(p[inside] * np.log(p[inside] / q[inside])))
