"""The status line where there is no terminal, and the closing table."""

from __future__ import annotations

from typing import Any

import pytest
from edgeseg.apps import console


class Always:
    """A pace in which a line is always due."""

    def due(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("live", "paced", "told"), [(True, True, "3 of 9 tiles\n"), (True, False, ""), (False, True, "")]
)
def test_a_log_has_plain_lines_only_where_they_are_wanted(
    live: bool,
    paced: bool,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(console, "Pace", Always)
    console.StatusLine(live, paced).show(lambda: "3 of 9 tiles")
    assert capsys.readouterr().err == told


def figures(name: str, live: bool) -> dict[str, Any]:
    """The closing statistics of one source."""
    ms = {"p50": 5.0, "p90": 6.0, "p99": 7.0}
    return {
        "source": name, "live": live, "frames": 9, "dropped": 0, "invalid_frames": 0, "missing": 0, "fps": 25.0,
        "bottleneck": "", "stages_ms": {"decode": ms}, "latency_ms": {"p50": 31.5, "p90": 32.5, "p99": 33.5},
        "busy": {"decode": 0.5}, "class_share": {}, "error": None,
    }  # fmt: skip


@pytest.mark.parametrize("live", [True, False])
def test_only_a_camera_has_a_time_from_capture_to_mask(live: bool) -> None:
    table = console.summary_table(figures("camera 0" if live else "film.mp4", live))
    assert ("capture to mask       31.50    32.50    33.50" in table) == live
    assert "decode                 5.00     6.00     7.00" in table


@pytest.mark.parametrize(
    ("first", "second", "times"), [(True, True, 2), (True, False, 1), (False, True, 1), (False, False, 0)]
)
def test_of_several_sources_each_camera_has_its_times(first: bool, second: bool, times: int) -> None:
    sources = [figures("a", first), figures("b", second)]
    table = console.summary_table({**figures("", False), "sources": sources})
    rows = table.partition("milliseconds")[0]
    assert rows.count("31.50") == times
    assert ("ms p50" in rows) == bool(times)
    assert ("capture to mask" in table) == (first and second)
