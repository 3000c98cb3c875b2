"""Progress: a line that is overwritten on a terminal, and a few plain lines in a log."""

from __future__ import annotations

import itertools
import sys

import pytest
from edgeseg.core.progress import Pace, ProgressLine


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines_within(clock: Clock, seconds: int) -> list[int]:
    pace, started, due = Pace(clock), clock.now, []
    for second in range(1, seconds + 1):
        clock.now = started + second
        if pace.due():
            due.append(second)
    return due


def test_the_first_lines_come_every_30_s(clock: Clock) -> None:
    assert lines_within(clock, 125) == [30, 60, 90, 120]


def test_later_lines_come_less_often_and_never_stop(clock: Clock) -> None:
    due = lines_within(clock, 24 * 3600)
    pauses = [after - before for before, after in itertools.pairwise(due)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 600
    assert len(due) < 250


def test_short_work_prints_nothing_in_a_log(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(clock)
    for done in range(1, 30):
        clock.now += 1
        line.count(done, 29, "images")
    assert capsys.readouterr().err == ""


def test_long_work_prints_plain_lines_in_a_log(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(clock)
    for done in range(1, 8):
        clock.now += 10
        line.count(done, 7, "images")
    assert capsys.readouterr().err == "3 of 7 images\n6 of 7 images\n"


def test_a_terminal_shows_each_count_on_one_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    line = ProgressLine(clock)
    line.count(1, 2, "a\nb")
    line.count(2, 2, "images")
    assert capsys.readouterr().err == "\r\x1b[K1 of 2 a\\nb\r\x1b[K2 of 2 images\n"
