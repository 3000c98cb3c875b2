from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeseg import Segmenter
from edgeseg.core.errors import BackendError, BundleError
from edgeseg.runtime.backends.onnxruntime import OnnxRuntimeBackend
from edgeseg.runtime.backends.openvino import OpenVinoBackend
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.checked_files import file_sha256

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture
def variant(bundle_folder: Path) -> Variant:
    return Bundle.load(bundle_folder).variant()


@pytest.mark.parametrize("device", ["cuda", "CPU", "cpu-f16", "cpu.x", "f32", ""])
def test_a_device_it_does_not_know(device: str) -> None:
    assert OpenVinoBackend.why_unavailable(device).startswith(
        f"openvino knows no device {device!r}; known: cpu, gpu"
    )


@pytest.mark.parametrize("device", ["gpu.9", "npu.9-f32"])
def test_a_device_that_is_absent_is_an_error(variant: Variant, device: str) -> None:
    shown = device.removesuffix("-f32").upper()
    with pytest.raises(
        BackendError, match=rf"finds no device {shown} here \(it finds .*CPU.*\); .* --device cpu"
    ):
        OpenVinoBackend(variant, (32, 48), device)


def test_without_openvino_it_says_what_to_install(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match=r'needs openvino, .*: pip install "edgeseg\[openvino\]"'):
        OpenVinoBackend(variant, (32, 48))


def test_float32_is_float32(variant: Variant) -> None:
    frame = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (1, 32, 48, 3), np.uint8)
    with (
        OnnxRuntimeBackend(variant, (32, 48)) as reference,
        OpenVinoBackend(variant, (32, 48), "cpu-f32") as backend,
    ):
        assert backend.precision == "fp32"
        # Seven digits of values of at most 1.
        np.testing.assert_allclose(backend.infer(frame), reference.infer(frame), atol=2e-7)


def test_it_knows_the_logits_before_the_first_frame(variant: Variant) -> None:
    with OpenVinoBackend(variant, (32, 48)) as backend:
        assert backend.logits_chw == (3, 8, 12)


def test_the_number_of_threads_reaches_it(variant: Variant) -> None:
    with OpenVinoBackend(variant, (32, 48), threads=1) as backend:
        model = backend._compiled[1].request.get_compiled_model()
        assert model.get_property("INFERENCE_NUM_THREADS") == 1


def test_a_segmenter_runs_on_it(bundle_folder: Path) -> None:
    frame = np.full((60, 90, 3), 30, np.uint8)
    frame[:, 45:] = 220
    with (
        Segmenter(bundle_folder) as other,
        Segmenter(bundle_folder, backend="openvino", device="cpu-f32") as seg,
    ):
        assert seg.backend.device == "cpu-f32"
        np.testing.assert_array_equal(seg(frame).classes, other(frame).classes)


def test_external_data_is_refused(variant: Variant) -> None:
    onnx.save(
        onnx.load(variant.path),
        variant.path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    variant = replace(variant, sha256=file_sha256(variant.path))
    with pytest.raises(BackendError, match="keeps tensors in other files, which its SHA-256 does not cover"):
        OpenVinoBackend(variant, (32, 48))


def test_a_file_that_was_exchanged_is_refused(variant: Variant) -> None:
    variant.path.write_bytes(variant.path.read_bytes() + b"\x2a\x00")
    with pytest.raises(BundleError, match="was altered since its bundle was opened"):
        OpenVinoBackend(variant, (32, 48))


def test_another_number_of_frames_is_computed_with_the_bytes_of_the_start(variant: Variant) -> None:
    frames = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (2, 32, 48, 3), np.uint8)
    with OpenVinoBackend(variant, (32, 48), "cpu-f32") as backend:
        one = [backend.infer(frame[None])[0].copy() for frame in frames]
        variant.path.write_bytes(b"exported again meanwhile")
        np.testing.assert_array_equal(backend.infer(frames), np.stack(one))


def test_another_graphs_names_are_refused(variant: Variant) -> None:
    model = onnx.load(variant.path)
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"
    onnx.save(model, variant.path)
    variant = replace(variant, sha256=file_sha256(variant.path))
    with pytest.raises(
        BackendError, match=r"has the inputs \['frame'\] and outputs \['scores'\]; expected frame and"
    ):
        OpenVinoBackend(variant, (32, 48))
