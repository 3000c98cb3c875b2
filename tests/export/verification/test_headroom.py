"""Head-room in float16: what is looked at, what is refused, and that it is told."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.half import to_half
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.export.report.console import PlainConsole, show_verification
from edgeseg.export.report.page import render
from edgeseg.export.verification.gates import judge_headroom
from edgeseg.export.verification.headroom import FRAMES, LIMIT, Headroom, HeadroomMeter, meter_of
from edgeseg.export.verification.verify import Verification, VerifyRequest, verify
from edgeseg.models.checkpoint import Checkpoint
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.preprocess import Preprocessor
from onnx import numpy_helper

from ..conftest import SIZE_HW, NoiseFrames

NODE = "Conv_13"
"""The first of two convolutions with a ReLU between, at the bottom of the U."""


def scaled(graph: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """The same function, with the activations of ``NODE`` made larger: what it multiplies, the next one divides."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    factors = {"down.2.0.weight": factor, "down.2.0.bias": factor, "down.2.3.weight": 1 / factor}
    for item in model.graph.initializer:
        if item.name in factors:
            values = numpy_helper.to_array(item) * np.float32(factors[item.name])
            item.CopyFrom(numpy_helper.from_array(values, item.name))
    return model


@pytest.fixture(scope="module")
def graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    return export_graph(checkpoint.build(), checkpoint.info, SIZE_HW)


@pytest.fixture(scope="module")
def largest(graph: onnx.ModelProto, noise: NoiseFrames) -> float:
    """Of ``NODE``, on the frames."""
    return measured(scaled(graph, 1024), noise).largest / 1024


def measured(graph: onnx.ModelProto, noise: NoiseFrames) -> Headroom:
    meter = HeadroomMeter(to_half(graph))
    preprocess = Preprocessor(SIZE_HW)
    for frame in noise:
        meter.add(preprocess(frame.frame_bgr))
    return meter.result()


@pytest.fixture(scope="module")
def refused(
    checkpoint: Checkpoint,
    graph: onnx.ModelProto,
    largest: float,
    noise: NoiseFrames,
    tmp_path_factory: pytest.TempPathFactory,
) -> Verification:
    """Of a network with an activation of a third of what float16 holds."""
    folder = tmp_path_factory.mktemp("bundle") / "unet"
    folder.mkdir()
    # A power of two, so that no weight is rounded otherwise than before.
    huge = scaled(graph, 2.0 ** np.floor(np.log2(32000 / largest)))
    variants = variant_graphs(huge, ("fp32", "fp16"))
    write_bundle(
        folder, checkpoint.build(), checkpoint.info, variants, weights_name="random", size_hw=SIZE_HW
    )
    return verify(Bundle.load(folder), noise)


def test_a_huge_activation_is_refused_and_named(refused: Verification) -> None:
    fp32, fp16 = refused.variants
    assert fp32.passed
    assert fp32.headroom is None
    assert [verdict.gate for verdict in fp16.verdicts if not verdict.passed] == ["float16 head-room"]
    assert fp16.headroom is not None
    assert LIMIT < fp16.headroom.largest < 65504
    assert fp16.headroom.operator == NODE
    text = refused.failures()
    assert text.startswith(f"fp16: float16 head-room: {NODE}")
    assert "above 16,376, a quarter of what float16 holds" in text
    assert "deploy it in fp32, or train with weights that stay smaller" in text


def test_it_stands_in_the_report_and_on_the_terminal(
    refused: Verification, capsys: pytest.CaptureFixture[str]
) -> None:
    content = refused.as_json()
    variant = content["variants"]["fp16"]
    assert variant["headroom"]["operator"] == NODE
    assert variant["headroom"]["frames"] == 3
    (gate,) = (gate for gate in variant["gates"] if gate["gate"] == "float16 head-room")
    assert (gate["passed"], gate["operator"], gate["limit"]) == (False, NODE, LIMIT)
    assert content["variants"]["fp32"]["headroom"] is None
    page = render(content, refused.images)
    assert f"largest activation; float16 ends at 65,504 ({NODE})" in page
    show_verification(PlainConsole(), refused)
    out = " ".join(capsys.readouterr().out.split())
    assert f"fp16: the largest float16 activation is {variant['headroom']['largest']:,.0f}, by {NODE}" in out
    assert "on the first 3 frames; at most 16,376." in out


def test_what_passes_is_told_too(bundle: Bundle, noise: NoiseFrames) -> None:
    (fp16,) = verify(bundle, noise, VerifyRequest(variants=["fp16"])).variants
    assert fp16.passed
    assert fp16.headroom is not None
    assert 0 < fp16.headroom.largest < LIMIT
    assert fp16.headroom.without == ()


def test_float32_has_no_meter(bundle: Bundle) -> None:
    assert meter_of(bundle.variant("fp32")) is None
    assert meter_of(bundle.variant("fp16")) is not None


def test_the_values_are_those_of_float32(graph: onnx.ModelProto, largest: float, noise: NoiseFrames) -> None:
    """The true value is reported, even if float16 itself would overflow."""
    found = measured(scaled(graph, 2.0**18 / largest), noise)
    assert found.largest == pytest.approx(2.0**18, rel=1e-2)
    assert found.without[:2] == (NODE, "Relu_14")


def test_so_many_frames_are_looked_at_and_no_more(graph: onnx.ModelProto) -> None:
    meter = HeadroomMeter(to_half(graph))
    for value in (*range(FRAMES), 255):
        meter.add(np.full((1, *SIZE_HW, 3), value, np.uint8))
    dark = HeadroomMeter(to_half(graph))
    for value in range(FRAMES):
        dark.add(np.full((1, *SIZE_HW, 3), value, np.uint8))
    assert meter.result() == dark.result()
    assert meter.result().frames == FRAMES


def test_what_is_not_finite_has_no_head_room() -> None:
    verdict = judge_headroom(Headroom(float("inf"), "Conv_3", ("Conv_3", "Relu_4"), 1), LIMIT)
    assert not verdict.passed
    assert verdict.text.startswith("Conv_3 and 1 more give values up to inf, above 16,376")


def test_no_frames_no_verdict(graph: onnx.ModelProto) -> None:
    assert HeadroomMeter(to_half(graph)).result() == Headroom(0.0, "", (), 0)
