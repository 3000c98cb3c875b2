"""ONNX Runtime's session: its optimized graph is kept, and trusted only where every byte is what was stored."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeseg.core.errors import BackendError, BundleError
from edgeseg.runtime.backends import onnxruntime as module
from edgeseg.runtime.backends.onnxruntime import OnnxRuntimeBackend
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.checked_files import file_sha256

FRAME = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (1, 32, 48, 3), np.uint8)


@pytest.fixture
def variant(bundle_folder: Path) -> Variant:
    return Bundle.load(bundle_folder).variant()


@pytest.fixture
def graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache of the test's own."""
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "own"))
    return tmp_path / "own" / "graphs"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SHA-256 of the bytes that sessions are opened on."""
    hashes: list[str] = []
    real = onnxruntime.InferenceSession

    def session(graph: bytes, *args: object, **kwargs: object) -> object:
        hashes.append(hashlib.sha256(graph).hexdigest())
        return real(graph, *args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return hashes


def infer(variant: Variant, on_message: Callable[[str], None] = lambda line: None) -> np.ndarray:
    with OnnxRuntimeBackend(variant, (32, 48), on_message=on_message) as backend:
        return backend.infer(FRAME)


def the_graph(graphs: Path) -> Path:
    (found,) = graphs.glob("*.graph")
    return found


def test_the_second_start_loads_what_the_first_optimized(
    variant: Variant, graphs: Path, loaded: list[str]
) -> None:
    said: list[str] = []
    first, second = infer(variant, said.append), infer(variant, said.append)
    assert loaded == [variant.sha256, file_sha256(the_graph(graphs))]
    assert said == []
    np.testing.assert_array_equal(first, second)
    assert graphs.stat().st_mode & 0o777 == 0o700


def alter(graph: Path) -> None:
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)


def exchange(graph: Path) -> None:
    """Another graph that loads, with its own right SHA-256, under a record that tells the truth of it."""
    record = json.loads(graph.with_suffix(".json").read_text())
    record["identity"]["onnx_sha256"] = "0" * 64
    graph.with_suffix(".json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (alter, "was altered"),
        (exchange, "is another graph"),
        (lambda graph: graph.write_bytes(b""), "has 0 bytes instead of"),
        (lambda graph: graph.unlink(), "only half of a graph"),
        (lambda graph: graph.with_suffix(".json").write_text("{"), "is broken"),
    ],
)
def test_one_that_is_not_as_it_was_stored_is_made_again(
    variant: Variant, graphs: Path, loaded: list[str], harm: Callable[[Path], None], why: str
) -> None:
    expected = infer(variant)
    graph = the_graph(graphs)
    stored = graph.read_bytes()
    harm(graph)
    said: list[str] = []
    np.testing.assert_array_equal(infer(variant, said.append), expected)
    assert loaded[-1] == variant.sha256
    assert len(said) == 1
    assert "optimizing the graph again" in said[0]
    assert why in said[0]
    assert the_graph(graphs).read_bytes() == stored
    infer(variant)
    assert loaded[-1] == file_sha256(graph)


@pytest.mark.parametrize("change", ["onnxruntime", "cpu", "graph"])
def test_another_version_cpu_or_graph_has_its_own(
    variant: Variant,
    make_bundle: Callable[..., Path],
    graphs: Path,
    loaded: list[str],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    infer(variant)
    if change == "onnxruntime":
        monkeypatch.setattr(OnnxRuntimeBackend, "version", classmethod(lambda cls, device: "99.0"))
    elif change == "cpu":
        monkeypatch.setattr("edgeseg.runtime.backends.graph_cache.cpu_identity", lambda: "another CPU")
    else:
        variant = Bundle.load(make_bundle("other", scale=2.0)).variant()
    infer(variant)
    assert loaded[-1] == variant.sha256
    assert len(list(graphs.glob("*.graph"))) == 2


def test_a_cache_that_cannot_be_used_is_told_once_and_done_without(
    variant: Variant, graphs: Path, loaded: list[str]
) -> None:
    graphs.mkdir(parents=True, mode=0o755)
    said: list[str] = []
    infer(variant, said.append)
    assert loaded == [variant.sha256]
    assert len(said) == 1
    assert "is not kept, and each start makes it again" in said[0]
    assert f"chmod 700 {graphs}" in said[0]
    assert list(graphs.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_told_once_too(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "file"))
    said: list[str] = []
    infer(variant, said.append)
    assert len(said) == 1
    assert "cannot use the graph cache" in said[0]


def test_one_that_does_not_load_is_made_again(
    variant: Variant, graphs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = infer(variant)
    real = onnxruntime.InferenceSession

    def session(graph: bytes, *args: object, **kwargs: object) -> object:
        if hashlib.sha256(graph).hexdigest() != variant.sha256:
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : no such kernel")
        return real(graph, *args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    said: list[str] = []
    np.testing.assert_array_equal(infer(variant, said.append), expected)
    assert said == ["optimizing the graph again: 1 : FAIL : no such kernel"]


def test_where_the_process_may_not_use_every_core_there_are_no_more_threads(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    real = onnxruntime.InferenceSession

    def session(graph: bytes, options: onnxruntime.SessionOptions, **kwargs: object) -> object:
        told.append(options.intra_op_num_threads)
        return real(graph, options, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(module, "usable_cpus", lambda: 1)
    monkeypatch.setattr(module, "all_cpus_are_usable", lambda: False)
    infer(variant)
    OnnxRuntimeBackend(variant, (32, 48), threads=2).close()
    assert told == [1, 2]


@pytest.mark.parametrize(("device", "spin"), [("cpu", "0"), ("cpu-spin", "1")])
def test_threads_spin_where_asked_to_alone(
    variant: Variant, monkeypatch: pytest.MonkeyPatch, device: str, spin: str
) -> None:
    told: dict[str, str] = {}
    real = onnxruntime.SessionOptions.add_session_config_entry

    def add(self: onnxruntime.SessionOptions, name: str, value: str) -> None:
        told[name] = value
        real(self, name, value)

    monkeypatch.setattr(onnxruntime.SessionOptions, "add_session_config_entry", add)
    with OnnxRuntimeBackend(variant, (32, 48), device) as backend:
        assert backend.device == device
        assert backend.infer(backend.new_input()).dtype == np.float32
    assert told["session.intra_op.allow_spinning"] == spin
    assert "session.disable_cpu_ep_fallback" not in told


def test_a_file_that_is_exchanged_once_neither_runs_nor_stays(
    make_bundle: Callable[..., Path], graphs: Path
) -> None:
    right, wrong = make_bundle("right"), make_bundle("wrong", scale=-1.0)
    expected = infer(Bundle.load(right).variant())
    shutil.rmtree(graphs)
    variant = Bundle.load(right).variant()
    kept = variant.path.read_bytes()
    variant.path.write_bytes((wrong / variant.path.name).read_bytes())
    with pytest.raises(BundleError, match="was altered since its bundle was opened"):
        infer(variant)
    assert list(graphs.glob("*")) == []
    variant.path.write_bytes(kept)
    for _ in range(2):
        np.testing.assert_array_equal(infer(Bundle.load(right).variant()), expected)


def test_a_graph_in_the_cache_that_is_exchanged_while_it_is_opened_does_not_run(
    make_bundle: Callable[..., Path], graphs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = Bundle.load(make_bundle("right")).variant()
    expected = infer(variant)
    other = make_bundle("wrong", scale=-1.0) / variant.path.name
    real = onnxruntime.InferenceSession

    def session(*args: object, **kwargs: object) -> object:
        the_graph(graphs).write_bytes(other.read_bytes())
        return real(*args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    np.testing.assert_array_equal(infer(variant), expected)


def test_what_is_cached_runs_though_the_file_is_another_by_then(
    make_bundle: Callable[..., Path], graphs: Path
) -> None:
    variant = Bundle.load(make_bundle("right")).variant()
    expected = infer(variant)
    variant.path.write_bytes(b"exported again meanwhile")
    np.testing.assert_array_equal(infer(variant), expected)


def test_the_session_does_not_hold_the_bytes(variant: Variant, graphs: Path) -> None:
    with OnnxRuntimeBackend(variant, (32, 48)) as backend:
        assert isinstance(backend, OnnxRuntimeBackend)
        assert not [held for held in gc.get_referents(vars(backend._session)) if isinstance(held, bytes)]


def test_bytes_of_its_own_format_are_not_taken_for_such(variant: Variant) -> None:
    # "ORTM" at the fifth byte is what ONNX Runtime knows its own format by; here it is within a name.
    model = onnx.load(variant.path)
    model.ClearField("producer_name")
    disguised = b"\x12\x08abORTMxy" + model.SerializeToString()
    assert disguised[4:8] == b"ORTM"
    variant.path.write_bytes(disguised)
    variant = replace(variant, sha256=file_sha256(variant.path))
    assert infer(variant).shape == (1, 3, 8, 12)


class Session:
    """Plays the session of a GPU; there is no GPU here."""

    def __init__(self, graph: bytes, options: object, providers: list[object], **more: object) -> None:
        self.providers = providers
        opened.append(self)

    def get_providers(self) -> list[str]:
        return [name for name, _ in self.providers] + ["CPUExecutionProvider"]

    def get_inputs(self) -> list[object]:
        return [SimpleNamespace(name="frame")]

    def get_outputs(self) -> list[object]:
        return [SimpleNamespace(name="logits")]


opened: list[Session] = []


@pytest.fixture
def gpu_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's package for GPUs, as far as sessions are opened."""
    providers = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    opened.clear()


