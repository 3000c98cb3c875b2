"""Every network exports, takes any number of frames at once, agrees with PyTorch, and is taken by TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeseg.calibration.calibrate import Calibration
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.placement import TARGETS
from edgeseg.calibration.ranges import measure
from edgeseg.calibration.record import CalibrationRecord, Plan
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.half import to_half
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.export.verification.frames import AerialFrames, LabelledFrame, LabelledFrames
from edgeseg.export.verification.verify import VerifyRequest, verify
from edgeseg.models import registry
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.preprocess import Preprocessor
from edgeseg.runtime.tensorrt.builder import BuildRequest, build_engine
from edgeseg.runtime.tensorrt.module import find_tensorrt
from edgeseg.runtime.tensorrt.options import BuildOptions

CLASSES = 5
SIZE_HW = (64, 96)
THIN = {
    "fcn32s": {"width": 8},
    "fcn16s": {"width": 8},
    "fcn8s": {"width": 8},
    "unet": {"width": 8, "depth": 3},
    "segnet": {"width": 8},
}
"""Options that keep a network's form and make it small."""

FORMS = [
    *((name, THIN.get(name, {})) for name in registry.names()),
    ("lraspp", {"backbone": "efficientnet_lite0"}),
    ("lraspp", {"backbone": "efficientnet_lite0", "fine_skip": True}),
    ("fcn32s", {"backbone": "alexnet", "width": 8}),
    ("fcn32s", {"backbone": "googlenet", "width": 8}),
    ("deeplabv3", {"backbone": "efficientnet_lite0"}),
    ("deeplabv3", {"backbone": "resnet50"}),
    ("unet", {"width": 8, "depth": 2, "padding": "valid"}),
    ("unet", {"width": 8, "depth": 2, "up": "bilinear"}),
]


AKIN = [
    ("lraspp", {"backbone": "efficientnet_lite0", "fine_skip": True}),
    ("deeplabv3", {"backbone": "efficientnet_lite0"}),
    ("fcn32s", {"backbone": "alexnet", "width": 8}),
    ("fcn16s", THIN["fcn16s"]),
    ("unet", {"width": 8, "depth": 2, "up": "bilinear"}),
]
"""Forms whose parts other forms have too."""


def is_resnet50(name: str, options: dict[str, Any]) -> bool:
    """ResNet-50, which with random weights amplifies any rounding.

    Its weights alone, rounded to float16 and computed with in float32, move the logits by 10 % of their root mean
    square. So its float16 graph is built here and not judged; and it is slow.
    """
    return name == "fcn_resnet50" or options.get("backbone") == "resnet50"


def is_judged_in_float16(name: str, options: dict[str, Any]) -> bool:
    """False for ResNet-50, and for SegNet: rounding swaps nearly equal maxima in the encoder, and the random decoder
    makes of a value that is put one pixel further a step in the logits."""
    return name != "segnet" and not is_resnet50(name, options)


def form_id(form: tuple[str, dict[str, Any]]) -> str:
    return "-".join([form[0], *(str(v) for k, v in form[1].items() if k not in ("width", "depth"))])


def forms() -> list[Any]:
    return [
        pytest.param(
            *form,
            id=form_id(form),
            marks=[pytest.mark.slow] if is_resnet50(*form) or form in AKIN else [],
        )
        for form in FORMS
    ]


class Views(LabelledFrames):
    """Three views of the aerial world, made once."""

    def __init__(self) -> None:
        source = AerialFrames(7, (96, 128), 3)
        self.name, self.labels = source.name, source.labels
        self._frames = list(source)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return iter(self._frames)


@pytest.fixture(scope="module")
def views() -> Views:
    return Views()


@pytest.mark.parametrize(("name", "options"), forms())
def test_export_verify_and_build(name: str, options: dict[str, Any], views: Views, tmp_path: Path) -> None:
    checkpoint = resolve_weights(name, "random", CLASSES, options)
    network = checkpoint.build()
    graph = export_graph(network, checkpoint.info, SIZE_HW)
    check_that_frames_are_apart(graph)
    # N alone is open, so nothing has to be computed from a shape; ONNX Runtime would do that on the CPU beside a GPU.
    assert not {"Shape", "Size"} & {node.op_type for node in graph.graph.node}
    graphs = variant_graphs(graph, ("fp32", "fp16", "int8"), quantized_whole(Graph(graph), views))
    write_bundle(tmp_path, network, checkpoint.info, graphs, weights_name="random", size_hw=SIZE_HW)
    bundle = Bundle.load(tmp_path)
    variants = ["fp32", "fp16"] if is_judged_in_float16(name, options) else ["fp32"]
    verification = verify(bundle, views, VerifyRequest(variants=variants))
    assert verification.failures() == ""
    # Writing the bundle has run `int8-cpu` with ONNX Runtime's own kernels, and seen that its logits are finite.
    assert list(bundle.variants) == ["fp32", "fp16", "int8-cpu", "int8-tensorrt"]
    for name_ in ("fp32", "fp16", "int8-tensorrt"):
        variant = bundle.variant(name_)
        assert build_with_tensorrt(variant) > variant.path.stat().st_size // 2


def check_that_frames_are_apart(graph: onnx.ModelProto) -> None:
    """Three frames at once give each the logits that it has alone, in float32 and in float16."""
    frames = np.random.default_rng(0).integers(0, 256, (3, *SIZE_HW, 3), np.uint8)
    for model in (graph, to_half(graph)):
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (together,) = session.run(["logits"], {"frame": frames})
        alone = np.concatenate([session.run(["logits"], {"frame": frame[None]})[0] for frame in frames])
        assert together.shape[0] == 3
        # The same sums; a kernel may take another order for another batch, which is float32's rounding.
        assert np.abs(together - alone).max() <= 1e-6 * np.sqrt(np.mean(alone**2))


def quantized_whole(graph: Graph, views: Views) -> Calibration:
    """Everything quantized by what the views show; random weights have no accuracy to keep."""
    preprocess = Preprocessor(SIZE_HW)
    ranges = measure(graph, lambda: (preprocess(view.frame_bgr) for view in views), ("minmax",))
    record = CalibrationRecord(graph.sha256, "", views.name, "0" * 64, ("0" * 16,), 0, {}, ranges)
    plan = Plan("minmax", (), searched=False, budget=0.5, class_budget=1.0, int8_macs=1.0)
    return Calibration(record, dict.fromkeys(TARGETS, plan))


def build_with_tensorrt(variant: Variant) -> int:
    """Builds an engine for one to four frames with TensorRT for RTX, which needs no GPU; its size in bytes."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    warnings: list[str] = []
    engine = build_engine(
        find_tensorrt("tensorrt_rtx"),
        BuildRequest(variant.path, SIZE_HW, BuildOptions(batch=(1, 4)), sha256=variant.sha256),
        on_warning=warnings.append,
    )
    # TensorRT for RTX computes Q/DQ in float16 with weights of 8 bits, and says how it treats the scales.
    assert [line for line in warnings if "scales to fp32" not in line] == []
    return len(engine)
