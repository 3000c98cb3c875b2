"""OpenVINO is held to the gates of the precision that it computes in."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.export.verification.frames import VocFrames
from edgeseg.export.verification.gates import Gates
from edgeseg.export.verification.verify import VerifyRequest, verify
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.backends.openvino import OpenVinoBackend
from edgeseg.runtime.bundle import Bundle

from .conftest import NoiseFrames

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def native(bundle: Bundle) -> str:
    """The precision that OpenVINO chooses by itself on this machine."""
    with OpenVinoBackend(bundle.variant("fp32"), bundle.input_size_hw) as backend:
        return backend.precision


def test_float32_passes_float32s_gates(bundle: Bundle, noise: NoiseFrames) -> None:
    verification = verify(bundle, noise, VerifyRequest(backend="openvino", device="cpu-f32"))
    assert verification.passed, verification.failures()
    fp32, fp16 = verification.variants
    assert (fp32.backend, fp32.gates) == ("openvino, cpu-f32", Gates.for_precision("fp32"))
    # Computed in float32, and its weights are still float16.
    assert (fp16.backend, fp16.gates) == ("openvino, cpu-f32", Gates.for_precision("fp16"))


def test_bfloat16_is_judged_as_bfloat16_and_said(bundle: Bundle, noise: NoiseFrames, native: str) -> None:
    if native != "bf16":
        pytest.skip(f"here OpenVINO computes in {native}")
    (fp32,) = verify(bundle, noise, VerifyRequest(variants=["fp32"], backend="openvino")).variants
    assert fp32.backend == "openvino, cpu, in bf16"
    assert fp32.gates == Gates.for_precision("bf16")
    assert 0 < fp32.summary.relative_logit_error < 0.2
    # It is no float32, and float32's gates see that.
    strict = {"fp32": Gates.for_precision("fp32")}
    assert not verify(
        bundle, noise, VerifyRequest(variants=["fp32"], backend="openvino", gates=strict)
    ).passed


def test_bfloat16_may_cost_a_class_no_more_than_float16() -> None:
    bf16, fp16 = Gates.for_precision("bf16"), Gates.for_precision("fp16")
    assert (bf16.class_drop, bf16.real_disagreement) == (fp16.class_drop, fp16.real_disagreement)
    # Four times the rounding makes four times as wide a tie, and moves a logit four times as far.
    assert bf16.tie_margin == 4 * fp16.tie_margin
    assert (bf16.logit_error, fp16.logit_error) == (0.8, 0.2)


@pytest.mark.slow
def test_trained_weights_pass_on_real_images(shared_data: Path, tmp_path: Path) -> None:
    camvid = resolve_weights("lraspp", "camvid")
    network, size_hw = camvid.build(), (360, 480)
    folder = tmp_path / "camvid"
    folder.mkdir()
    variants = variant_graphs(export_graph(network, camvid.info, size_hw), ("fp32",))
    write_bundle(folder, network, camvid.info, variants, weights_name="camvid", size_hw=size_hw)
    frames = VocFrames(shared_data / "camvid", "val", 8)
    for device in ("cpu", "cpu-f32"):
        verification = verify(Bundle.load(folder), frames, VerifyRequest(backend="openvino", device=device))
        assert verification.passed, verification.failures()
        (fp32,) = verification.variants
        assert fp32.summary.miou_reference is not None
        assert fp32.summary.miou_reference > 0.4
