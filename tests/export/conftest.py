"""A small U-Net with weights that tell colours and classes apart, and its bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeseg.core.labels import LabelMap
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.export.verification.frames import LabelledFrame, LabelledFrames
from edgeseg.models.checkpoint import Checkpoint
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle

SIZE_HW = (64, 96)


class NoiseFrames(LabelledFrames):
    """Smooth coloured noise, with masks that say nothing true but count as truth."""

    name = "noise"

    def __init__(self, labels: LabelMap, count: int, size_hw: tuple[int, int] = (80, 112)) -> None:
        self.labels = labels
        self._count = count
        self._size_hw = size_hw

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[LabelledFrame]:
        import cv2

        height, width = self._size_hw
        for index in range(self._count):
            random = np.random.default_rng(index)
            coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
            frame_bgr = np.asarray(
                cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8
            )
            mask = (frame_bgr[..., 0] // 64).astype(np.uint8) % len(self.labels)
            yield LabelledFrame(f"noise-{index}", frame_bgr, mask)


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    random = resolve_weights("unet", "random", 4, {"width": 8, "depth": 2})
    # Fresh biases are zero, and an exporter leaves such out.
    return Checkpoint(random.info, {**random.state, "score.bias": torch.tensor([0.02, -0.01, 0.03, -0.04])})


@pytest.fixture(scope="session")
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """fp32 and fp16, not verified. Do not change it: copy it."""
    folder = tmp_path_factory.mktemp("bundle") / "unet"
    folder.mkdir()
    network = checkpoint.build()
    variants = variant_graphs(export_graph(network, checkpoint.info, SIZE_HW), ("fp32", "fp16"))
    write_bundle(folder, network, checkpoint.info, variants, weights_name="random", size_hw=SIZE_HW)
    return Bundle.load(folder)


@pytest.fixture(scope="session")
def noise(checkpoint: Checkpoint) -> NoiseFrames:
    return NoiseFrames(checkpoint.info.labels, 3)


@pytest.fixture(scope="session")
def unlabelled_noise() -> NoiseFrames:
    return NoiseFrames(LabelMap.from_pairs([("ground", (1, 2, 3)), ("sky", (3, 2, 1))]), 3)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
