"""The common parts of the steps: the prepared network, TensorRT's backend on it, and the runs of frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...core.arrays import Frame
from ...runtime.backends import backend_class
from ...runtime.backends.tensorrt import TensorRTBackend
from ...runtime.bundle import Bundle, Variant
from ...runtime.preprocess import Preprocessor
from ...runtime.tensorrt.options import BuildOptions
from .nvml import Nvml
from .order import StepOrder
from .prepared import PreparedFolder, PreparedNetwork, variant_of
from .timing import timed

LARGE_BATCH = 4
WARM_UPS = 3
"""The runs before timing: the first warms up, the second is captured as a CUDA graph, the third replays it."""


class Subject:
    """A step's network, its frames, and the engine options that fit them."""

    def __init__(self, order: StepOrder) -> None:
        self.prepared = PreparedFolder.load(Path(order.prepared))
        self.network: PreparedNetwork = self.prepared.networks[order.network]
        self.bundle: Bundle = self.network.bundle()
        self.frames: list[Frame] = self.prepared.frames()
        self.frame_size_hw = (self.frames[0].shape[0], self.frames[0].shape[1])
        self.backend_name = order.backend

    def variant(self, precision: str) -> Variant:
        """Returns the variant of a precision."""
        return variant_of(self.bundle, precision)

    def options(self, batch: tuple[int, int] = (1, 1)) -> BuildOptions:
        """Returns the options of an engine that decodes to the frames' size."""
        return BuildOptions(batch=batch, frame_size_hw=self.frame_size_hw)

    def inputs(self) -> list[Frame]:
        """Returns the frames in the network's input form, uint8 [1, h, w, 3]."""
        preprocess = Preprocessor(self.bundle.input_size_hw)
        return [preprocess(frame).copy() for frame in self.frames]

    @contextmanager
    def opened(
        self, precision: str, options: BuildOptions, told: dict[str, Any], graph: bool = True
    ) -> Iterator[TensorRTBackend]:
        """Yields the raw backend, warm; the device memory that it uses is written to ``told``."""
        nvml = Nvml()
        before = nvml.memory_mb()
        kind: Any = backend_class(self.backend_name)
        with kind(self.variant(precision), self.bundle.input_size_hw, "cuda", options=options) as backend:
            backend.cuda_graph = graph
            backend.warmup()
            after = nvml.memory_mb()
            taken = None if before is None or after is None else round(after - before, 1)
            told["device_memory_mb"] = taken
            yield backend


def through_backend(backend: TensorRTBackend, frames: list[Frame], count: int, batch: int) -> dict[str, Any]:
    """Runs ``count`` frames, ``batch`` in each call, from host memory to class maps in it, and times the calls."""
    pinned = backend.new_input(batch)

    def call(number: int) -> None:
        for place in range(batch):
            pinned[place] = frames[(number * batch + place) % len(frames)][0]
        backend.infer_classes(pinned)

    for number in range(WARM_UPS):
        call(number)
    return timed(max(1, count // batch), call, batch)


def class_maps(backend: TensorRTBackend, frames: list[Frame], batches: list[int]) -> list[Frame]:
    """Returns the class map of each frame in turn, run in batches of these sizes, in a loop."""
    maps: list[Frame] = []
    turn = 0
    while len(maps) < len(frames):
        batch = min(batches[turn % len(batches)], len(frames) - len(maps))
        together = np.concatenate(frames[len(maps) : len(maps) + batch])
        maps += [each.copy() for each in backend.infer_classes(together).classes]
        turn += 1
    return maps
