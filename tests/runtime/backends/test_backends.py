"""The contract of every backend; a new one adds its name to ``BACKENDS``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.errors import BackendError, BundleError
from edgeseg.runtime import backends
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.backends.onnxruntime import OnnxRuntimeBackend
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.decode import decode

BACKENDS = [
    ("onnxruntime", "cpu", ""),
    ("openvino", "cpu", ""),
    ("openvino", "cpu-f32", ""),
    ("tensorrt", "cuda", "fake_tensorrt"),
    pytest.param("tensorrt", "cuda", "", marks=pytest.mark.gpu),
]
"""Name, device, and the fixture that stands in for what this machine may not have."""


@pytest.fixture
def variant(bundle_folder: Path) -> Variant:
    return Bundle.load(bundle_folder).variant()


@pytest.mark.parametrize(("name", "device", "stand_in"), BACKENDS)
class TestContract:
    @pytest.fixture(autouse=True)
    def there(
        self,
        name: str,
        device: str,
        stand_in: str,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
        if stand_in:
            request.getfixturevalue(stand_in)
        if reason := backends.backend_class(name).why_unavailable(device):
            pytest.skip(reason)

    @pytest.fixture
    def backend(self, name: str, device: str, variant: Variant, there: None) -> Iterator[Backend]:
        with backends.backend_class(name)(variant, (32, 48), device) as backend:
            yield backend

    def test_it_tells_what_it_is(self, backend: Backend, name: str, device: str) -> None:
        assert (backend.name, backend.device) == (name, device)
        # By itself OpenVINO computes in bfloat16 where the CPU has it.
        assert backend.precision == "fp32" or (
            (name, device) == ("openvino", "cpu") and backend.precision == "bf16"
        )
        assert backend.version(device)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_it_gives_logits(self, backend: Backend, batch: int) -> None:
        logits = backend.infer(np.full((batch, 32, 48, 3), 128, np.uint8))
        assert logits.shape == (batch, 3, 8, 12)
        assert logits.dtype == np.float32
        # The graph's own arithmetic, in float32: -(128/255 - level)^2.
        expected = -((128 / 255 - np.array([40, 128, 215]) / 255) ** 2)
        # bfloat16 keeps 8 bits of a mean of at most 1, and the square doubles what is lost.
        tolerance = 1e-6 if backend.precision == "fp32" else 2**-7
        np.testing.assert_allclose(logits[-1, :, 3, 3], expected, atol=tolerance)

    def test_results_outlive_the_next_call(self, backend: Backend) -> None:
        first = backend.infer(np.zeros((1, 32, 48, 3), np.uint8))
        kept = first.copy()
        backend.infer(np.full((1, 32, 48, 3), 255, np.uint8))
        np.testing.assert_array_equal(first, kept)
        backend.close()
        np.testing.assert_array_equal(first, kept)

    def test_as_many_results_stay_valid_as_it_says(self, backend: Backend) -> None:
        frame = backend.new_input()
        results = []
        for number in range(3 * backend.RESULTS_KEPT):
            frame.fill(20 * number)
            logits = backend.infer(frame)
            results.append((logits, logits.copy()))
            for kept, copied in results[-backend.RESULTS_KEPT :]:
                np.testing.assert_array_equal(kept, copied)
        assert len({copied.tobytes() for _, copied in results}) == len(results)

    def test_a_batch_between_leaves_single_results_alone(self, backend: Backend) -> None:
        first = backend.infer(np.full((1, 32, 48, 3), 90, np.uint8))
        kept = first.copy()
        for _ in range((backend.RESULTS_KEPT - 1) // 2):  # it counts frames
            together = backend.infer(np.full((2, 32, 48, 3), 200, np.uint8))
        np.testing.assert_array_equal(first, kept)
        assert (together != first).any()

    def test_its_own_memory_and_any_other_give_the_same(self, backend: Backend) -> None:
        pixels = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (2, 32, 48, 3), np.uint8)
        own = backend.new_input(2)
        assert (own.shape, own.dtype, own.flags.c_contiguous) == (pixels.shape, np.uint8, True)
        own[:] = pixels
        expected = backend.infer(own).copy()
        scattered = np.zeros((2, 64, 48, 3), np.uint8)[:, ::2]
        scattered[:] = pixels
        read_only = pixels.copy()
        read_only.flags.writeable = False
        for frame in (pixels, scattered, read_only):
            np.testing.assert_array_equal(backend.infer(frame), expected)
        np.testing.assert_array_equal(backend.infer(own[1:]), expected[1:])

    def test_classes_are_those_of_the_logits(self, backend: Backend) -> None:
        frame = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (2, 32, 48, 3), np.uint8)
        if backend.classes_size_hw is None:
            with pytest.raises(BackendError, match="gives logits alone; decode them on the host"):
                backend.infer_classes(frame)
            return
        maps = backend.infer_classes(frame, logits=True)
        assert maps.logits is not None
        assert maps.logits.shape[1:] == backend.logits_chw
        assert maps.finite.tolist() == [True, True]
        for classes, logits in zip(maps.classes, maps.logits, strict=True):
            # Two roundings of one interpolation may part at a tie.
            assert (classes == decode(logits, backend.classes_size_hw)).mean() > 0.999
        again = backend.infer_classes(frame)
        assert again.logits is None
        np.testing.assert_array_equal(again.classes, maps.classes)

    @pytest.mark.parametrize(
        "frame",
        [
            np.zeros((1, 32, 48, 3), np.float32),
            np.zeros((32, 48, 3), np.uint8),
            np.zeros((1, 48, 32, 3), np.uint8),
            np.zeros((1, 3, 32, 48), np.uint8),
            np.zeros((0, 32, 48, 3), np.uint8),
        ],
    )
    def test_it_refuses_another_shape_or_type(self, backend: Backend, frame: np.ndarray) -> None:
        with pytest.raises(BackendError, match=r"takes uint8 \[N, 32, 48, 3\]; got"):
            backend.infer(frame)

    def test_it_warms_up(self, backend: Backend) -> None:
        backend.warmup()

    def test_once_closed_it_says_so(self, backend: Backend) -> None:
        backend.close()
        backend.close()
        with pytest.raises(BackendError, match="is closed"):
            backend.warmup()
        with pytest.raises(BackendError, match="is closed"):
            backend.infer_classes(np.zeros((1, 32, 48, 3), np.uint8))

    def test_threads_must_be_positive(self, name: str, device: str, variant: Variant) -> None:
        with pytest.raises(BackendError, match="asked for 0 threads; expected at least 1"):
            backends.backend_class(name)(variant, (32, 48), device, threads=0)

    def test_a_damaged_graph_is_refused(self, name: str, device: str, variant: Variant) -> None:
        variant.path.write_bytes(variant.path.read_bytes()[:-9])
        with pytest.raises((BackendError, BundleError), match=str(variant.path)):
            backends.backend_class(name)(variant, (32, 48), device)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(BackendError, match=r"'onnxruntime' is registered already, as edgeseg\.runtime"):
        backends.register("onnxruntime", "a:B")


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_is_absent_is_an_error(variant: Variant, device: str) -> None:
    if not OnnxRuntimeBackend.why_unavailable(device):
        pytest.skip("this ONNX Runtime has GPU providers")
    with pytest.raises(
        BackendError, match=rf'for device {device} .*pip install "edgeseg\[gpu\]", or use --device cpu'
    ):
        OnnxRuntimeBackend(variant, (32, 48), device)


def test_a_provider_that_silently_falls_away_is_an_error(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where the package has CUDA, but the machine lacks its libraries.
    monkeypatch.setattr(OnnxRuntimeBackend, "why_unavailable", classmethod(lambda cls, device: ""))
    with pytest.raises(BackendError, match=r"(could not start|cannot load .*) on cuda"):
        OnnxRuntimeBackend(variant, (32, 48), "cuda")
