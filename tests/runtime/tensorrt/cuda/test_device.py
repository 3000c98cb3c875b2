"""The contract of every CUDA device, over the real packages and over fakes of them."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import BackendError
from edgeseg.runtime.tensorrt import cuda
from edgeseg.runtime.tensorrt.cuda.base import CaptureRefusedError, CudaDevice, Gpu
from edgeseg.runtime.tensorrt.cuda.cuda_python_device import CudaPythonDevice, _checker

FAKE_KINDS = ["fake", "cuda-python on a fake", "pycuda on a fake"]
REAL_KINDS = [pytest.param(name, marks=pytest.mark.gpu) for name in ("cuda-python", "pycuda")]
ILLEGAL = re.compile(r"fakeIllegalAddress|cudaErrorIllegalAddress|CUDA_ERROR_ILLEGAL_ADDRESS")
OUT_OF_MEMORY = re.compile(r"fakeOutOfMemory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY")


class Contract:
    @pytest.fixture
    def device(self, kind: str, open_kind: Callable[[str], CudaDevice]) -> Iterator[CudaDevice]:
        with open_kind(kind) as device:
            yield device


@pytest.mark.parametrize("kind", [*FAKE_KINDS, *REAL_KINDS])
class TestContract(Contract):
    def test_it_tells_what_the_gpu_is(self, device: CudaDevice, kind: str) -> None:
        assert device.implementation == kind.removesuffix(" on a fake")
        assert device.gpu.name.isprintable()
        assert re.fullmatch(r"\d+\.\d", device.gpu.compute_capability)
        assert device.gpu.memory_bytes > 1 << 28
        assert device.stream > 0
        assert device.index == 0

    def test_bytes_come_back_as_they_went(self, device: CudaDevice) -> None:
        there, back = device.pinned((2, 5, 3), np.uint8), device.pinned((2, 5, 3), np.uint8)
        there[:] = np.arange(30).reshape(2, 5, 3)
        with device.allocate(30) as memory:
            device.copy_to_device(memory, there)
            device.copy_to_host(back, memory)
            device.synchronize()
        np.testing.assert_array_equal(back, there)

    def test_a_part_can_be_copied(self, device: CudaDevice) -> None:
        memory = device.allocate(64)
        there, back = device.pinned((4, 4), np.float32), device.pinned((4, 4), np.float32)
        there[:], back[:] = np.arange(16).reshape(4, 4), -1
        device.copy_to_device(memory, there[:3])
        device.copy_to_host(back[:2], memory)
        device.synchronize()
        np.testing.assert_array_equal(back[:2], there[:2])
        assert (back[2:] == -1).all()

    def test_pinned_arrays_are_plain_arrays(self, device: CudaDevice) -> None:
        array = device.pinned((3, 7), np.float32)
        assert (array.shape, array.dtype, array.flags.c_contiguous) == ((3, 7), np.float32, True)
        assert array.flags.writeable
        assert device.pinned((0, 4), np.uint8).shape == (0, 4)

    def test_pinned_arrays_outlive_the_device(self, device: CudaDevice) -> None:
        array = device.pinned((1000,), np.int32)
        array[:] = 7
        device.close()
        assert int(array.sum()) == 7000

    def test_memory_is_freed_once(self, device: CudaDevice) -> None:
        memory = device.allocate(0)
        memory.free()
        memory.free()
        with pytest.raises(BackendError, match="used after it was freed"):
            device.copy_to_device(memory, device.pinned((0,), np.uint8))

    def test_a_copy_must_fit(self, device: CudaDevice) -> None:
        memory = device.allocate(8)
        with pytest.raises(BackendError, match="between 8 bytes on the device and an array of 9 bytes"):
            device.copy_to_host(device.pinned((9,), np.uint8), memory)
        with pytest.raises(BackendError, match="an array of 4 bytes that is not contiguous"):
            device.copy_to_device(memory, device.pinned((8,), np.uint8)[::2])

    def test_too_much_memory_is_an_error_with_its_name(self, device: CudaDevice) -> None:
        with pytest.raises(BackendError, match=r"while allocating \d+ bytes on the device: ") as caught:
            device.allocate(1 << 50)
        assert OUT_OF_MEMORY.search(str(caught.value))
        assert OUT_OF_MEMORY.search(device.failure)
        with device.allocate(16):  # it harms nothing else
            device.synchronize()

    def test_any_thread_may_use_it(self, device: CudaDevice) -> None:
        memory, array = device.allocate(4), device.pinned((4,), np.uint8)
        array[:] = 9
        failures: list[BaseException] = []

        def work() -> None:
            try:
                with device.current(), device.current():
                    device.copy_to_device(memory, array)
                    device.synchronize()
                device.copy_to_host(array, memory)
                device.synchronize()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert not failures
        assert (array == 9).all()

    def test_captured_work_is_replayed(self, device: CudaDevice) -> None:
        memory, source, target = (
            device.allocate(4),
            device.pinned((4,), np.uint8),
            device.pinned((4,), np.uint8),
        )
        if not device.can_capture:
            with pytest.raises(CaptureRefusedError, match="makes no CUDA graphs"):
                device.capture(device.synchronize)
            return
        source[:], target[:] = 3, 0

        def copy() -> None:
            device.copy_to_device(memory, source)
            device.copy_to_host(target, memory)

        graph = device.capture(copy)
        device.synchronize()
        assert (target == 0).all()
        for value in (5, 6):
            source[:] = value
            graph.launch()
            device.synchronize()
            assert (target == value).all()
        graph.close()
        graph.close()
        with pytest.raises(BackendError, match="launched after it was closed"):
            graph.launch()

    def test_a_refused_capture_leaves_the_device_working(self, device: CudaDevice) -> None:
        if not device.can_capture:
            pytest.skip(f"{device.implementation} makes no CUDA graphs")
        with pytest.raises(CaptureRefusedError, match=r"capture was refused: .*CaptureUnsupported"):
            device.capture(device.synchronize)
        assert not device.failure
        array = device.pinned((4,), np.uint8)
        with device.allocate(4) as memory:
            device.copy_to_device(memory, array)
            device.synchronize()
        device.capture(lambda: None).launch()

    def test_once_closed_it_says_so(self, device: CudaDevice) -> None:
        memory = device.allocate(4)
        device.close()
        device.close()
        memory.free()
        for use in (device.synchronize, lambda: device.allocate(4), lambda: device.pinned((4,), np.uint8)):
            with pytest.raises(BackendError, match="CUDA device 0 is closed; open it again"):
                use()


@pytest.mark.parametrize("kind", FAKE_KINDS)
class TestOnAFake(Contract):
    """Behaviour that only a fake can show, or make fail."""

    def test_the_context_is_current_only_while_it_is_needed(self, device: CudaDevice, fake: Any) -> None:
        device.synchronize()
        assert fake.pushed == 0
        with device.current():
            device.synchronize()
            assert fake.pushed == 1
        assert fake.pushed == 0
        with pytest.raises(KeyError), device.current():
            raise KeyError
        assert fake.pushed == 0

    def test_nothing_is_done_before_the_stream_is_waited_for(self, device: CudaDevice) -> None:
        array = device.pinned((4,), np.uint8)
        array[:] = 1
        memory = device.allocate(4)
        device.copy_to_host(array, memory)
        assert (array == 1).all()
        device.synchronize()
        assert (array == 0xCD).all()

    def test_closing_frees_everything(self, device: CudaDevice, fake: Any, kind: str) -> None:
        memory = device.allocate(4)
        device.allocate(4).free()
        if device.can_capture:
            device.capture(lambda: None)
        assert fake.alive() >= 2
        device.close()
        assert fake.alive() == 0
        assert fake.pushed == 0
        memory.free()
        assert fake.calls.count("free") == 2

    @pytest.mark.parametrize(
        ("call", "doing"),
        [
            ("to_device", "copying to the device"),
            ("to_host", "copying to the host"),
            ("synchronize", "waiting for the stream"),
            ("allocate", "allocating 4 bytes on the device"),
            ("pin", "allocating 4 bytes of pinned memory"),
            ("push", "entering the context"),
        ],
    )
    def test_an_error_tells_its_name_and_what_was_being_done(
        self, device: CudaDevice, fake: Any, call: str, doing: str
    ) -> None:
        memory, array = device.allocate(4), device.pinned((4,), np.uint8)
        fake.fail(call, "IllegalAddress")

        def use() -> None:
            device.copy_to_device(memory, array)
            device.copy_to_host(array, memory)
            device.synchronize()
            device.allocate(4)
            device.pinned((4,), np.uint8)

        with pytest.raises(BackendError, match=f"CUDA failed while {doing}: ") as caught:
            use()
        assert ILLEGAL.search(str(caught.value))
        assert device.failure == str(caught.value)

    def test_after_an_error_closing_is_quiet_and_lets_all_go(self, device: CudaDevice, fake: Any) -> None:
        device.allocate(4)
        device.allocate(4)
        fake.fail("synchronize", "IllegalAddress")
        with pytest.raises(BackendError, match="waiting for the stream"):
            device.synchronize()
        with pytest.raises(BackendError, match="allocating"):
            device.allocate(4)
        assert "waiting for the stream" in device.failure
        device.close()
        assert fake.calls.count("free") == 2
        assert fake.pushed == 0
        with pytest.raises(BackendError, match="is closed"):
            device.synchronize()

    def test_an_error_while_closing_is_told_and_the_rest_is_freed(
        self, device: CudaDevice, fake: Any
    ) -> None:
        device.allocate(4)
        device.allocate(8)
        fake.fail("free", "IllegalAddress", after=0, sticky=False)
        with pytest.raises(BackendError, match="CUDA failed while freeing device memory"):
            device.close()
        assert fake.calls.count("free") == 2
        assert not fake.streams
        device.close()

    def test_opening_that_fails_leaves_nothing(
        self, kind: str, open_kind: Callable[[str], CudaDevice], fake: Any
    ) -> None:
        fake.fail("make_stream", "OutOfMemory", sticky=False)
        with pytest.raises(BackendError, match="CUDA failed while making a stream") as caught:
            open_kind(kind)
        assert OUT_OF_MEMORY.search(str(caught.value))
        assert fake.alive() == 0
        assert fake.pushed == 0

    def test_a_gpu_that_is_not_there_is_an_error(self, device: CudaDevice) -> None:
        assert type(device).why_unavailable(1) == ""
        for index in (2, -1):
            assert type(device).why_unavailable(index) == (
                f"there is no GPU {index}: this machine has 2, counted from 0"
            )


@pytest.mark.parametrize("name", ["cuda-python", "pycuda"])
def test_pinned_memory_goes_with_its_last_array_in_whichever_thread(
    install_fakes: Callable[[str], None], fake: Any, name: str
) -> None:
    install_fakes(name.replace("-", "_"))
    device = cuda.open_device(implementation=name)
    kept = [device.pinned((4,), np.uint8)]
    device.pinned((4,), np.uint8)
    assert len(fake.pinned) == 2
    device.close()
    assert len(fake.pinned) == 1
    other = threading.Thread(target=kept.clear)
    other.start()
    other.join()
    assert not fake.pinned


@pytest.mark.parametrize("name", ["cuda-python", "pycuda"])
def test_the_primary_context_is_taken_once_and_kept(
    install_fakes: Callable[[str], None], fake: Any, name: str
) -> None:
    """Giving it back would destroy it, and what TensorRT holds in it."""
    install_fakes(name.replace("-", "_"))
    for _ in range(3):
        cuda.open_device(implementation=name).close()
    assert fake.retained == 1


def test_the_gpu_can_be_asked_for_without_a_context(install_fakes: Callable[[str], None], fake: Any) -> None:
    for name in ("cuda_python", "pycuda"):
        install_fakes(name)
        gpu = cuda.gpu_of(1, name.replace("_", "-"))
        assert gpu == Gpu("Fake Orin", "8.7", 8 << 30, multiprocessors=16)
    assert not fake.calls
    assert fake.retained == 0


def test_the_package_that_makes_graphs_comes_first(install_fakes: Callable[[str], None]) -> None:
    install_fakes("cuda_python")
    install_fakes("pycuda")
    with cuda.open_device() as device:
        assert (device.implementation, device.can_capture) == ("cuda-python", True)


def test_the_other_package_serves_where_the_first_does_not(
    install_fakes: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fakes("pycuda")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    assert cuda.why_no_device() == ""
    assert cuda.gpu_of().name == "Fake Orin"
    with cuda.open_device() as device:
        assert device.implementation == "pycuda"


def test_with_no_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(BackendError) as caught:
        cuda.open_device()
    assert str(caught.value) == cuda.why_no_device()
    assert 'pip install "edgeseg[tensorrt]" brings cuda-python' in str(caught.value)
    assert 'on a Jetson, pip install "edgeseg[jetson]" brings pycuda' in str(caught.value)
    with pytest.raises(
        BackendError, match=r'cuda-python .* is not installed: pip install "edgeseg\[tensorrt\]"'
    ):
        cuda.gpu_of(implementation="cuda-python")
    with pytest.raises(BackendError, match=r'pycuda is not installed: pip install "edgeseg\[jetson\]"'):
        cuda.open_device(implementation="pycuda")


def test_an_unknown_package_is_answered() -> None:
    with pytest.raises(BackendError, match=r"unknown CUDA implementation 'opencl'; known: .*cuda-python"):
        cuda.open_device(implementation="opencl")


def test_cuda_12_without_a_driver_raises_and_is_answered(
    install_fakes: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    install_fakes("cuda_python")
    monkeypatch.setattr(sys.modules["cuda.bindings.runtime"], "cudaGetDeviceCount", refuse)
    assert cuda.why_no_device(implementation="cuda-python") == (
        "there is no usable GPU: cuda-python says 'Failed to dlopen libcuda.so.1';"
        " install NVIDIA's driver, or run on the CPU"
    )


class TestRealBindingsWithoutAGpu:
    """The real functions check their arguments before they find no driver, and so check ours."""

    @pytest.fixture
    def device(self) -> CudaDevice:
        runtime = bindings("runtime")
        try:
            error = runtime.cudaGetDeviceCount()[0]
        except RuntimeError as problem:  # CUDA 12's
            pytest.skip(f"cuda-python answers nothing here: {problem}")
        if not int(error):
            pytest.skip("this machine has a GPU, where the contract is tested for real")

        class Driverless(CudaPythonDevice):
            @classmethod
            def why_unavailable(cls, index: int = 0) -> str:
                return ""

            @classmethod
            def gpu_of(cls, index: int = 0) -> Gpu:
                return Gpu("none", "0.0", 0, 0)

            def _open(self) -> None:
                self._runtime, self._call = runtime, _checker(self._failed)
                self._context: Any = object()
                self._stream = runtime.cudaStream_t(0)

            def _push(self) -> None:
                pass

            def _pop(self) -> None:
                pass

        return Driverless()

    @pytest.mark.parametrize(
        ("doing", "use"),
        [
            ("making a stream", lambda d: CudaPythonDevice._open_stream(d)),
            ("closing the stream", lambda d: d._close_stream()),
            ("allocating 16 bytes on the device", lambda d: d.allocate(16)),
            ("freeing device memory", lambda d: d._free(4096)),
            ("allocating 16 bytes of pinned memory", lambda d: d.pinned((4, 4), np.uint8)),
            ("copying to the device", lambda d: d._to_device(4096, np.zeros(4, np.uint8))),
            ("copying to the host", lambda d: d._to_host(np.zeros(4, np.uint8), 4096)),
            ("waiting for the stream", lambda d: d.synchronize()),
            ("starting a capture", lambda d: d._begin_capture()),
            ("ending a capture", lambda d: d._end_capture()),
            ("launching a CUDA graph", lambda d: d._launch(d._runtime.cudaGraphExec_t(0))),
            ("freeing a CUDA graph", lambda d: d._destroy_graph(d._runtime.cudaGraphExec_t(0))),
        ],
    )
    def test_they_take_what_they_are_given_and_name_the_error(
        self, device: CudaDevice, doing: str, use: Callable[[Any], object]
    ) -> None:
        with pytest.raises(BackendError, match=rf"^CUDA failed while {doing}: cudaError\w+$"):
            use(device)

    def test_an_abandoned_capture_is_quiet(self, device: CudaDevice) -> None:
        device._abandon_capture()
        assert device.failure == ""


def bindings(name: str) -> ModuleType:
    return pytest.importorskip(f"cuda.bindings.{name}", reason="cuda-python is not installed")


def test_without_a_driver_the_error_is_one_clear_line() -> None:
    runtime = bindings("runtime")
    if int(runtime.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("this machine has a GPU")
    reason = cuda.why_no_device(implementation="cuda-python")
    assert re.fullmatch(
        r"there is no usable GPU: cuda-python says cudaError\w+; install NVIDIA's driver, .*", reason
    )
