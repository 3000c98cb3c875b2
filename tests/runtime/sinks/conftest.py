"""Outputs as a run hands them to sinks, and its status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.runtime.clock import now
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.status import Board, SinkStatus, SourceStatus, Status


@pytest.fixture
def make_output() -> Callable[..., Output]:
    """``make_output(3, size_hw=(40, 60), reason="dark", beat=True, at=1.5, noise=True)``."""
    generator = np.random.Generator(np.random.PCG64(0))

    def make(
        frame_id: int,
        size_hw: tuple[int, int] = (40, 60),
        reason: str = "",
        beat: bool = False,
        at: float | None = None,
        noise: bool = False,
    ) -> Output:
        at = now() if at is None else at
        if noise:
            frame = generator.integers(0, 256, (*size_hw, 3), np.uint8)
        else:
            frame = np.full((*size_hw, 3), 20 * frame_id % 256, np.uint8)
        classes = np.full(size_hw, 255 if reason else 0, np.uint8)
        if not reason:
            classes[:, : 1 + frame_id % size_hw[1]] = 1
        timings = {"preprocess": 0.5, "inference": 8.0, "decode": 0.25}
        result = Segmentation(classes, frame_id, at, not reason, reason, timings)
        shares = result.shares(3)
        return Output(frame, result, "", lambda: frame, shares=shares, beat=beat, finished_at=at + 0.01)

    return make


@pytest.fixture
def make_status() -> Callable[..., Status]:
    """``make_status(connected=False, …)``: of one source; keywords are of the source, or of the run."""
    source = SourceStatus(
        number=0, name="camera", live=True, connected=True, problem="", reconnects=0, valid=True, reason="",
        age_seconds=0.05, frame_id=7, size_hw=(40, 60), fps=12.5, captured=9, results=8, invalid={"dark": 1},
        dropped=1, deadline_misses=0, latency_ms={"p50": 20.0, "p90": 25.0, "p99": 31.0},
        class_share={"ground": 0.5}, sinks=[SinkStatus("video v.mp4", 8, 0)],
    )  # fmt: skip
    status = Status(
        state="running", ready=True, uptime_seconds=3.5, sources=[source], stages={}, inference_errors={},
        bundle="tiny", variant="fp32", backend="onnxruntime", device="cpu", precision="fp32",
        board=Board({"cpu-thermal": 51.25}, ["cpu at 1.2 of 2.0 GHz"]),
    )  # fmt: skip

    def make(**changes: object) -> Status:
        of_run = {name: value for name, value in changes.items() if hasattr(status, name)}
        of_source = {name: value for name, value in changes.items() if name not in of_run}
        return replace(status, **of_run, sources=[replace(source, **of_source)])

    return make
