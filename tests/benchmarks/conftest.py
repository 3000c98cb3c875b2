"""A small bundle with real weights, and frames for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks.frames import read_frames
from edgeseg.benchmarks.peers.base import Setting
from edgeseg.benchmarks.peers.graphs import write_graphs
from edgeseg.core.arrays import Frame
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle

SIZE_HW = (96, 128)
FRAME_HW = (120, 200)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the backends' caches with the test."""
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """LRASPP with the CamVid weights, at a small input. Do not change it."""
    folder = tmp_path_factory.mktemp("bundle") / "lraspp"
    folder.mkdir()
    checkpoint = resolve_weights("lraspp", "camvid-mobilenet")
    network = checkpoint.build()
    graphs = variant_graphs(export_graph(network, checkpoint.info, SIZE_HW), ("fp32",))
    write_bundle(folder, network, checkpoint.info, graphs, weights_name="camvid-mobilenet", size_hw=SIZE_HW)
    return Bundle.load(folder)


@pytest.fixture(scope="session")
def frames() -> Frame:
    """Three views of the aerial world."""
    return read_frames(None, FRAME_HW, 3)[0]


@pytest.fixture(scope="session")
def setting(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    graphs = tmp_path_factory.mktemp("graphs")
    write_graphs(small_bundle, FRAME_HW, graphs)
    return Setting.of(small_bundle, None, FRAME_HW, 1, graphs)


@pytest.fixture(scope="session")
def frames_file(frames: Frame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    np.save(path, frames)
    return path
