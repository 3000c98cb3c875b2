"""The TensorRT backend over a fake TensorRT and a fake GPU: what it does with each, and what it does when they fail."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg import Segmenter
from edgeseg.cli.main import main
from edgeseg.core.errors import BackendError
from edgeseg.core.source import Source
from edgeseg.runtime.backends import backend_class
from edgeseg.runtime.backends.tensorrt import TensorRTBackend
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.decode import decode
from edgeseg.runtime.pipeline import Pipeline
from edgeseg.runtime.tensorrt.options import BuildOptions

SIZE = (32, 48)
ILLEGAL = "cudaErrorIllegalAddress"


@pytest.fixture
def variant(bundle_folder: Path) -> Variant:
    return Bundle.load(bundle_folder).variant()


@pytest.fixture
def open_backend(fake_tensorrt: Any, variant: Variant) -> Callable[..., TensorRTBackend]:
    """Opens the backend on the fake, with build options as keywords; frames have the network's size."""

    def open_it(**options: Any) -> TensorRTBackend:
        return TensorRTBackend(variant, SIZE, options=BuildOptions(**{"frame_size_hw": SIZE, **options}))

    return open_it


def grey(*levels: int) -> np.ndarray:
    """One plain frame a level, uint8 [N, 32, 48, 3]."""
    return np.stack([np.full((*SIZE, 3), level, np.uint8) for level in levels])


DARK, MIDDLE, BRIGHT = 20, 128, 230


def test_it_runs_on_the_gpu_that_is_named(fake_tensorrt: Any, variant: Variant) -> None:
    with TensorRTBackend(variant, SIZE, "cuda:1") as backend:
        assert backend.device == "cuda:1"
        assert backend.infer(grey(BRIGHT))[0, :, 0, 0].argmax() == 2
    (options, gpu), *_ = fake_tensorrt.told
    assert (options, gpu.name) == (None, "Fake Orin")


def test_it_forbids_host_code_before_it_loads_an_engine(
    open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
) -> None:
    with open_backend(dla_core=1):
        assert fake_tensorrt.runtimes == [{"host_code": False, "dla": 1}]


def test_it_tells_that_an_engine_is_built(fake_tensorrt: Any, variant: Variant) -> None:
    told: list[str] = []
    with TensorRTBackend(variant, SIZE, on_message=told.append):
        assert told == ["building an engine for fp32"]


