"""What sinks cost: the whole once on a real video, and figures made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks import sinks
from edgeseg.runtime.bundle import Bundle


def test_what_the_figures_say() -> None:
    rows = [
        {"sink": "--record", "mean_ms": 20.0, "bytes": 200_000},
        {"sink": "--shm", "mean_ms": 0.1, "bytes": 0},
    ]
    assert sinks.read_out(rows) == [
        "The dearest, --record, is busy for 20.0 ms a frame: it keeps up with 50 frames a second, on one processor.",
        "A recording takes 18.0 GB an hour at 25 frames a second.",
    ]


def test_forms_come_back_bit_for_bit() -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    frames = [generator.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(3)]
    forms = sinks.measure_forms(frames)
    assert {"edgeseg --record", "PNG, level 1", "PNG, level 3"} <= set(forms)
    assert all(form.exact for name, form in forms.items() if not name.startswith("FFV1"))
    assert 0.9 < forms["edgeseg --record"].share < 1.2  # noise cannot be packed


def test_the_whole(small_bundle: Bundle, shared_data: Path, tmp_path: Path) -> None:
    video = shared_data / "video" / "car-detection.mp4"
    words = [
        str(small_bundle.path),
        "--source",
        str(video),
        "--frames",
        "4",
        "--rounds",
        "1",
        "--threads",
        "1",
    ]
    assert sinks.main([*words, "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "sinks.json").read_text())
    assert [row["sink"] for row in told["rows"]] == list(sinks.SINKS)
    assert all(row["mean_ms"] > 0 for row in told["rows"])
    assert (tmp_path / "out" / "sinks.md").read_text().startswith("# What sinks cost: 768 x 432")


def test_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sinks.main([str(tmp_path), "--source", str(tmp_path / "none.mp4")]) == 2
    assert "expected a video file" in capsys.readouterr().err
    assert sinks.main([str(tmp_path), "--source", str(tmp_path), "--rounds", "0"]) == 2
    assert "--frames and --rounds: expected 1 or more of each" in capsys.readouterr().err
