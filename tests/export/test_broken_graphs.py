"""The gates refuse broken graphs: each is broken in a way that exporters break them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from edgeseg.export.verification.verify import Verification, VerifyRequest, verify
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.checked_files import file_sha256
from onnx import numpy_helper

Weights = dict[str, npt.NDArray[np.float32]]


def first_convolution(weights: Weights) -> str:
    return next(
        name for name, value in weights.items() if value.ndim == 4 and value.shape[1] == 3 and name != "mean"
    )


def last_convolution(weights: Weights) -> str:
    return [name for name, value in weights.items() if value.ndim == 4 and value.shape[0] == 4][-1]


def swap_red_and_blue(weights: Weights) -> None:
    weights[first_convolution(weights)] = weights[first_convolution(weights)][:, ::-1].copy()


def forget_the_mean(weights: Weights) -> None:
    weights["mean"] *= 0


def take_the_mean_of_rgb(weights: Weights) -> None:
    weights["mean"] = weights["mean"][:, ::-1].copy()


def forget_the_scale_of_one_channel(weights: Weights) -> None:
    weights[first_convolution(weights)][:, 0] *= 0.225 / 0.229


def shift_one_class(weights: Weights) -> None:
    weights[last_convolution(weights).replace("weight", "bias")][1] += 0.05


def swap_two_classes(weights: Weights) -> None:
    for name in (last_convolution(weights), last_convolution(weights).replace("weight", "bias")):
        weights[name][[0, 1]] = weights[name][[1, 0]]


def perturb_one_layer(weights: Weights) -> None:
    name = last_convolution(weights)
    noise = np.random.default_rng(0).normal(1, 0.02, weights[name].shape)
    weights[name] = (weights[name] * noise).astype(np.float32)


def make_one_weight_infinite(weights: Weights) -> None:
    weights[last_convolution(weights)][0, 0] = np.inf


BREAKS: list[Callable[[Weights], None]] = [
    swap_red_and_blue,
    forget_the_mean,
    take_the_mean_of_rgb,
    forget_the_scale_of_one_channel,
    shift_one_class,
    swap_two_classes,
    perturb_one_layer,
    make_one_weight_infinite,
]


def break_variant(bundle: Bundle, folder: Path, change: Callable[[Weights], None]) -> Bundle:
    """A copy of a bundle whose fp32 graph has other weights, and whose manifest vouches for it."""
    shutil.copytree(bundle.path, folder)
    path = folder / bundle.variant("fp32").path.name
    model = onnx.load(path)
    weights = {item.name: numpy_helper.to_array(item).copy() for item in model.graph.initializer}
    change(weights)
    for item in model.graph.initializer:
        item.CopyFrom(numpy_helper.from_array(weights[item.name], item.name))
    onnx.save(model, path)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["variants"]["fp32"].update(sha256=file_sha256(path), bytes=path.stat().st_size)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return Bundle.load(folder)


def failed_gates(verification: Verification) -> set[str]:
    return {
        verdict.gate
        for variant in verification.variants
        for verdict in variant.verdicts
        if not verdict.passed
    }


@pytest.mark.parametrize("truth", [True, False], ids=["truth", "no-truth"])
@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__)
def test_a_broken_graph_is_refused(
    bundle: Bundle,
    tmp_path: Path,
    change: Callable[[Weights], None],
    truth: bool,
    request: pytest.FixtureRequest,
) -> None:
    frames = request.getfixturevalue("noise" if truth else "unlabelled_noise")
    broken = break_variant(bundle, tmp_path / "broken", change)
    verification = verify(broken, frames, VerifyRequest(variants=["fp32"]))
    assert not verification.passed
    assert "fp32: " in verification.failures()
    if change is make_one_weight_infinite:
        assert "finite logits: 3 of 3 frames have logits that are not finite" in verification.failures()
    else:
        # Wrong masks, not only wrong logits.
        assert "real disagreement" in failed_gates(verification)


def test_a_class_that_no_frame_shows_is_still_watched(bundle: Bundle, tmp_path: Path, noise: object) -> None:
    def sink(weights: Weights) -> None:
        # Class 3 wins nowhere in both, but its logits differ.
        weights[last_convolution(weights).replace("weight", "bias")][3] -= 0.02

    found = verify(break_variant(bundle, tmp_path / "broken", sink), noise, VerifyRequest(variants=["fp32"]))
    assert "logit error" in failed_gates(found)
    assert "class 'class_3'" in found.failures()


@pytest.mark.parametrize("truth", [True, False], ids=["truth", "no-truth"])
def test_a_sound_bundle_passes(bundle: Bundle, truth: bool, request: pytest.FixtureRequest) -> None:
    frames = request.getfixturevalue("noise" if truth else "unlabelled_noise")
    verification = verify(bundle, frames)
    assert verification.failures() == ""
    assert verification.passed
    assert [variant.name for variant in verification.variants] == ["fp32", "fp16"]
    assert bool(verification.note) is not truth
