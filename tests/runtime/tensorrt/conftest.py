"""TensorRT for RTX, which builds real engines without a GPU, and small graphs for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.tensorrt.cache import EngineCache
from edgeseg.runtime.tensorrt.cuda.base import Gpu
from edgeseg.runtime.tensorrt.module import TensorRT, find_tensorrt
from onnx import TensorProto, helper

SIZE_HW = (32, 48)


@pytest.fixture
def rtx() -> TensorRT:
    """TensorRT for RTX."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    return find_tensorrt("tensorrt_rtx")


@pytest.fixture
def classic(rtx: TensorRT) -> TensorRT:
    """NVIDIA's TensorRT as far as the code can tell; its module is the one for RTX, which needs no GPU."""
    return TensorRT("tensorrt", "10.3.0", rtx.module)


@pytest.fixture
def orin() -> Gpu:
    return Gpu("Orin", "8.7", 8 << 30, 16)


@pytest.fixture
def variant(bundle_folder: Path) -> Variant:
    """A variant whose graph has an open batch, 32 x 48 pixels in and 8 x 12 logits of 3 classes out."""
    return Bundle.load(bundle_folder).variant()


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


@pytest.fixture
def write_graph(tmp_path: Path) -> Callable[..., Path]:
    """Writes a graph of a cast and the nodes given, from ``frame`` over ``floats`` to ``logits``, and its path."""

    def write(
        *nodes: onnx.NodeProto,
        frame: tuple[int | str, ...] = (1, *SIZE_HW, 3),
        logits: tuple[int | str, ...] | None = None,
        names: tuple[str, str] = ("frame", "logits"),
        transpose: tuple[int, ...] = (0, 3, 1, 2),
    ) -> Path:
        given = nodes or (
            helper.make_node("Transpose", ["floats"], [names[1]], perm=list(transpose), name="to_nchw"),
        )
        graph = helper.make_graph(
            [helper.make_node("Cast", [names[0]], ["floats"], to=TensorProto.FLOAT, name="cast"), *given],
            "small",
            [helper.make_tensor_value_info(names[0], TensorProto.UINT8, list(frame))],
            [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, logits and list(logits))],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path = tmp_path / "small.onnx"
        onnx.save(model, path)
        return path

    return write
