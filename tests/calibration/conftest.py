"""A small network made by hand, with everything in it that quantization must tell apart, and images for it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from edgeseg.calibration.graph import INPUT, LOGITS, Graph, with_outputs
from edgeseg.calibration.images import CalibrationSet, survey
from edgeseg.calibration.ranges import measure
from edgeseg.calibration.session import open_session
from edgeseg.core.labels import LabelMap
from edgeseg.data.images import LabelledImages
from edgeseg.data.voc import Sample
from onnx import TensorProto, helper, numpy_helper

SIZE_HW = (32, 48)
LABELS = LabelMap.from_pairs([("ground", (0, 0, 0)), ("road", (128, 64, 128)), ("car", (64, 0, 128))])

Weights = dict[str, npt.NDArray[np.generic]]


def nodes() -> list[onnx.NodeProto]:
    """Convolutions of every form: in a residual addition, in squeeze-and-excitation, transposed, before the logits."""
    return [
        helper.make_node("Cast", [INPUT], ["cast"], "Cast_0", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["chw"], "Transpose_1", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["chw", "mean"], ["sub"], "Sub_2"),
        helper.make_node(
            "Conv", ["sub", "stem.weight", "stem.bias"], ["c"], "stem", strides=[2, 2], pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["c"], ["r"], "Relu_4"),
        helper.make_node(
            "Conv", ["r", "depth.weight", "depth.bias"], ["d"], "depth", pads=[1, 1, 1, 1], group=8
        ),
        helper.make_node("Conv", ["d", "point.weight", "point.bias"], ["p"], "point"),
        helper.make_node("Add", ["p", "r"], ["a"], "Add_7"),
        helper.make_node("ReduceMean", ["a", "axes"], ["m"], "ReduceMean_8", keepdims=1),
        helper.make_node("Conv", ["m", "squeeze.weight", "squeeze.bias"], ["s"], "squeeze"),
        helper.make_node("Relu", ["s"], ["t"], "Relu_10"),
        helper.make_node("Conv", ["t", "excite.weight", "excite.bias"], ["x"], "excite"),
        helper.make_node("HardSigmoid", ["x"], ["g"], "HardSigmoid_12"),
        helper.make_node("Mul", ["a", "g"], ["e"], "Mul_13"),
        helper.make_node("MaxPool", ["e"], ["o"], "MaxPool_14", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["o", "deep.weight", "deep.bias"], ["f"], "deep", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["f"], ["h"], "Relu_16"),
        helper.make_node("ConvTranspose", ["h", "up.weight", "up.bias"], ["u"], "up", strides=[2, 2]),
        helper.make_node("Concat", ["u", "e"], ["k"], "Concat_18", axis=1),
        helper.make_node("Conv", ["k", "score.weight", "score.bias"], [LOGITS], "score"),
    ]


def with_relu() -> list[onnx.NodeProto]:
    """The same, with a ReLU behind the depthwise convolution: its output is ``w``, the ReLU's is ``d``."""
    operators = nodes()
    (position,) = (i for i, node in enumerate(operators) if node.name == "depth")
    operators[position].output[0] = "w"
    operators.insert(position + 1, helper.make_node("Relu", ["w"], ["d"], "Relu_5"))
    return operators


def random_weights() -> Weights:
    random = np.random.default_rng(3)

    def normal(*shape: int, scale: float) -> npt.NDArray[np.float32]:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    return {
        "mean": np.float32([60, 50, 55]).reshape(1, 3, 1, 1),
        "stem.weight": normal(8, 3, 3, 3, scale=0.01),
        "stem.bias": normal(8, scale=0.1),
        "depth.weight": normal(8, 1, 3, 3, scale=0.3),
        "depth.bias": normal(8, scale=0.1),
        "point.weight": normal(8, 8, 1, 1, scale=0.3),
        "point.bias": normal(8, scale=0.1),
        "axes": np.int64([2, 3]),
        "squeeze.weight": normal(4, 8, 1, 1, scale=0.3),
        "squeeze.bias": normal(4, scale=0.1),
        "excite.weight": normal(8, 4, 1, 1, scale=0.3),
        "excite.bias": normal(8, scale=0.1),
        "deep.weight": normal(12, 8, 3, 3, scale=0.15),
        "deep.bias": normal(12, scale=0.1),
        "up.weight": normal(12, 8, 2, 2, scale=0.3),
        "up.bias": normal(8, scale=0.1),
        "score.weight": np.zeros((3, 16, 1, 1), np.float32),
        "score.bias": np.zeros(3, np.float32),
    }


