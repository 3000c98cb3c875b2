"""Tiny bundles: real ONNX graphs of a few bytes, so that the runtime is tested without any network. And fake GPUs."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from edgeseg.runtime import cuda, sources
from edgeseg.runtime.checked_files import file_sha256
from edgeseg.runtime.cuda import cuda_python_device, pycuda_device
from edgeseg.runtime.cuda.base import CudaDevice
from edgeseg.runtime.manifest import write_manifest
from onnx import TensorProto, helper, numpy_helper

LABELS = [
    {"name": "dark", "rgb": [128, 64, 128]},
    {"name": "grey", "rgb": [70, 160, 70]},
    {"name": "bright", "rgb": [220, 60, 60]},
]


def brightness_graph(
    size_hw: tuple[int, int] = (32, 48), stride: int = 4, scale: float = 1.0
) -> onnx.ModelProto:
    """A graph that labels by brightness: the logit of class c is -(mean over a stride - level_c)^2."""
    levels = np.array([40, 128, 215], np.float32).reshape(1, 3, 1, 1) / 255
    nodes = [
        helper.make_node("Cast", ["frame"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["mean"], strides=[stride, stride]),
        helper.make_node("Sub", ["mean", "levels"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["squared"]),
        helper.make_node("Mul", ["squared", "scale"], ["logits"]),
    ]
    kernel = np.full((1, 3, stride, stride), 1 / (3 * 255 * stride * stride), np.float32)
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", *size_hw, 3])],
        [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["N", 3, *(s // stride for s in size_hw)]
            )
        ],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(levels, "levels"),
            numpy_helper.from_array(np.array([-scale], np.float32), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_bundle(
    folder: Path, model: onnx.ModelProto, size_hw: tuple[int, int] = (32, 48), stride: int = 4
) -> dict[str, Any]:
    """Writes a bundle of one variant, fp32, around a graph; returns its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "tiny.fp32.onnx")
    (folder / "checkpoint.safetensors").write_bytes(b"the weights")
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": "tiny",
        "created_with": {"edgeseg": "0.1.0"},
        "architecture": {"name": "tiny", "arguments": {}},
        "weights": {
            "name": "none",
            "checkpoint": "checkpoint.safetensors",
            "sha256": hashlib.sha256(b"the weights").hexdigest(),
            "recipe": {},
            "metrics": {},
        },
        "labels": LABELS,
        "input": {
            "name": "frame",
            "dtype": "uint8",
            "layout": "NHWC",
            "channels": "BGR",
            "size_hw": list(size_hw),
            "resize": "stretch",
            "mean_rgb": [0.0, 0.0, 0.0],
            "std_rgb": [1.0, 1.0, 1.0],
        },
        "output": {
            "name": "logits",
            "dtype": "float32",
            "stride": stride,
            "size_hw": [s // stride for s in size_hw],
        },
        "default_variant": "fp32",
        "variants": {
            "fp32": {
                "file": "tiny.fp32.onnx",
                "sha256": file_sha256(folder / "tiny.fp32.onnx"),
                "bytes": (folder / "tiny.fp32.onnx").stat().st_size,
                "precision": "fp32",
                "target": "any",
                "opset": 18,
                "calibration": None,
                "parity": None,
            }
        },
        "verification": None,
    }
    write_manifest(folder, manifest)
    return manifest


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
    """Makes films that are damaged, of a rate that varies or of rare codecs: tests/runtime/films.py."""
    return load("films", Path(__file__).resolve().parent / "films.py")


@pytest.fixture
def mjpeg_server() -> Iterator[Any]:
    """An HTTP server of moving pictures that can misbehave: tests/runtime/servers/mjpeg.py."""
    with load("mjpeg_server", SERVERS / "mjpeg.py").MjpegServer() as server:
        yield server


@pytest.fixture
def thin_link() -> Any:
    """A relay before a server that is thin, or stands still: tests/runtime/servers/thin.py."""
    return load("thin_link", SERVERS / "thin.py").ThinLink


@pytest.fixture
def streams() -> Any:
    """Streams of pictures on a clock that is set: tests/runtime/servers/streams.py."""
    return load("streams", SERVERS / "streams.py")


@pytest.fixture
def rtsp_server() -> Iterator[Any]:
    """An RTSP server that can misbehave: tests/runtime/servers/rtsp.py."""
    with load("rtsp_server", SERVERS / "rtsp.py").RtspServer() as server:
        yield server


@pytest.fixture
def tls_before(tmp_path: Path) -> Iterator[Callable[[int], Any]]:
    """Puts TLS before a port on loopback: tests/runtime/servers/tls.py."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(
            load("tls_server", SERVERS / "tls.py").TlsFront(port, tmp_path)
        )


@pytest.fixture
def fake_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``fakecam:FAULT`` be a live source whose library misbehaves: tests/runtime/servers/fake_captures.py."""
    monkeypatch.syspath_prepend(str(SERVERS))
    monkeypatch.setitem(sources._SCHEMES, "fakecam", "fake_captures:FakeCamera")


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
    monkeypatch.setattr("edgeseg.runtime.backends.tensorrt.obtain", installed.obtain)
    yield installed
    outside = [life for life in installed.lives if "outside" in life]
    assert not outside, "the memory of these may have been gone before them"