@pytest.mark.usefixtures("gpu_package")
class TestOnAGpu:
    def test_cuda_computes_float32_in_float32_and_leaves_shapes_to_the_cpu(
        self, variant: Variant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: dict[str, str] = {}
        add = onnxruntime.SessionOptions.add_session_config_entry
        monkeypatch.setattr(
            onnxruntime.SessionOptions,
            "add_session_config_entry",
            lambda self, name, value: (told.update({name: value}), add(self, name, value))[1],
        )
        with OnnxRuntimeBackend(variant, (32, 48), "cuda"):
            assert opened[0].providers == [("CUDAExecutionProvider", {"use_tf32": "0"})]
        assert "session.disable_cpu_ep_fallback" not in told

    @pytest.mark.parametrize(
        ("precision", "flags"), [("fp32", ("0", "0")), ("fp16", ("1", "0")), ("int8", ("1", "1"))]
    )
    def test_tensorrt_may_compute_in_the_graphs_precision_and_keeps_its_engines(
        self, variant: Variant, graphs: Path, precision: str, flags: tuple[str, str]
    ) -> None:
        with OnnxRuntimeBackend(replace(variant, precision=precision), (32, 48), "tensorrt"):
            (tensorrt, options), (cuda, _) = opened[0].providers
        assert (tensorrt, cuda) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
        assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == flags
        assert options["trt_engine_cache_enable"] == "1"
        folder = Path(options["trt_engine_cache_path"])
        assert folder.parent == graphs.parent / "onnxruntime-tensorrt"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_engines_of_somebody_else_are_not_taken(self, variant: Variant, graphs: Path) -> None:
        OnnxRuntimeBackend(variant, (32, 48), "tensorrt").close()
        (folder,) = (graphs.parent / "onnxruntime-tensorrt").iterdir()
        folder.chmod(0o755)
        with pytest.raises(BackendError, match="not a folder of yours alone; engines are executable code"):
            OnnxRuntimeBackend(variant, (32, 48), "tensorrt")

    def test_an_onnx_runtime_that_cannot_leave_tf32_is_refused(
        self, variant: Variant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(onnxruntime, "__version__", "1.17.3")
        assert OnnxRuntimeBackend.why_unavailable("cuda") == (
            "ONNX Runtime 1.17.3 computes fp32 in TF32 on the GPU; 1.18 or later does not:"
            ' pip install --upgrade "onnxruntime-gpu>=1.18"'
        )
        assert OnnxRuntimeBackend.why_unavailable("cpu") == ""
