"""The progress lines of export and verify where there is no terminal."""

from __future__ import annotations

import io

import pytest
from edgeseg.export.report import console as shown
from rich.console import Console


class EverySecond:
    """A pace in which each second call is due."""

    def __init__(self) -> None:
        self.calls = 0

    def due(self) -> bool:
        self.calls += 1
        return self.calls % 2 == 0


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(shown, "Pace", EverySecond)
    return io.StringIO()


def test_frames_are_counted_in_a_log(log: io.StringIO) -> None:
    with shown.frame_progress(Console(file=log), 5) as advance:
        for _ in range(5):
            advance()
    assert log.getvalue() == "  2 of 5 frames\n  4 of 5 frames\n"


def test_a_step_of_calibration_is_a_line_and_is_counted(log: io.StringIO) -> None:
    with shown.calibration_progress(Console(file=log)) as notify:
        for done in range(3):
            notify("reading ranges", done, 3)
        notify("correcting biases", 0, 1)
    assert log.getvalue() == "  reading ranges\n  reading ranges: 2 of 3\n  correcting biases\n"
