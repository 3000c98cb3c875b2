"""Latency of FP32 and INT8 on this machine's CPU, timed in turn: the gain of INT8 is measured, not assumed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from ...runtime.backends.onnxruntime import OnnxRuntimeBackend
from ...runtime.bundle import Bundle, Variant
from ...runtime.checked_files import file_sha256
from ..graph.onnx_file import save_graph

if TYPE_CHECKING:
    import onnx

_ROUNDS = 15
_WARM_UP = 3


@dataclass(frozen=True)
class Latencies:
    """Milliseconds for each frame from the network's input to its logits, by variant: the median over the rounds."""

    milliseconds: Mapping[str, float]

    @property
    def speed_up(self) -> float:
        """The speed of ``int8-cpu`` divided by that of ``fp32``."""
        return self.milliseconds["fp32"] / self.milliseconds["int8-cpu"]


def latencies_in_turn(graph: onnx.ModelProto, bundle: Bundle, rounds: int = _ROUNDS) -> Latencies:
    """Times ``fp32`` and ``int8-cpu`` with ONNX Runtime, one frame of each in turn.

    Args:
        graph: float32, because the bundle may have no such variant.
        bundle: with a variant ``int8-cpu``.
        rounds: the number of frames of each.
    """
    height, width = bundle.input_size_hw
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    times: dict[str, list[float]] = {"fp32": [], "int8-cpu": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / "fp32.onnx"
        save_graph(path, graph, "fp32")
        fp32 = Variant("fp32", path, file_sha256(path), precision="fp32", target="any", parity=None)
        backends = {
            variant.name: stack.enter_context(OnnxRuntimeBackend(variant, bundle.input_size_hw))
            for variant in (fp32, bundle.variant("int8-cpu"))
        }
        for number in range(_WARM_UP + rounds):
            for name, backend in backends.items():
                start = time.perf_counter()
                backend.infer(frame)
                if number >= _WARM_UP:
                    times[name].append((time.perf_counter() - start) * 1e3)
    return Latencies({name: median(values) for name, values in times.items()})
