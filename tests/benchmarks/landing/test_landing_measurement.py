"""The measurement of landing spots: its tables, its page, and options that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgeseg.benchmarks.landing.__main__ import main


def test_exact_masks_give_no_unsafe_spot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "landing"
    assert main(["--views", "6", "--flights", "1", "--frames", "3", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Landing spots with exact masks" in printed
    result = json.loads((out / "landing.json").read_text(encoding="utf-8"))
    assert [(row["radius_m"], row["views"], row["unsafe"]) for row in result["views"]] == [
        (1.5, 6, 0),
        (3.0, 6, 0),
    ]
    assert all(row["found_of_exist"] <= row["exist"] for row in result["views"])
    assert [(row["frames"], row["unsafe"]) for row in result["flights"]] == [(3, 0), (3, 0)]
    assert "spots given" in (out / "landing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--views", "0"], "--views 0: expected 1 or more"),
        (["--flights", "-1"], "--flights -1: expected 0 or more"),
        (["--frames", "1"], "--frames 1: expected 2 or more"),
        (["--fps", "0"], "--fps 0: expected 0.5 to 60"),
        (["--intrusions", "0"], "--intrusions 0: expected 1 or more"),
        (["--closed-loop", "-1"], "--closed-loop -1: expected 1 or more"),
        (["--intrusions", "2", "--closed-loop", "2"], "--intrusions and --closed-loop: expected one of them"),
        (["--faults"], "--faults: expected --closed-loop with it; add it"),
        (["--log", "flights.jsonl"], "--log: expected --closed-loop with it; add it"),
    ],
)
def test_impossible_options_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err
