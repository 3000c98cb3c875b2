"""The film of a landing: a video of both views, its line of figures, and an error in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.benchmarks.landing import film as films
from edgeseg.benchmarks.landing.film import SIDE_PX, FilmedLanding, film, main, words_of
from edgeseg.benchmarks.landing.loop.flight import ABORTED, SAFE, FlightOutcome, LoopFlight
from edgeseg.core.arrays import Frame
from edgeseg.data.aerial.labels import GRASS
from edgeseg.runtime.result import Segmentation


def all_grass(frame_bgr: Frame) -> Segmentation:
    """A network that sees nothing but grass."""
    return Segmentation(np.full(frame_bgr.shape[:2], GRASS, np.uint8))


def test_a_film_shows_both_views_until_the_vehicle_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = LoopFlight.__init__

    def from_low(self: LoopFlight, *options: Any) -> None:
        low(self, *options)
        self.vehicle.state = replace(self.vehicle.state, height_m=8.0)

    monkeypatch.setattr(LoopFlight, "__init__", from_low)
    shown = film(tmp_path / "landing.mp4", all_grass, 2)  # type: ignore[arg-type]
    assert shown.outcome.end != ABORTED
    video = cv2.VideoCapture(str(tmp_path / "landing.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (
        2 * SIDE_PX,
        SIDE_PX,
    )
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == shown.frames > 20
    ok, first = video.read()
    assert ok
    assert first.std() > 10


def outcome_of(end: str, why: str = "") -> FlightOutcome:
    return FlightOutcome(2, "ardupilot", "none", end, why, 49.0, 46.0, 0.21, 0.0, 9)


def test_the_line_of_figures() -> None:
    assert words_of(FilmedLanding(outcome_of(SAFE), 100, 12.6)) == (
        "landed safely in 46 s, 0.21 m from the spot; waited 13 s for a spot, 9 spots left"
    )
    assert words_of(FilmedLanding(outcome_of(ABORTED, "no spot"), 100, 0.0)) == "aborted after 49 s: no spot"


def test_the_program_writes_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class NoNetwork:
        def __init__(self, bundle: Path) -> None: ...

        def __enter__(self) -> NoNetwork:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(films, "Segmenter", NoNetwork)
    monkeypatch.setattr(films, "film", lambda *rest: FilmedLanding(outcome_of(SAFE), 100, 12.6))
    stats = tmp_path / "landing.json"
    assert main(["--bundle", "none", "--out", str(tmp_path / "a.mp4"), "--stats", str(stats)]) == 0
    assert capsys.readouterr().out.startswith("landed safely in 46 s")
    assert json.loads(stats.read_text(encoding="utf-8"))["words"].startswith("landed safely in 46 s")
    assert main(["--bundle", "none", "--out", str(tmp_path / "a.mp4"), "--stats", str(stats)]) == 2
    assert "landing.json exists; give --force to replace it, or another name" in capsys.readouterr().err
