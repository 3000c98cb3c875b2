"""Max-unpooling as ONNX: operators that TensorRT has, and the same places as PyTorch's, where all values tie too."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgeseg.export.graph.half import to_half
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.models.checkpoint import Checkpoint
from edgeseg.models.pretrained import resolve_weights

SIZE_HW = (90, 120)  # odd after one pooling, and after two, as the paper's 360 x 480 is after three
POOLINGS = 5


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return resolve_weights("segnet", "random", 5, {"width": 2})


@pytest.fixture(scope="module")
def graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    return export_graph(checkpoint.build(), checkpoint.info, SIZE_HW)


def test_every_operator_is_one_that_tensorrt_has(graph: onnx.ModelProto) -> None:
    counted = Counter(node.op_type for node in graph.graph.node)
    assert counted["MaxPool"] == POOLINGS
    assert counted["Where"] == 4 * POOLINGS  # three to find the places, one to use them
    assert set(counted) <= {
        "Cast", "Transpose", "Sub", "Conv", "Relu", "MaxPool", "Slice", "Concat", "Greater", "Max", "Where", "Resize",
        "Equal",
    }  # fmt: skip
    assert all(len(node.output) == 1 for node in graph.graph.node)  # no indices of a MaxPool


@pytest.mark.parametrize("frame", ["noise", "grey"])
@torch.no_grad()
def test_the_logits_are_pytorch_s(checkpoint: Checkpoint, graph: onnx.ModelProto, frame: str) -> None:
    frames = np.full((2, *SIZE_HW, 3), 128, np.uint8)
    if frame == "noise":
        frames = np.random.default_rng(0).integers(0, 256, frames.shape, np.uint8)
    mean, std = (np.array(values, np.float32) for values in (checkpoint.info.mean, checkpoint.info.std))
    rgb = (frames[..., ::-1].astype(np.float32) / 255 - mean) / std
    expected = checkpoint.build().coarse(torch.from_numpy(rgb.transpose(0, 3, 1, 2).copy())).numpy()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(["logits"], {"frame": frames})
    # Rounding of 26 layers. One place that differed would change logits by as much as they are large.
    assert np.abs(got - expected).max() < 1e-3 * np.sqrt(np.mean(expected**2))


def test_places_are_whole_numbers_in_float16_too(graph: onnx.ModelProto) -> None:
    half = to_half(graph)
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(half, strict_mode=True).graph.value_info
    }
    compared = [name for node in half.graph.node if node.op_type == "Equal" for name in node.input[:1]]
    assert len(compared) == POOLINGS
    assert {kinds[name] for name in compared} == {onnx.TensorProto.FLOAT16}  # exact up to 2048
