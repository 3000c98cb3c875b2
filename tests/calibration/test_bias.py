"""Bias correction: each channel's mean comes back, and only where something was rounded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from edgeseg.calibration.bias import bias_shifts, shifts_as_json, shifts_from_json
from edgeseg.calibration.graph import Graph, with_outputs
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.placement import TARGETS, candidates
from edgeseg.calibration.quantize import quantize
from edgeseg.calibration.session import open_session

from .conftest import Weights, build

Ranges = Mapping[str, Mapping[str, tuple[float, float]]]


@pytest.fixture
def frames(images: CalibrationSet) -> list[np.ndarray]:
    return [sample.frame_bgr[None] for sample in images.read(images.for_ranges)]


def channel_means(model: object, tensor: str, frames: list[np.ndarray]) -> np.ndarray:
    session = open_session(with_outputs(model, [tensor]), fuse_quantized=False)  # type: ignore[arg-type]
    return np.mean([session.run(None, {"frame": frame})[0].mean((0, 2, 3)) for frame in frames], axis=0)


@pytest.mark.parametrize("target", TARGETS)
def test_every_channels_mean_comes_back(
    graph: Graph, ranges: Ranges, frames: list[np.ndarray], target: str
) -> None:
    steps: list[int] = []
    shifts = bias_shifts(graph, ranges["minmax"], target, ["stem"], frames, lambda: steps.append(1))
    assert set(shifts) == set(candidates(graph, target)) - {"stem"}
    assert len(steps) == len(shifts)
    plain = quantize(graph, ranges["minmax"], target, ["stem"])
    corrected = quantize(graph, ranges["minmax"], target, ["stem"], shifts)
    for name in shifts:
        (tensor,) = (node.output[0] for node in graph.nodes if node.name == name)
        wanted = channel_means(graph.model, tensor, frames)
        before = np.abs(channel_means(plain, tensor, frames) - wanted).max()
        after = np.abs(channel_means(corrected, tensor, frames) - wanted).max()
        assert after < max(0.2 * before, 1e-4), name


def test_a_convolution_without_a_bias_is_left_alone(
    weights: Weights, ranges: Ranges, frames: list[np.ndarray]
) -> None:
    model = build(weights)
    (point,) = (node for node in model.graph.node if node.name == "point")
    del point.input[2]
    graph = Graph(model)
    shifts = bias_shifts(graph, ranges["minmax"], "cpu", (), frames[:1])
    assert "point" not in shifts
    assert "deep" in shifts
    quantize(graph, ranges["minmax"], "cpu", (), shifts)


def test_nothing_quantized_needs_nothing(graph: Graph, ranges: Ranges, frames: list[np.ndarray]) -> None:
    assert bias_shifts(graph, ranges["minmax"], "cpu", candidates(graph, "cpu"), frames[:1]) == {}


def test_shifts_survive_json_twice_the_same() -> None:
    shifts = {"a": np.float32([1 / 3, -1e-9, 12345.678])}
    once = shifts_from_json(shifts_as_json(shifts))
    np.testing.assert_allclose(once["a"], shifts["a"], rtol=1e-5)
    assert once["a"].dtype == np.float32
    assert shifts_as_json(once) == shifts_as_json(shifts)
