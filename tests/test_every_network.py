"""Every network exports, agrees with PyTorch, and is taken by TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.frames import AerialFrames, LabelledFrame, LabelledFrames
from edgeseg.export.onnx_file import export_graph
from edgeseg.export.variants import variant_graphs
from edgeseg.export.verify import verify
from edgeseg.models import registry
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.tensorrt.builder import build_engine
from edgeseg.runtime.tensorrt.module import find_tensorrt
from edgeseg.runtime.tensorrt.options import BuildOptions

CLASSES = 5
SIZE_HW = (64, 96)
THIN = {
    "fcn32s": {"width": 8},
    "fcn16s": {"width": 8},
    "fcn8s": {"width": 8},
    "unet": {"width": 8, "depth": 3},
}
"""Options that keep a network's form and make it small."""

FORMS = [
    *((name, THIN.get(name, {})) for name in registry.names()),
    ("fcn32s", {"backbone": "alexnet", "width": 8}),
    ("deeplabv3", {"backbone": "resnet50"}),
    ("unet", {"width": 8, "depth": 2, "padding": "valid"}),
    ("unet", {"width": 8, "depth": 2, "up": "bilinear"}),
]


def is_resnet50(name: str, options: dict[str, Any]) -> bool:
    """ResNet-50, which with random weights amplifies any rounding.

    Its weights alone, rounded to float16 and computed with in float32, move the logits by 10 % of their root mean
    square. So its float16 graph is built here and not judged; and it is slow.
    """
    return name == "fcn_resnet50" or options.get("backbone") == "resnet50"


def form_id(form: tuple[str, dict[str, Any]]) -> str:
    return "-".join([form[0], *(str(v) for k, v in form[1].items() if k not in ("width", "depth"))])


def forms() -> list[Any]:
    return [
        pytest.param(
            *form,
            id=form_id(form),
            marks=[pytest.mark.slow] if is_resnet50(*form) else [],
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
    graphs = variant_graphs(export_graph(network, checkpoint.info, SIZE_HW), ("fp32", "fp16"))
    write_bundle(tmp_path, network, checkpoint.info, graphs, weights_name="random", size_hw=SIZE_HW)
    bundle = Bundle.load(tmp_path)
    variants = ["fp32"] if is_resnet50(name, options) else ["fp32", "fp16"]
    verification = verify(bundle, views, variants=variants)
    assert verification.failures() == ""
    for variant in bundle.variants.values():
        assert build_with_tensorrt(variant) > variant.path.stat().st_size // 2


def build_with_tensorrt(variant: Variant) -> int:
    """Builds an engine for one to four frames with TensorRT for RTX, which needs no GPU; its size in bytes."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    warnings: list[str] = []
    engine = build_engine(
        find_tensorrt("tensorrt_rtx"),
        variant.path,
        SIZE_HW,
        BuildOptions(batch=(1, 4)),
        sha256=variant.sha256,
        on_warning=warnings.append,
    )
    assert warnings == []
    return len(engine)
