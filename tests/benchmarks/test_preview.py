"""What the preview costs: the arithmetic on figures made by hand, and the whole once on a real video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edgeseg.benchmarks import preview
from edgeseg.runtime.bundle import Bundle


def row(case: str, fps: float, spread: float, cpu: float) -> dict[str, Any]:
    return {
        "case": case,
        "files_fps": fps,
        "files_fps_span": [fps - spread, fps + spread],
        "cpu_percent": cpu,
    }


def test_what_the_figures_say() -> None:
    rows = [row("no page", 50, 2, 40), row("1 page", 49, 2, 52), row("4 pages", 40, 1, 60)]
    assert preview.read_out(rows) == [
        "Beside a camera, 1 page takes +12 % of a processor.",
        "How much 1 page slows a file, these rounds cannot tell: 47.0 to 51.0 frames a second, and 48.0 to 52.0"
        " without the preview.",
        "Beside a camera, 4 pages takes +20 % of a processor.",
        "With 4 pages a file runs at 80% of the rate without the preview.",
    ]


@pytest.mark.slow
def test_every_case_is_measured(small_bundle: Bundle, shared_data: Path, tmp_path: Path) -> None:
    video = shared_data / "video" / "car-detection.mp4"
    words = [str(small_bundle.path), "--source", str(video), "--seconds", "0.5", "--rounds", "1"]
    assert preview.main([*words, "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "preview.json").read_text())["rows"]
    assert [each["case"] for each in rows] == ["no page", "0 pages", "1 page", "4 pages", "1 stream"]
    assert all(each["files_fps"] > 0 and each["cpu_percent"] > 0 for each in rows)
    assert [each["pictures_fps"] > 0 for each in rows] == [False, False, True, True, True]


def test_mistakes_are_one_line(small_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert preview.main([str(small_bundle.path), "--source", "absent.mp4"]) == 2
    assert preview.main([str(small_bundle.path), "--source", __file__, "--rounds", "0"]) == 2
    assert capsys.readouterr().err.count("error:") == 2