def build(
    weights: Mapping[str, npt.NDArray[np.generic]],
    size_hw: tuple[int, int] = SIZE_HW,
    operators: Sequence[onnx.NodeProto] | None = None,
) -> onnx.ModelProto:
    """Puts a model together from weights, by name and in their order."""
    frame = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", *size_hw, 3])
    logits = helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N", 3, None, None])
    used = nodes() if operators is None else operators
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(used, "by hand", [frame], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def image(seed: int, size_hw: tuple[int, int] = SIZE_HW) -> Sample:
    """Blocks in the colours of the classes, with noise: what ``make_dataset`` writes."""
    random = np.random.default_rng(seed)
    mask = np.kron(random.integers(0, 3, (4, 6)), np.ones((size_hw[0] // 4, size_hw[1] // 6), int))
    colours = LABELS.palette_rgb()[mask][..., ::-1] // 2
    frame_bgr = colours + random.integers(0, 60, (*size_hw, 3), np.uint8)
    return Sample(f"image-{seed}", frame_bgr, mask.astype(np.uint8))


@cache
def fitted_weights() -> Weights:
    """Random weights whose last convolution is fitted by least squares, so that the network tells the classes apart."""
    weights = random_weights()
    session = open_session(with_outputs(build(weights), ["k"]))
    rows, wanted = [], []
    for seed in range(100, 116):
        sample = image(seed)
        features = session.run(None, {INPUT: sample.frame_bgr[None]})[0][0]
        rows.append(features.reshape(16, -1).T)
        wanted.append(np.eye(3)[sample.mask[::2, ::2].ravel()])
    inputs = np.concatenate(rows)
    design = np.hstack([inputs, np.ones((len(inputs), 1))])
    solution = np.linalg.lstsq(design, np.concatenate(wanted), rcond=None)[0]
    weights["score.weight"] = solution[:-1].T.reshape(3, 16, 1, 1).astype(np.float32)
    weights["score.bias"] = solution[-1].astype(np.float32)
    return weights


class MemoryImages(LabelledImages):
    """Samples that are there."""

    name = "images by hand"

    def __init__(self, samples: Sequence[Sample], labels: LabelMap = LABELS) -> None:
        self.labels = labels
        self._samples = list(samples)

    def __len__(self) -> int:
        return len(self._samples)

    def read(self, index: int) -> Sample:
        return self._samples[index]


@pytest.fixture(scope="session")
def weights() -> Weights:
    return fitted_weights()


@pytest.fixture(scope="session")
def graph(weights: Weights) -> Graph:
    """The network; do not change its model."""
    return Graph(build(weights))


@pytest.fixture(scope="session")
def make_images() -> Callable[..., CalibrationSet]:
    """Gives ``count`` surveyed images, none of which the network was fitted to."""

    def make(count: int = 12, first: int = 0) -> CalibrationSet:
        return survey(MemoryImages([image(first + i) for i in range(count)]), LABELS)

    return make


@pytest.fixture(scope="session")
def images(make_images: Callable[..., CalibrationSet]) -> CalibrationSet:
    """Six for the ranges and six held out: enough pixels for every class to be judged."""
    return make_images()


@pytest.fixture(scope="session")
def ranges(graph: Graph, images: CalibrationSet) -> dict[str, dict[str, tuple[float, float]]]:
    """By method, measured on ``images``."""
    frames = [sample.frame_bgr[None] for sample in images.read(images.for_ranges)]
    return measure(graph, lambda: frames, ("minmax", "percentile", "entropy"))


@pytest.fixture(scope="session")
def frame() -> npt.NDArray[np.uint8]:
    """Two frames at the graph's size, [2, H, W, 3]."""
    return np.stack([image(50).frame_bgr, image(51).frame_bgr])


@pytest.fixture
def wants_exact_sums() -> Callable[[str], None]:
    """Skips where a target's INT8 sums are not exact on this CPU; there the search, rightly, leaves more in float."""

    def check(target: str) -> None:
        cpu = Path("/proc/cpuinfo")
        if target == "cpu" and platform.machine() == "x86_64" and "vnni" not in cpu.read_text():
            pytest.skip("this CPU has no VNNI: sums of two products saturate at 16 bits in its INT8 kernels")

    return check
