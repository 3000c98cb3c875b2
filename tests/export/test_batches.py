"""Every network takes any number of frames at once, and gives each the logits that it has alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from edgeseg.export.half import to_half
from edgeseg.export.onnx_file import export_graph
from edgeseg.models import registry
from edgeseg.models.pretrained import resolve_weights

SIZE_HW = (64, 96)
THIN: dict[str, dict[str, Any]] = {
    "fcn32s": {"width": 8},
    "fcn16s": {"width": 8},
    "fcn8s": {"width": 8},
    "unet": {"width": 8, "depth": 2, "up": "bilinear", "padding": "valid"},
}
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "fcn_resnet50" else [])
    for name in registry.names()
]


@pytest.mark.parametrize("name", NAMES)
def test_three_frames_at_once_are_three_frames(name: str) -> None:
    checkpoint = resolve_weights(name, "random", 5, THIN.get(name, {}))
    graph = export_graph(checkpoint.build(), checkpoint.info, SIZE_HW)
    frames = np.random.default_rng(0).integers(0, 256, (3, *SIZE_HW, 3), np.uint8)
    for model in (graph, to_half(graph)):
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (together,) = session.run(["logits"], {"frame": frames})
        alone = np.concatenate([session.run(["logits"], {"frame": frame[None]})[0] for frame in frames])
        assert together.shape[0] == 3
        # The same sums; a kernel may take another order for another batch, which is float32's rounding.
        assert np.abs(together - alone).max() <= 1e-6 * np.sqrt(np.mean(alone**2))