def test_frames_in_its_own_memory_are_not_copied_on_the_host(
    open_backend: Callable[..., TensorRTBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_backend() as backend:
        read: list[int] = []
        copy = backend._cuda.copy_to_device
        monkeypatch.setattr(
            backend._cuda,
            "copy_to_device",
            lambda memory, array: (read.append(array.ctypes.data), copy(memory, array)),
        )
        own = backend.new_input()
        own[:] = grey(BRIGHT)
        assert backend.infer_classes(own).classes[0, 0, 0] == 2
        other = grey(DARK)
        assert backend.infer_classes(other).classes[0, 0, 0] == 0
        assert read[0] == own.ctypes.data
        # Memory that is not pinned is never read by the GPU.
        assert read[1] not in (own.ctypes.data, other.ctypes.data)


def test_too_few_frames_in_its_own_memory_are_filled_up(
    open_backend: Callable[..., TensorRTBackend],
) -> None:
    with open_backend(batch=(2, 2)) as backend:
        own = backend.new_input()
        own[:] = grey(BRIGHT)
        assert backend.infer_classes(own).classes.tolist() == [[[2] * 48] * 32]


def test_class_maps_may_have_a_size_of_their_own(open_backend: Callable[..., TensorRTBackend]) -> None:
    with open_backend(frame_size_hw=(75, 101)) as backend:
        maps = backend.infer_classes(grey(DARK), logits=True)
        assert backend.classes_size_hw == (75, 101)
        assert backend.logits_chw == (3, 8, 12)
        assert maps.logits is not None
        np.testing.assert_array_equal(maps.classes[0], decode(maps.logits[0], (75, 101)))


def test_where_the_frames_size_is_open_the_engine_gives_logits_alone(
    open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
) -> None:
    with open_backend(frame_size_hw=None) as backend:
        assert (backend.classes_size_hw, backend.logits_chw) == (None, (3, 8, 12))
        backend.warmup()
        fake_tensorrt.fake.calls.clear()
        assert backend.infer(grey(BRIGHT))[0, :, 0, 0].argmax() == 2
        assert fake_tensorrt.fake.calls.count("to_host") == 1


class TestBatch:
    def test_a_profile_takes_what_fits_and_runs_more_in_turn(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        levels = [DARK, BRIGHT, MIDDLE, MIDDLE, DARK]
        with open_backend(batch=(1, 4)) as backend:
            assert backend.batch == (1, 4)
            for count in (1, 2, 4, 5):
                classes = backend.infer_classes(grey(*levels[:count])).classes
                assert classes[:, 5, 5].tolist() == [0, 2, 1, 1, 0][:count]
        assert fake_tensorrt.fake.calls.count("execute") == 5

    def test_each_batch_has_a_context_of_its_own_whose_shape_is_set_once(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend(batch=(1, 4)) as backend:
            for frame in (grey(DARK), grey(DARK), grey(DARK, DARK), grey(DARK, DARK), grey(DARK)):
                backend.infer(frame)
        assert [shape[0] for shape in fake_tensorrt.shapes_set] == [1, 2]
        assert fake_tensorrt.lives.count("+Context") == 2

    def test_too_few_for_a_fixed_batch_are_filled_up(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend(batch=(3, 3)) as backend:
            assert backend.infer_classes(grey(BRIGHT)).classes[:, 0, 0].tolist() == [2]
            classes = backend.infer_classes(grey(DARK, BRIGHT, MIDDLE, BRIGHT)).classes
            assert classes[:, 0, 0].tolist() == [0, 2, 1, 2]
        assert fake_tensorrt.shapes_set == []

    def test_a_shape_that_is_refused_is_an_error(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend(batch=(1, 2)) as backend:
            fake_tensorrt.refuses_shape = True
            with pytest.raises(BackendError, match="TensorRT refused 2 frames: Static dimension mismatch"):
                backend.infer(grey(DARK, DARK))


class TestResults:
    def test_so_many_stay_valid_as_is_said(self, open_backend: Callable[..., TensorRTBackend]) -> None:
        levels = [DARK, MIDDLE, BRIGHT, MIDDLE]
        assert len(levels) == TensorRTBackend.RESULTS_KEPT
        with open_backend() as backend:
            results = [backend.infer_classes(grey(level), logits=True) for level in levels]
            assert [int(maps.classes[0, 0, 0]) for maps in results] == [0, 1, 2, 1]
            assert [int(maps.logits[0, :, 0, 0].argmax()) for maps in results if maps.logits is not None] == [
                0, 1, 2, 1,
            ]  # fmt: skip
            backend.infer_classes(grey(BRIGHT))
            assert int(results[0].classes[0, 0, 0]) == 2

    def test_no_frame_allocates(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend() as backend:
            backend.warmup()
            backend.infer(grey(DARK))
            fake_tensorrt.fake.calls.clear()
            for _ in range(10):
                backend.infer_classes(grey(DARK), logits=True)
                backend.infer(grey(DARK))
        calls = fake_tensorrt.fake.calls[: fake_tensorrt.fake.calls.index("free")]
        assert set(calls) <= {
            "push",
            "pop",
            "to_device",
            "launch",
            "kernel",
            "to_host",
            "synchronize",
            "destroy_graph",
        }

    def test_only_what_is_asked_for_leaves_the_device(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend() as backend:
            for infer, copies in (
                (backend.infer, 1),
                (backend.infer_classes, 2),
                (lambda frame: backend.infer_classes(frame, logits=True), 3),
            ):
                fake_tensorrt.fake.calls.clear()
                infer(grey(DARK))
                assert fake_tensorrt.fake.calls.count("to_host") == copies

    def test_logits_that_are_not_finite_are_told_frame_by_frame(
        self, fake_tensorrt: Any, make_bundle: Callable[..., Path]
    ) -> None:
        broken = Bundle.load(make_bundle(scale=float("inf"))).variant()
        with TensorRTBackend(broken, SIZE, options=BuildOptions(frame_size_hw=SIZE)) as backend:
            assert backend.infer_classes(grey(DARK, BRIGHT)).finite.tolist() == [False, False]


class TestGraph:
    def test_the_first_run_warms_up_the_second_is_captured(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        calls = fake_tensorrt.fake.calls
        with open_backend() as backend:
            backend.infer(grey(DARK))
            assert "launch" not in calls
            for level, expected in ((BRIGHT, 2), (MIDDLE, 1), (DARK, 0)):
                assert backend.infer_classes(grey(level)).classes[0, 0, 0] == expected
            assert backend.why_no_graph == ""
        assert calls.count("execute") == 2
        assert calls.count("begin_capture") == 1
        assert calls.count("launch") == 3

    def test_each_batch_keeps_its_graph(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        fake = fake_tensorrt.fake
        with open_backend(batch=(1, 2)) as backend:
            for count in (1, 1, 1, 2, 2, 2, 1, 1):
                levels = [BRIGHT, MIDDLE][:count]
                assert backend.infer_classes(grey(*levels)).classes[:, 0, 0].tolist() == [2, 1][:count]
        assert fake.calls.count("end_capture") == 2
        assert fake.calls.count("execute") == 4
        assert not fake.graphs

    @pytest.mark.parametrize("call", ["begin_capture", "end_capture"])
    def test_a_refused_capture_is_told_and_frames_go_on(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any, call: str
    ) -> None:
        fake_tensorrt.fake.fail(call, "CaptureUnsupported", sticky=False)
        with open_backend() as backend:
            for level, expected in ((BRIGHT, 2), (MIDDLE, 1), (DARK, 0), (BRIGHT, 2)):
                assert backend.infer_classes(grey(level)).classes[0, 0, 0] == expected
            assert "cudaErrorStreamCaptureUnsupported" in backend.why_no_graph
        assert fake_tensorrt.fake.calls.count("begin_capture") == 1
        assert "launch" not in fake_tensorrt.fake.calls

    def test_tensorrt_for_rtx_is_asked_whether_it_can_be_captured(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        fake_tensorrt.stream_capturable = False
        with open_backend() as backend:
            backend.warmup()
            assert "begin_capture" not in fake_tensorrt.fake.calls
            fake_tensorrt.stream_capturable = True
            backend.infer(grey(DARK))
            assert "launch" in fake_tensorrt.fake.calls

    def test_it_can_be_left_out(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend() as backend:
            backend.cuda_graph = False
            backend.warmup()
            assert backend.infer_classes(grey(MIDDLE)).classes[0, 0, 0] == 1
        assert "begin_capture" not in fake_tensorrt.fake.calls

    def test_warming_up_leaves_only_replays(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend() as backend:
            backend.warmup()
            fake_tensorrt.fake.calls.clear()
            backend.infer_classes(grey(DARK))
            assert fake_tensorrt.fake.calls == [
                "push", "to_device", "launch", "to_host", "to_host", "synchronize", "kernel", "pop",
            ]  # fmt: skip


class TestFailure:
    @pytest.mark.parametrize(
        ("call", "doing"),
        [
            ("to_device", "copying to the device"),
            ("kernel", "waiting for the stream"),
            ("to_host", "copying to the host"),
            ("launch", "launching a CUDA graph"),
        ],
    )
    def test_after_an_error_of_cudas_it_runs_no_more(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any, call: str, doing: str
    ) -> None:
        with open_backend() as backend:
            backend.warmup()
            fake_tensorrt.fake.fail(call, "IllegalAddress")
            with pytest.raises(BackendError, match=f"^CUDA failed while {doing}: {ILLEGAL}$"):
                backend.infer_classes(grey(DARK))
            fake_tensorrt.fake.calls.clear()
            for infer in (backend.infer, backend.infer_classes):
                with pytest.raises(
                    BackendError, match=f"has stopped, because .*{ILLEGAL}; start the program"
                ):
                    infer(grey(DARK))
            assert fake_tensorrt.fake.calls == []

    def test_an_error_that_would_have_passed_stops_it_as_well(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        fake_tensorrt.fake.fail("to_host", "IllegalAddress", sticky=False)
        with open_backend() as backend:
            with pytest.raises(BackendError, match="copying to the host"):
                backend.infer(grey(DARK))
            with pytest.raises(BackendError, match="has stopped"):
                backend.infer(grey(DARK))
        assert fake_tensorrt.fake.alive() == 0

    def test_a_refused_execution_tells_tensorrts_reason(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend() as backend:
            fake_tensorrt.log_on_execute = "IExecutionContext::enqueueV3: Error Code 3: API Usage Error"
            with pytest.raises(BackendError, match=r"TensorRT failed on a frame: .*API Usage Error"):
                backend.infer(grey(DARK))
            fake_tensorrt.log_on_execute = ""
            with pytest.raises(BackendError, match=r"has stopped, because .*API Usage Error"):
                backend.infer(grey(DARK))

    def test_a_refused_execution_tells_cudas_name_where_cuda_failed(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        with open_backend() as backend:
            fake_tensorrt.log_on_execute = "Error Code 1: Cuda Runtime (an illegal memory access)"
            fake_tensorrt.fake.fail("synchronize", "IllegalAddress")
            with pytest.raises(BackendError, match=ILLEGAL):
                backend.infer(grey(DARK))

    def test_a_wrong_frame_does_not_stop_it(self, open_backend: Callable[..., TensorRTBackend]) -> None:
        with open_backend() as backend:
            with pytest.raises(BackendError, match="takes uint8"):
                backend.infer(np.zeros((1, 8, 8, 3), np.uint8))
            assert backend.infer(grey(DARK)).shape == (1, 3, 8, 12)


class TestClosing:
    ENDED = ("-Context", "-Engine", "-Runtime")

    def test_all_goes_in_the_order_of_dependence(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        backend = open_backend()
        backend.warmup()
        fake = fake_tensorrt.fake
        assert fake.alive() == 4 + 1 + 1 + 1  # four tensors, scratch, the graph, the stream
        backend.close()
        backend.close()
        assert fake_tensorrt.lives == ["+Runtime", "+Engine", "+Context", *self.ENDED]
        assert (fake.alive(), len(fake.pinned), fake.pushed) == (0, 0, 0)

    def test_after_an_error_too(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        fake = fake_tensorrt.fake
        fake.fail("to_host", "IllegalAddress", sticky=False)
        with pytest.raises(BackendError, match=ILLEGAL), open_backend() as backend:
            backend.infer(grey(DARK))
        assert tuple(fake_tensorrt.lives[3:]) == self.ENDED
        assert fake.alive() == 0

    def test_where_even_the_context_is_gone_closing_tells_nothing_new(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any
    ) -> None:
        backend = open_backend()
        fake_tensorrt.fake.fail("push", "IllegalAddress", sticky=False)
        with pytest.raises(BackendError, match=f"entering the context: {ILLEGAL}"):
            backend.infer(grey(DARK))
        backend.close()
        assert [life.split()[0] for life in fake_tensorrt.lives[3:]] == list(self.ENDED)
        fake_tensorrt.lives.clear()

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (
                lambda trt: setattr(trt, "refuses_context", True),
                "cannot run the engine: Requested amount of GPU memory .*; free memory on the GPU",
            ),
            (
                lambda trt: setattr(trt, "refuses_address", True),
                "TensorRT refused the memory of frame: no reason",
            ),
            (lambda trt: trt.fake.fail("allocate", "OutOfMemory", after=2, sticky=False), "MemoryAllocation"),
            (lambda trt: trt.fake.fail("pin", "OutOfMemory", sticky=False), "pinned memory: cudaErrorMemory"),
        ],
    )
    def test_opening_that_fails_leaves_nothing(
        self,
        open_backend: Callable[..., TensorRTBackend],
        fake_tensorrt: Any,
        spoil: Callable[[Any], None],
        message: str,
    ) -> None:
        spoil(fake_tensorrt)
        with pytest.raises(BackendError, match=message):
            open_backend()
        fake = fake_tensorrt.fake
        assert (fake.alive(), len(fake.pinned), fake.pushed) == (0, 0, 0)


class TestEngine:
    @pytest.mark.parametrize(
        "changed",
        [
            {"frame": ("TensorIOMode.INPUT", "DataType.FLOAT", (1, 32, 48, 3))},
            {"frame": ("TensorIOMode.INPUT", "DataType.UINT8", (1, 3, 32, 48))},
            {"frame": ("TensorIOMode.INPUT", "DataType.UINT8", (1, 64, 48, 3))},
            {"frame": None},
            {"logits": ("TensorIOMode.OUTPUT", "DataType.HALF", (1, 3, 8, 12))},
            {"logits": ("TensorIOMode.OUTPUT", "DataType.FLOAT", (1, 3, -1, 12))},
            {"classes": ("TensorIOMode.OUTPUT", "DataType.INT32", (1, 32, 48))},
            {"classes": ("TensorIOMode.OUTPUT", "DataType.UINT8", (1, 1, 32, 48))},
            {"classes": None},
            {"sum": ("TensorIOMode.OUTPUT", "DataType.FLOAT", (1, 3, 1, 1))},
            {"sum": ("TensorIOMode.INPUT", "DataType.FLOAT", (1, 1, 1, 1))},
            {"more": ("TensorIOMode.OUTPUT", "DataType.FLOAT", (1,))},
        ],
    )
    def test_one_of_another_form_is_refused(
        self, open_backend: Callable[..., TensorRTBackend], fake_tensorrt: Any, changed: dict[str, Any]
    ) -> None:
        fake_tensorrt.tensors = changed
        with pytest.raises(
            BackendError, match=r"not edgeseg's: it has .*expected frame uint8 .*build --force"
        ):
            open_backend()
        assert fake_tensorrt.fake.alive() == 0

    def test_one_of_the_cache_that_does_not_load_is_built_again_once(
        self, fake_tensorrt: Any, variant: Variant
    ) -> None:
        fake_tensorrt.in_cache = b"of another build of TensorRT"
        told: list[str] = []
        with TensorRTBackend(variant, SIZE, on_message=told.append) as backend:
            assert backend.infer(grey(BRIGHT))[0, :, 0, 0].argmax() == 2
        assert len(fake_tensorrt.told) == 2
        assert any(
            line.startswith("building an engine for fp32: TensorRT 10.3.0 cannot load") for line in told
        )

    def test_one_that_does_not_load_is_an_error(
        self,
        open_backend: Callable[..., TensorRTBackend],
        monkeypatch: pytest.MonkeyPatch,
        fake_tensorrt: Any,
    ) -> None:
        def damaged(*args: Any, **kwargs: Any) -> Any:
            return replace(fake_tensorrt.get_engine(*args, **kwargs), engine=b"\0" * 64)

        monkeypatch.setattr("edgeseg.runtime.backends.tensorrt.get_engine", damaged)
        with pytest.raises(BackendError, match=r"cannot load /cache/x\.engine: Serialization assertion"):
            open_backend()

    def test_the_real_tensorrt_refuses_one_that_is_none(
        self,
        open_backend: Callable[..., TensorRTBackend],
        monkeypatch: pytest.MonkeyPatch,
        fake_tensorrt: Any,
    ) -> None:
        pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")

        def damaged(*args: Any, **kwargs: Any) -> Any:
            return replace(fake_tensorrt.get_engine(*args, **kwargs), engine=b"\0" * 64)

        monkeypatch.setitem(sys.modules, "tensorrt", None)
        monkeypatch.setattr("edgeseg.runtime.backends.tensorrt.get_engine", damaged)
        with pytest.raises(BackendError, match=r"TensorRT for RTX \S+ cannot load /cache/x\.engine: \S+"):
            open_backend()
        assert fake_tensorrt.fake.alive() == 0

    def test_a_variant_for_the_cpu_is_refused(self, fake_tensorrt: Any, variant: Variant) -> None:
        with pytest.raises(BackendError, match="is made for cpu; TensorRT takes those for any or tensorrt"):
            TensorRTBackend(replace(variant, target="cpu"), SIZE)
        assert fake_tensorrt.told == []

    def test_one_for_tensorrt_is_taken(self, fake_tensorrt: Any, variant: Variant) -> None:
        TensorRTBackend(replace(variant, target="tensorrt"), SIZE).close()


class TestAvailability:
    @pytest.mark.parametrize("device", ["cpu", "cuda:", "cuda:x", "gpu", "cuda:-1", ""])
    def test_a_device_it_does_not_know(self, device: str) -> None:
        assert TensorRTBackend.why_unavailable(device) == (
            f"tensorrt knows no device {device!r}; known: cuda, and cuda:N for GPU N"
        )

    def test_there_is_no_tensorrt(self, fake_tensorrt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
        assert 'pip install "edgeseg[tensorrt]"' in TensorRTBackend.why_unavailable("cuda")

    def test_there_is_no_gpu(
        self, fake_tensorrt: Any, variant: Variant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert TensorRTBackend.why_unavailable("cuda:1") == ""
        assert "there is no GPU 2" in TensorRTBackend.why_unavailable("cuda:2")
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
        monkeypatch.setitem(sys.modules, "pycuda.driver", None)
        with pytest.raises(BackendError, match=r'pip install "edgeseg\[tensorrt\]" brings cuda-python'):
            TensorRTBackend(variant, SIZE)

    def test_it_runs_over_pycuda_as_well(
        self,
        fake_tensorrt: Any,
        install_fakes: Callable[[str], None],
        variant: Variant,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
        install_fakes("pycuda")
        with TensorRTBackend(variant, SIZE) as backend:
            backend.warmup()
            assert backend.infer(grey(MIDDLE))[0, :, 0, 0].argmax() == 1
            assert "pycuda makes no CUDA graphs" in backend.why_no_graph
        assert fake_tensorrt.fake.alive() == 0


class TestSegmenter:
    def test_a_frame_of_the_engines_size_is_decoded_on_the_device(
        self, fake_tensorrt: Any, bundle_folder: Path
    ) -> None:
        fake_tensorrt.by_hand = BuildOptions(frame_size_hw=SIZE)
        frame = halves(*SIZE)
        with Segmenter(bundle_folder) as host, Segmenter(bundle_folder, backend="tensorrt") as device:
            assert device.backend.device == "cuda"
            inference = device.infer(device.prepare(frame))
            assert (inference.logits, inference.finite) == (None, True)
            assert inference.classes is not None
            np.testing.assert_array_equal(device.decode(inference).classes, host(frame).classes)
            assert device.infer(device.prepare(frame), logits=True).logits is not None
            with pytest.raises(BackendError, match=r"a margin needs the logits; .*logits=True"):
                device.decode(inference, margin=True)
            np.testing.assert_array_equal(device(frame, margin=True).margin, host(frame, margin=True).margin)

    def test_a_frame_of_another_size_is_decoded_on_the_host(
        self, fake_tensorrt: Any, bundle_folder: Path
    ) -> None:
        fake_tensorrt.by_hand = BuildOptions(frame_size_hw=SIZE)
        frame = halves(75, 101)
        with Segmenter(bundle_folder) as host, Segmenter(bundle_folder, backend="tensorrt") as device:
            inference = device.infer(device.prepare(frame))
            assert inference.classes is None
            assert inference.logits is not None
            np.testing.assert_array_equal(device.decode(inference).classes, host(frame).classes)

    def test_a_result_is_the_callers_own(self, fake_tensorrt: Any, bundle_folder: Path) -> None:
        with Segmenter(bundle_folder, backend="tensorrt") as seg:
            first = seg(grey(DARK)[0])
            for _ in range(TensorRTBackend.RESULTS_KEPT):
                seg(grey(BRIGHT)[0])
        assert (first.classes == 0).all()

    @pytest.mark.parametrize("size_hw", [SIZE, (60, 60)])
    def test_logits_that_are_not_finite_give_no_mask(
        self, fake_tensorrt: Any, make_bundle: Callable[..., Path], size_hw: tuple[int, int]
    ) -> None:
        fake_tensorrt.by_hand = BuildOptions(frame_size_hw=SIZE)
        with Segmenter(make_bundle(scale=float("inf")), backend="tensorrt") as seg:
            for margin in (False, True):
                result = seg(halves(*size_hw), margin=margin)
                assert (result.valid, result.reason, result.margin) == (False, "not-finite", None)
                assert (result.classes == 255).all()

    def test_a_pipeline_keeps_no_more_results_than_stay_valid(
        self, fake_tensorrt: Any, bundle_folder: Path
    ) -> None:
        levels = [DARK, MIDDLE, BRIGHT, BRIGHT, DARK] * 8
        seen: list[int] = []

        class Levels(Source):
            name, live, fps = "levels", False, 25.0
            frames = iter(levels)

            def read(self) -> np.ndarray | None:
                level = next(self.frames, None)
                return None if level is None else grey(level)[0]

            def close(self) -> None:
                pass

        with Segmenter(bundle_folder, backend="tensorrt") as seg:
            decode_now = seg.decode

            def decode_late(inference: Any) -> Any:
                time.sleep(0.005)  # until inference is as far ahead as it can get
                result = decode_now(inference)
                seen.append(int(result.classes[0, 0]))
                return result

            seg.decode = decode_late
            Pipeline(Levels(), seg).run()
        assert seen == [{DARK: 0, MIDDLE: 1, BRIGHT: 2}[level] for level in levels]

    def test_a_graph_that_breaks_the_bundles_promise_is_refused_at_once(
        self, fake_tensorrt: Any, make_bundle: Callable[..., Path]
    ) -> None:
        with pytest.raises(BackendError, match=r"logits of shape \[3, 4, 6\], but .* promises"):
            Segmenter(make_bundle(stride=8, promised_stride=4), backend="tensorrt")
        assert fake_tensorrt.fake.alive() == 0


def test_the_command_runs_it_on_the_gpu(
    fake_tensorrt: Any, bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    source = ["--source", "aerial:3?size=32x48&frames=4", "--masks", str(masks)]
    assert main(["run", "--bundle", str(bundle_folder), "--backend", "tensorrt", *source]) == 0
    printed = capsys.readouterr()
    assert "tiny, fp32 with tensorrt on cuda" in printed.out
    assert "building an engine for fp32" in printed.out + printed.err
    assert len(list(masks.iterdir())) >= 4
    assert fake_tensorrt.fake.alive() == 0


def test_the_backend_is_registered() -> None:
    assert backend_class("tensorrt") is TensorRTBackend


def halves(height: int, width: int) -> np.ndarray:
    frame = np.full((height, width, 3), DARK, np.uint8)
    frame[:, width // 2 :] = BRIGHT
    return frame
