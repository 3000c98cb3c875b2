"""Outputs as a run hands them to a recording, and recordings of a tiny bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg.apps.recording.head import head_of_run
from edgeseg.apps.recording.sink import RecordingSink
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.clock import now
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sinks.base import Output


def noisy_frame(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Blocks of all levels with noise, so that each class is there and no two frames are alike."""
    generator = np.random.Generator(np.random.PCG64(number))
    height, width = size_hw
    blocks = generator.integers(0, 256, (6, 8), np.uint8)
    frame = np.kron(blocks, np.ones((-(-height // 6), -(-width // 8)), np.uint8))[:height, :width]
    return np.clip(frame[..., None] + generator.integers(-9, 10, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def make_frame() -> Callable[..., np.ndarray]:
    return noisy_frame


@pytest.fixture
def make_output() -> Callable[..., Output]:
    """``make_output(3, size_hw=(48, 64), reason="dark", beat=True)``."""

    def make(
        frame_id: int,
        size_hw: tuple[int, int] = (48, 64),
        reason: str = "",
        beat: bool = False,
        name: str = "",
    ) -> Output:
        frame = noisy_frame(frame_id, size_hw)
        classes = np.full(size_hw, 255, np.uint8) if reason else (frame[..., 0] // 90).astype(np.uint8)
        timings = {"preprocess": 0.5, "inference": 8.0 + frame_id, "decode": 0.25}
        result = Segmentation(classes, frame_id, now(), not reason, reason, timings)
        return Output(frame, result, name, lambda: frame, beat=beat, finished_at=now())

    return make


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """``record(bundle, frames=6, invalid=(2,))``: runs a bundle and records what it makes of noisy frames."""

    def make(bundle: Path, frames: int = 6, invalid: tuple[int, ...] = (), folder: str = "rec") -> Path:
        with Segmenter(bundle, threads=1) as segmenter:
            sink = RecordingSink(tmp_path / folder, segmenter.labels, head_of_run(segmenter, "camera", 1))
            for number in range(frames):
                frame = noisy_frame(number)
                result = segmenter(frame, frame_id=number)
                if number in invalid:
                    void = np.full_like(result.classes, 255)
                    result = Segmentation(void, number, result.captured_at, False, "dark", result.timings_ms)
                sink.write(Output(frame, result, "", lambda frame=frame: frame))
            sink.close(commit=True)
        return tmp_path / folder

    return make


@pytest.fixture
def three_labels() -> LabelMap:
    return LabelMap.from_pairs([("dark", (128, 64, 128)), ("grey", (70, 160, 70)), ("bright", (220, 60, 60))])
