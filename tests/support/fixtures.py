"""Fixtures of several parts: tiny bundles, servers that misbehave, films, and fake GPUs."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from edgeseg.core.schemes import SCHEMES
from edgeseg.runtime import sources
from edgeseg.runtime.tensorrt import cuda
from edgeseg.runtime.tensorrt.cuda import cuda_python_device, pycuda_device
from edgeseg.runtime.tensorrt.cuda.base import CudaDevice

from .bundles import brightness_graph, write_bundle


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle that labels by brightness; ``promised_stride`` may differ from the graph's ``stride``."""

    def make(
        name: str = "tiny",
        stride: int = 4,
        promised_stride: int | None = None,
        scale: float = 1.0,
        size_hw: tuple[int, int] = (32, 48),
    ) -> Path:
        graph = brightness_graph(size_hw, stride, scale)
        write_bundle(tmp_path / name, graph, size_hw, promised_stride or stride)
        return tmp_path / name

    return make


@pytest.fixture
def bundle_folder(make_bundle: Callable[..., Path]) -> Path:
    """A bundle that labels pixels dark, grey or bright."""
    return make_bundle()


@pytest.fixture
def edit_manifest(bundle_folder: Path) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    """Rewrites the bundle's manifest by hand, unchecked."""

    def edit(change: Callable[[dict[str, Any]], None]) -> None:
        path = bundle_folder / "bundle.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


FAKES = Path(__file__).resolve().parent / "fakes"
SERVERS = Path(__file__).resolve().parent / "servers"


def load_fake(name: str) -> ModuleType:
    """A module of the fakes, which belong to no package."""
    return load(f"fake_{name}", FAKES / f"{name}.py")


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def films() -> Any:
    """Makes films that are damaged, of a rate that varies or of rare codecs: tests/support/films.py."""
    return load("films", Path(__file__).resolve().parent / "films.py")


@pytest.fixture
def mjpeg_server() -> Iterator[Any]:
    """An HTTP server of moving images that can misbehave: tests/support/servers/mjpeg.py."""
    with load("mjpeg_server", SERVERS / "mjpeg.py").MjpegServer() as server:
        yield server


@pytest.fixture
def thin_link() -> Any:
    """A relay before a server that is thin, or stands still: tests/support/servers/thin.py."""
    return load("thin_link", SERVERS / "thin.py").ThinLink


@pytest.fixture
def streams() -> Any:
    """Streams of images on a clock that is set: tests/support/servers/streams.py."""
    return load("streams", SERVERS / "streams.py")


@pytest.fixture
def rtsp_server() -> Iterator[Any]:
    """An RTSP server that can misbehave: tests/support/servers/rtsp.py."""
    with load("rtsp_server", SERVERS / "rtsp.py").RtspServer() as server:
        yield server


@pytest.fixture
def tls_before(tmp_path: Path) -> Iterator[Callable[[int], Any]]:
    """Puts TLS before a port on loopback: tests/support/servers/tls.py."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(
            load("tls_server", SERVERS / "tls.py").TlsFront(port, tmp_path)
        )


@pytest.fixture
def fake_cameras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets ``fakecam:FAULT`` be a live source whose library misbehaves: tests/support/servers/fake_captures.py."""
    monkeypatch.syspath_prepend(str(SERVERS))
    sources.register("fakecam", "fake_captures:FakeCamera")
    yield
    SCHEMES.unregister("fakecam")


@pytest.fixture(scope="session")
def gpu_module() -> ModuleType:
    return load_fake("gpu")


@pytest.fixture
def fake(gpu_module: ModuleType) -> object:
    """A GPU of the test's own."""
    return gpu_module.FakeGpu()


@pytest.fixture
def install_fakes(
    fake: object, gpu_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Puts a fake of ``cuda_python`` or ``pycuda`` where imports look."""

    def install(name: str) -> None:
        for module_name, module in load_fake(name).modules(fake, gpu_module.GpuError).items():
            monkeypatch.setitem(sys.modules, module_name, module)
        for device in (pycuda_device, cuda_python_device):
            device._primary_context.cache_clear()

    return install


@pytest.fixture
def open_kind(
    fake: object, gpu_module: ModuleType, install_fakes: Callable[[str], None]
) -> Callable[[str], CudaDevice]:
    """Opens a device of a kind: ``fake``, ``NAME on a fake``, or ``NAME`` on a real GPU, where there is one."""

    def open_it(kind: str) -> CudaDevice:
        if kind == "fake":
            return gpu_module.FakeDevice(fake)
        name = kind.removesuffix(" on a fake")
        if name != kind:
            install_fakes(name.replace("-", "_"))
        elif reason := cuda.why_no_device(implementation=name):
            pytest.skip(reason)
        return cuda.open_device(implementation=name)

    return open_it


@pytest.fixture
def fake_tensorrt(
    fake: object,
    gpu_module: ModuleType,
    install_fakes: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[object]:
    """TensorRT 10.3.0 on the test's own GPU, reached through a fake cuda-python."""
    install_fakes("cuda_python")
    installed = load_fake("tensorrt").FakeTensorRT(fake)
    monkeypatch.setitem(sys.modules, "tensorrt", installed.module)
    monkeypatch.setattr("edgeseg.runtime.backends.tensorrt.get_engine", installed.get_engine)
    yield installed
    outside = [life for life in installed.lives if "outside" in life]
    assert not outside, "the memory of these may have been gone before them"
