"""The ONNX file: what goes in and out, what is in it, and that it is the same every time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgeseg.core.errors import ModelError, OutputError, UsageError
from edgeseg.export.graph.deployable import deployable
from edgeseg.export.graph.half import to_half
from edgeseg.export.graph.onnx_file import IR_VERSION, OPSET, export_graph, save_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.models.checkpoint import Checkpoint, load_checkpoint
from edgeseg.runtime.bundle import Bundle
from onnx import numpy_helper

SIZE_HW = (64, 96)
FRAME = np.random.default_rng(0).integers(0, 256, (1, *SIZE_HW, 3), np.uint8)


def reference_logits(checkpoint: Checkpoint) -> np.ndarray:
    rgb = torch.from_numpy(FRAME[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (checkpoint.info.mean, checkpoint.info.std))
    with torch.inference_mode():
        return checkpoint.build().coarse((rgb - mean) / std).numpy()


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    # fp32: rounding in another order, over 9 layers. fp16: 4.9e-4 for each rounded activation, over the same.
    ("precision", "tolerance"),
    [("fp32", 1e-5), ("fp16", 1e-2)],
)
def test_bgr_bytes_in_pytorchs_logits_out(
    bundle: Bundle, checkpoint: Checkpoint, precision: str, tolerance: float
) -> None:
    session = onnxruntime.InferenceSession(str(bundle.variant(precision).path))
    (logits,) = session.run(["logits"], {"frame": FRAME})
    expected = reference_logits(checkpoint)
    assert logits.dtype == np.float32
    assert np.abs(logits - expected).max() < tolerance * np.sqrt(np.mean(expected**2))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_file_holds_the_graph_and_nothing_of_the_machine(bundle: Bundle, precision: str) -> None:
    path = bundle.variant(precision).path
    model = onnx.load(path)
    graph = model.graph
    assert model.opset_import[0].version == OPSET
    assert model.ir_version == IR_VERSION
    assert [i.name for i in graph.input] == ["frame"]
    assert [o.name for o in graph.output] == ["logits"]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert shape(graph.input[0]) == ["N", *SIZE_HW, 3]
    assert shape(graph.output[0]) == ["N", 4, *SIZE_HW]
    # TensorRT takes no other operator on uint8.
    assert [node.op_type for node in graph.node if "frame" in node.input] == ["Cast"]
    operators = [node.op_type for node in graph.node]
    assert "BatchNormalization" not in operators
    assert operators.count("Sub") == 1, "the mean alone is left of the normalization"
    assert not any(node.doc_string or node.metadata_props for node in graph.node)
    content = path.read_bytes()
    for word in (b"site-packages", b"stack_trace", str(Path.home()).encode() + b"/", b'File "'):
        assert word not in content
    weights = [item.name for item in graph.initializer if len(item.dims) == 4 and item.name != "mean"]
    known = load_checkpoint(bundle.checkpoint_path).state
    assert set(weights) <= set(known), "weights are called what the checkpoint calls them"


def test_half_means_half(bundle: Bundle) -> None:
    kinds = {item.data_type for item in onnx.load(bundle.variant("fp16").path).graph.initializer if item.dims}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert bundle.variant("fp16").path.stat().st_size < 0.6 * bundle.variant("fp32").path.stat().st_size


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_frames_of_a_batch_do_not_see_each_other(bundle: Bundle, precision: str) -> None:
    session = onnxruntime.InferenceSession(str(bundle.variant(precision).path))
    frames = np.random.default_rng(1).integers(0, 256, (3, *SIZE_HW, 3), np.uint8)
    (together,) = session.run(["logits"], {"frame": frames})
    alone = [session.run(["logits"], {"frame": frame[None]})[0] for frame in frames]
    assert np.array_equal(together, np.concatenate(alone))


def test_the_same_network_gives_the_same_bytes(
    bundle: Bundle, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    graph = export_graph(checkpoint.build(), checkpoint.info, SIZE_HW)
    for precision, model in {"fp32": graph, "fp16": to_half(graph)}.items():
        path = tmp_path / f"again.{precision}.onnx"
        save_graph(path, model, precision)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == bundle.variant(precision).sha256


def test_the_network_is_left_as_it_was(checkpoint: Checkpoint) -> None:
    network = checkpoint.build()
    deployable(network, checkpoint.info, SIZE_HW)
    assert all(torch.equal(value, checkpoint.state[key]) for key, value in network.state_dict().items())


def test_float16_that_overflows_is_refused(checkpoint: Checkpoint) -> None:
    network = checkpoint.build()
    with torch.no_grad():
        last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
        last.weight.mul_(1e6)
    with pytest.raises(
        ModelError, match=r"score\.weight holds .*, and float16 ends at 65504; deploy it in fp32"
    ):
        to_half(export_graph(network, checkpoint.info, SIZE_HW))


def test_activations_that_overflow_in_float16_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    graph = onnx.load(bundle.variant("fp32").path)
    for item in graph.graph.initializer:
        if item.name in ("down.2.3.weight", "down.2.3.bias"):
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item) * np.float32(3e4), item.name))
    assert save_graph(tmp_path / "x.onnx", graph, "fp32") == SIZE_HW
    message = "the fp16 graph gives values that are not finite at Conv_15: they pass float16's 65504; deploy it in fp32"
    with pytest.raises(ModelError, match=message):
        save_graph(tmp_path / "x.onnx", to_half(graph), "fp16")


def test_unknown_precision(checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match="unknown precision 'int3'; known: fp32, fp16, int8"):
        variant_graphs(export_graph(checkpoint.build(), checkpoint.info, SIZE_HW), ("fp32", "int3"))


def test_a_folder_that_is_not_there(bundle: Bundle, tmp_path: Path) -> None:
    graph = onnx.load(bundle.variant("fp32").path)
    with pytest.raises(OutputError, match=r"cannot write .*No such file"):
        save_graph(tmp_path / "missing" / "x.onnx", graph, "fp32")
