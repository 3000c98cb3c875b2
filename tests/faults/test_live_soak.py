"""The soak: a short one, and that its judge finds what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import OutputError

from . import live_soak
from .disturbances import Disturbance, Happening, drawn
from .judge import Judgement, judge
from .live_run import Pace
from .live_soak import Soak
from .page import write_part

PACE = Pace(max_age_s=0.5, heartbeat_hz=10)


def said(at: float, reason: str = "", age_s: float = 0.0) -> Mapping[str, Any]:
    return {
        "type": "result",
        "monotonic_s": at,
        "valid": not reason,
        "reason": reason,
        "captured_at": at - age_s,
    }


def steady(begin: float, end: float, reason: str = "", age_s: float = 0.0) -> list[Mapping[str, Any]]:
    return [said(float(at), reason, age_s) for at in np.arange(begin, end, 0.05)]


def happening(begin: float, end: float, **more: object) -> Happening:
    return Happening(Disturbance("black images", lambda: None, reasons=("dark",), **more), begin, end)


def test_what_is_right_is_called_right() -> None:
    events = [*steady(0, 2), *steady(2, 4, "dark"), *steady(4, 6)]
    judgement = judge(events, [happening(2, 4)], PACE, 0.0, 6.0)
    assert judgement.wrong == []
    assert (judgement.seconds, judgement.valid, judgement.reasons) == (6, 4, {"dark": 2})


@pytest.mark.parametrize(
    ("events", "happenings", "wrong"),
    [
        (steady(0, 2, age_s=1.5), [], "valid, but 1.5"),
        ([*steady(0, 1), *steady(1.5, 2)], [], "no event for 0.3 s"),
        (steady(0, 2), [happening(0, 2)], "valid, but black images for 1.0 s"),
        (steady(0, 2, "stale"), [happening(0, 2)], "stale, but black images is under way"),
        (steady(0, 4, "dark"), [happening(0, 1)], "dark, but black images is over for"),
        (steady(0, 1, "dark"), [], "dark, but nothing has happened yet"),
    ],
)
def test_what_is_wrong_is_found(events: list[Any], happenings: list[Happening], wrong: str) -> None:
    judgement = judge(events, happenings, PACE, 0.0, round(events[-1]["monotonic_s"]))
    assert any(wrong in line for line in judgement.wrong), judgement.wrong


def test_a_result_that_nothing_follows_grows_old() -> None:
    slow = Pace(max_age_s=0.5, heartbeat_hz=0.5)
    (line, *_) = judge([said(0.0)], [], slow, 0.0, 6.0).wrong
    assert line.endswith("old")


def test_all_disturbances_come_before_any_comes_again() -> None:
    import random

    all_of_them = [Disturbance(str(number), lambda: None) for number in range(5)]
    coming = drawn(all_of_them, random.Random(1))
    for _ in range(3):
        assert {next(coming).name for _ in range(5)} == set("01234")


def test_memory_that_grows_is_a_leak() -> None:
    nothing = Judgement(0, 0, {}, [], 0.0)
    seconds = np.arange(0, 600, 1.0)
    for slope_mb_s, leaks in ((0.0, False), (0.1, True)):
        soak = Soak(nothing, [], {}, np.stack([seconds, 200 + slope_mb_s * seconds], axis=1), 0, 0)
        assert soak.leaks is leaks
        assert soak.slope == pytest.approx(3600 * slope_mb_s, abs=0.1)


def test_a_part_of_a_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- soak: begin (how) -->\nold\n<!-- soak: end -->\n\nb\n")
    for _ in range(2):
        write_part(page, "soak", "new\n")
        assert page.read_text() == "# A\n\n<!-- soak: begin (how) -->\n\nnew\n\n<!-- soak: end -->\n\nb\n"
    with pytest.raises(OutputError, match="lacks <!-- faults: begin"):
        write_part(page, "faults", "new")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes 0: expected"),
        (["--bundle", "none"], "--bundle none: there is no bundle"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_soak.main(arguments) == 2
    assert message in capsys.readouterr().err
