"""Activation ranges: what the methods take, and that memory does not grow with the images."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgeseg.calibration import ranges as module
from edgeseg.calibration.graph import INPUT, Graph, with_outputs
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.ranges import (
    BINS,
    METHODS,
    Histogram,
    entropy_range,
    measure,
    passes,
    percentile_range,
)
from edgeseg.calibration.session import open_session
from edgeseg.core.errors import DataError, UsageError
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Weights, build

Frames = Callable[[], Iterator[np.ndarray]]


def histogram(values: np.ndarray) -> Histogram:
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return Histogram(low, high, np.histogram(values, BINS, (low, high))[0])


@pytest.fixture(scope="module")
def frames(images: CalibrationSet) -> Frames:
    kept = [sample.frame_bgr[None] for sample in images.read(images.for_ranges)]
    return lambda: iter(kept)


@pytest.fixture(scope="module")
def activations(graph: Graph, frames: Frames) -> dict[str, np.ndarray]:
    """Every activation on every frame, kept as NumPy has it."""
    session = open_session(with_outputs(graph.model, graph.activations))
    every = [session.run(None, {INPUT: frame}) for frame in frames()]
    return {
        name: np.stack(values)
        for name, values in zip(graph.activations, zip(*every, strict=True), strict=True)
    }


def test_minmax_is_the_least_and_the_greatest(
    graph: Graph, frames: Frames, activations: dict[str, np.ndarray]
) -> None:
    found = measure(graph, frames, ["minmax"])["minmax"]
    assert set(found) == set(activations)
    for name, values in activations.items():
        wanted = (min(0.0, values.min()), max(0.0, values.max()))
        # Another session may sum in another order.
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-5, err_msg=name)


def test_histograms_count_every_value(
    graph: Graph, frames: Frames, activations: dict[str, np.ndarray]
) -> None:
    extremes = measure(graph, frames, ["minmax"])["minmax"]
    found = module._histograms(graph, frames, extremes, lambda: None)
    for name, values in activations.items():
        low, high = extremes[name]
        assert found[name].counts.sum() == values.size, name
        wanted = np.histogram(values, BINS, (low, high))[0]
        # Values on a bin's edge may be counted on its other side.
        assert np.abs(np.cumsum(found[name].counts) - np.cumsum(wanted)).max() <= 0.01 * values.size, name


def test_tensors_that_do_not_fit_together_are_measured_in_turn(
    graph: Graph, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = measure(graph, frames, METHODS)
    monkeypatch.setattr(module, "_GROUP_BYTES", 20_000)
    groups = list(module._groups(graph))
    assert len(groups) > 3
    assert tuple(name for group in groups for name in group) == graph.activations
    assert measure(graph, frames, METHODS) == together


def test_zero_is_always_inside(graph: Graph, frames: Frames) -> None:
    for by_tensor in measure(graph, frames, METHODS).values():
        assert all(low <= 0 <= high for low, high in by_tensor.values())


def test_every_frame_of_every_pass_is_told(graph: Graph, frames: Frames) -> None:
    for methods, wanted in ((["minmax"], 1), (["entropy"], 2), (METHODS, 2)):
        steps: list[int] = []
        measure(graph, frames, methods, lambda steps=steps: steps.append(1))
        assert len(steps) == wanted * len(list(frames()))
        assert passes(methods) == wanted


def test_percentile_clips_an_outlier() -> None:
    values = np.append(np.random.default_rng(0).normal(0, 1, 100_000), [400.0])
    low, high = percentile_range(histogram(values))
    assert -5 < low < -3
    assert 3 < high < 5


def test_entropy_clips_an_outlier() -> None:
    values = np.append(np.random.default_rng(0).normal(0, 1, 100_000), [40.0])
    low, high = entropy_range(histogram(values))
    assert 3 < high < 12
    assert low > -12


@pytest.mark.parametrize("method", [entropy_range, percentile_range])
def test_what_is_spread_evenly_is_kept(method: Callable[[Histogram], tuple[float, float]]) -> None:
    values = np.linspace(-2, 6, 200_000)
    low, high = method(histogram(values))
    assert low == pytest.approx(-2, abs=0.1)
    assert high == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("method", [entropy_range, percentile_range])
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 500),
    shift=st.sampled_from([-10.0, -0.5, 0.0, 0.01, 3.0]),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
)
def test_a_range_is_within_what_there_was_and_holds_zero(
    method: Callable[[Histogram], tuple[float, float]], seed: int, size: int, shift: float, spread: float
) -> None:
    one = histogram(np.random.default_rng(seed).normal(shift, spread, size))
    low, high = method(one)
    assert one.low <= low <= 0 <= high <= one.high
    assert high > low or one.high == one.low


def test_an_unknown_method(graph: Graph, frames: Frames) -> None:
    with pytest.raises(UsageError, match="unknown calibration method 'mse'; known: minmax, percentile"):
        measure(graph, frames, ["minmax", "mse"])


@pytest.mark.parametrize("methods", [["minmax"], ["percentile"]])
def test_no_frames(graph: Graph, methods: list[str]) -> None:
    with pytest.raises(DataError, match="there are no calibration images"):
        measure(graph, lambda: [], methods)


def test_an_activation_that_is_not_finite_is_named(weights: Weights, frames: Frames) -> None:
    broken = Graph(build({**weights, "depth.bias": np.full(8, np.inf, np.float32)}))
    with pytest.raises(DataError, match=r"^d is not finite on a calibration image"):
        measure(broken, frames, ["minmax"])


MEMORY = """
import importlib.util, re, sys
import numpy as np
spec = importlib.util.spec_from_file_location("by_hand", sys.argv[1])
by_hand = importlib.util.module_from_spec(spec)
sys.modules["by_hand"] = by_hand
spec.loader.exec_module(by_hand)
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.ranges import METHODS, measure
size_hw = (96, 144)
graph = Graph(by_hand.build(by_hand.random_weights(), size_hw))
frame = by_hand.image(0, size_hw).frame_bgr[None]
measure(graph, lambda: (frame ^ np.uint8(i % 8) for i in range(int(sys.argv[2]))), METHODS)
# What getrusage tells may be the peak of the process that started this one.
peak_kib = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
print(peak_kib, sum(map(np.prod, graph.shapes.values())) * 4)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_images() -> None:
    peaks = []
    for count in (50, 400):
        argv = [sys.executable, "-c", MEMORY, str(Path(__file__).with_name("conftest.py")), str(count)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
        peak, one_image = map(float, done.stdout.split())
        peaks.append(peak * 1024)
    # The test could see it: the activations of 350 more images would be well above the margin.
    assert 350 * one_image > 3 * 0.1 * peaks[0]
    assert peaks[1] < 1.1 * peaks[0]
