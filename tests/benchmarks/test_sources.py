"""Several sources, one network: the arithmetic on figures made by hand, and the whole once on a real video."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.benchmarks import sources
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.sources.video.source import VideoSource


@pytest.fixture
def video(shared_data: Path) -> Path:
    return shared_data / "video" / "car-detection.mp4"


def row(count: int, batch: int, files_fps: float, dropped: float = 0.0) -> dict[str, Any]:
    return {"sources": count, "batch": batch, "files_fps": files_fps, "live_dropped": dropped}


def test_the_numbers_of_sources() -> None:
    assert sources.counts(1) == [1]
    assert sources.counts(6) == [1, 2, 4, 6]
    assert sources.counts(8) == [1, 2, 4, 8]


def test_what_the_figures_say() -> None:
    rows = [row(1, 1, 50), row(2, 1, 60), row(2, 2, 66), row(4, 1, 55, 0.4), row(4, 4, 44)]
    assert sources.read_out(rows, 25) == [
        "4 files one frame at a time give 1.10 times the rate of 1: 55.0 frames a second in all.",
        "Batches give 0.80 to 1.10 times the rate of single frames.",
        "2 cameras at 25 frames a second lose less than 2 % of their frames.",
    ]
    assert sources.read_out([row(1, 1, 5, 0.8)], 25)[-1].startswith("Even one camera at 25 frames")


def test_a_video_begins_again(video: Path) -> None:
    with VideoSource(video) as once:
        first = once.read()
        frames = 1
        while once.read() is not None:
            frames += 1
    looped = sources.Looped(video)
    for _ in range(frames):
        assert looped.read() is not None
    np.testing.assert_array_equal(looped.read(), first)
    looped.close()


def test_a_camera_keeps_its_pace(video: Path) -> None:
    camera = sources.Looped(video, fps=50)
    start = time.monotonic()
    for _ in range(10):
        camera.read()
    seconds = time.monotonic() - start
    camera.close()
    assert camera.live
    assert seconds > 0.17


@pytest.mark.timeout(120)
def test_the_whole(
    small_bundle: Bundle, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(small_bundle.path),
        "--source",
        str(video),
        "--most",
        "2",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
    ]
    assert sources.main([*words, "--threads", "1", "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out/sources.json").read_text())
    assert [(each["sources"], each["batch"]) for each in result["rows"]] == [(1, 1), (2, 1), (2, 2)]
    for each in result["rows"]:
        assert each["files_fps"] > 0
        assert 0 <= each["live_dropped"] <= 1
        assert each["p50_ms"] <= each["p90_ms"] <= each["p99_ms"]
    assert "cameras at 25" in (tmp_path / "out/sources.md").read_text()
    assert "lose" in capsys.readouterr().out


def test_mistakes_are_one_line(small_bundle: Bundle, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sources.main([str(small_bundle.path), "--source", "absent.mp4"]) == 2
    assert sources.main([str(small_bundle.path), "--source", str(video), "--most", "0"]) == 2
    assert capsys.readouterr().err.count("error:") == 2
