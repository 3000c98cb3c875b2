"""Every contender keeps one contract: the frame's size, uint8, and the classes that PyTorch gives."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeseg.benchmarks import peers
from edgeseg.benchmarks.compare import reference_maps
from edgeseg.benchmarks.peers.base import Setting
from edgeseg.benchmarks.peers.graphs import INPUT, float_graph
from edgeseg.core.arrays import Frame
from edgeseg.core.errors import BundleError, UsageError
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.checked_files import file_sha256

LEAST_AGREEMENT = {"fp32": 0.995, "bf16": 0.95}
"""Float32 departs where a resize rounds the other way. bfloat16 keeps eight bits, and these views are no streets."""

COARSE_AGREEMENT = 0.9
"""Of a map that is made at the network's size: its edges are blocky, and these frames are small."""


def contenders() -> list[object]:
    slow = [pytest.mark.slow, pytest.mark.timeout(600)]  # they compile for half a minute
    return [pytest.param(n, marks=slow if n.startswith("torch-compile") else []) for n in peers.names()]


@pytest.fixture(scope="module")
def reference(small_bundle: Bundle, frames: Frame) -> np.ndarray:
    return reference_maps(small_bundle, frames)


@pytest.mark.parametrize("name", contenders())
def test_a_contender_gives_pytorchs_classes_at_the_frames_size(
    name: str, setting: Setting, frames: Frame, reference: np.ndarray
) -> None:
    peer_class = peers.peer_class(name)
    if why := peer_class.why_unavailable(name):
        pytest.skip(why)
    peer = peer_class(name, setting)
    maps = [peer(frame) for frame in frames]
    for classes in maps:
        assert classes.dtype == np.uint8
        assert classes.shape == setting.frame_size_hw
    least = LEAST_AGREEMENT[peer.precision] if peer.same_map else COARSE_AGREEMENT
    assert (np.stack(maps) == reference).mean() > least
    # A second look at a frame gives the same: nothing is left over from the frame before.
    assert np.array_equal(peer(frames[0]), maps[0])
    run = peer.bare(frames[0])
    run()
    assert peer.limit.endswith(peer.precision)


def test_contenders_are_registered_once_and_listed_when_unknown() -> None:
    with pytest.raises(UsageError, match=r"named 'torch-eager' is registered already"):
        peers.register("torch-eager", "somewhere:Else")
    with pytest.raises(UsageError, match=r"unknown contender 'tvm'; known: edgeseg-onnxruntime"):
        peers.peer_class("tvm")
    assert peers.groups() == ("onnxruntime", "openvino", "torch")


def test_a_contender_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.benchmarks.peers.base.find_spec", lambda name: None)
    assert peers.peer_class("openvino-frame").why_unavailable("openvino-frame") == "openvino is not installed"
    monkeypatch.undo()
    monkeypatch.setenv("CXX", "no-such-compiler")
    why = peers.peer_class("torch-compile").why_unavailable("torch-compile")
    assert why == "torch.compile needs a C++ compiler, and there is no no-such-compiler"


@pytest.mark.parametrize(("name", "options"), [("unet", {"width": 8, "depth": 2}), ("fcn8s", {"width": 8})])
def test_the_float_graph_is_the_same_network(name: str, options: dict[str, object], tmp_path: object) -> None:
    """Whatever the exporter folded into the first convolution comes out again."""
    checkpoint = resolve_weights(name, "random", 4, options)
    network = checkpoint.build()
    size_hw = (64, 96)
    graphs = variant_graphs(export_graph(network, checkpoint.info, size_hw), ("fp32",))
    write_bundle(tmp_path, network, checkpoint.info, graphs, weights_name="random", size_hw=size_hw)
    bundle = Bundle.load(tmp_path)
    graph = float_graph(bundle)
    onnx.checker.check_model(graph, full_check=True)
    frame_bgr = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    mean, std = (np.array(bundle.manifest["input"][key], np.float32) for key in ("mean_rgb", "std_rgb"))
    image = ((frame_bgr[..., ::-1] / np.float32(255) - mean) / std).transpose(2, 0, 1)[None]
    ours = onnxruntime.InferenceSession(str(bundle.variant("fp32").path)).run(
        None, {"frame": frame_bgr[None]}
    )[0]
    theirs = onnxruntime.InferenceSession(graph.SerializeToString()).run(
        None, {INPUT: np.ascontiguousarray(image, np.float32)}
    )[0]
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()


def test_a_graph_of_another_form_is_refused(small_bundle: Bundle, tmp_path: object) -> None:
    model = onnx.load(small_bundle.variant("fp32").path)
    model.graph.node[0].op_type = "Identity"
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    from dataclasses import replace

    variant = replace(small_bundle.variant("fp32"), path=path, sha256=file_sha256(path))
    other = replace(small_bundle, variants={"fp32": variant})
    with pytest.raises(BundleError, match="begins with Identity, Transpose, Sub; expected Cast"):
        float_graph(other)
