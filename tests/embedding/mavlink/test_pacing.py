"""The pace of what is sent: never too often, never too old, and not right after a switch."""

from __future__ import annotations

import math
from itertools import pairwise

from edgeseg.embedding.mavlink.budget import WorkBudget
from edgeseg.embedding.mavlink.pacing import Announcer, Pacer, status_text


def test_the_newest_is_sent_at_ten_a_second_at_most() -> None:
    pacer: Pacer[int] = Pacer()
    sent = []
    for step in range(1000):  # offered at 100 a second
        pacer.offer(step, expires_at=step / 100 + 0.5)
        if (item := pacer.take(step / 100)) is not None:
            sent.append(item)
    assert 90 <= len(sent) <= 100
    assert all(later - earlier >= 10 for earlier, later in pairwise(sent))


def test_it_is_sent_again_while_it_is_young() -> None:
    pacer: Pacer[str] = Pacer(period_s=0.25)
    pacer.offer("spot", expires_at=1.1)
    assert [at for at in range(0, 20) if pacer.take(at / 8)] == [0, 2, 4, 6, 8]
    assert pacer.next_in(1.125) == math.inf


def test_what_has_grown_too_old_is_not_waited_for() -> None:
    pacer: Pacer[str] = Pacer()
    pacer.offer("spot", expires_at=1.0)
    assert pacer.next_in(0.5) == 0
    assert pacer.take(1.0) is None
    assert pacer.next_in(1.0) == math.inf


def test_nothing_is_sent_once_there_is_nothing() -> None:
    pacer: Pacer[str] = Pacer()
    pacer.offer("spot", expires_at=10)
    assert pacer.take(0) == "spot"
    pacer.offer(None, expires_at=10)
    assert pacer.take(1) is None
    assert pacer.next_in(1) == math.inf


HERE, NEAR, ELSEWHERE, AWAY = (0.0, 0.0), (0.3, 0.3), (2.0, 0.0), (0.0, 2.0)


def test_after_a_switch_there_is_silence_since_the_last_one_sent() -> None:
    pacer: Pacer[str] = Pacer(quiet_s=2.5)
    pacer.offer("one", 100, HERE)
    assert pacer.take(0) == "one", "the first place is no switch"
    pacer.offer("other", 100, ELSEWHERE)
    assert pacer.take(2.4) is None
    assert pacer.next_in(2.4) == 2.5 - 2.4
    assert pacer.take(2.5) == "other"


def test_a_switch_during_the_silence_does_not_prolong_it() -> None:
    pacer: Pacer[str] = Pacer(quiet_s=2.5)
    pacer.offer("one", 100, HERE)
    pacer.take(0)
    pacer.offer("other", 100, ELSEWHERE)
    pacer.offer(None, 100, (math.nan, math.nan))
    pacer.offer("third", 100, AWAY)
    assert pacer.take(2.4) is None
    assert pacer.take(2.5) == "third"


def test_the_same_place_needs_no_silence_also_after_a_pause() -> None:
    pacer: Pacer[str] = Pacer(quiet_s=2.5)
    pacer.offer("one", 100, HERE)
    pacer.take(0)
    pacer.offer(None, 100, (math.nan, math.nan))
    assert pacer.take(0.2) is None
    pacer.offer("one", 100, NEAR)
    assert pacer.take(0.4) == "one"


def test_a_place_that_creeps_is_followed() -> None:
    pacer: Pacer[int] = Pacer(quiet_s=2.5)
    for step in range(50):
        pacer.offer(step, 100, (0.1 * step, 0.0))
        assert pacer.take(step / 8) == step


def test_after_a_long_silence_a_switch_needs_no_more() -> None:
    pacer: Pacer[str] = Pacer(quiet_s=2.5)
    pacer.offer("one", 100, HERE)
    pacer.take(0)
    pacer.offer("other", 100, ELSEWHERE)
    assert pacer.take(10) == "other"


def test_the_time_to_wait_leads_to_the_next_one() -> None:
    pacer: Pacer[str] = Pacer()
    pacer.offer("spot", expires_at=10)
    pacer.take(0)
    assert pacer.next_in(0.03) == 0.1 - 0.03
    assert pacer.next_in(5) == 0


def test_a_state_is_told_when_it_changes_and_not_more_often_than_allowed() -> None:
    announcer = Announcer(period_s=2)
    told = []
    for step in range(100):  # it flutters ten times a second, and stays "b" in the end
        announcer.offer("b" if step > 50 or step % 2 else "a", 4)
        if (message := announcer.take(step / 10)) is not None:
            told.append((step, message[1]["text"]))
    assert told[0] == (0, b"edgeseg: a")
    assert told[-1][1] == b"edgeseg: b"
    assert all(later[0] - earlier[0] >= 20 for earlier, later in pairwise(told))
    assert len(told) <= 4


def test_a_state_that_came_back_before_it_was_told_is_not_told() -> None:
    announcer = Announcer(period_s=2)
    announcer.offer("a", 4)
    announcer.take(0)
    announcer.offer("b", 4)
    assert announcer.take(1) is None
    assert announcer.next_in(1) == 1
    announcer.offer("a", 4)
    assert announcer.take(3) is None
    assert announcer.next_in(3) == math.inf


def test_a_text_fits_mavlink() -> None:
    kind, fields = status_text("ü" + "x" * 60, 4)
    assert kind == "STATUSTEXT"
    assert fields == {"severity": 4, "text": b"edgeseg: ?" + b"x" * 40}


def test_a_budget_pauses_until_its_second_is_over() -> None:
    budget = WorkBudget(1000)
    assert budget.pause(50.0) == 0
    budget.spend(850)
    assert budget.pause(50.2) == 0
    budget.spend(0, errors=1)
    assert budget.pause(50.25) == 0.75
    assert not budget.resumes()
    assert budget.pause(51.0) == 0
    assert budget.resumes(), "what has queued up is dropped"
    assert not budget.resumes()
    budget.spend(10)
    assert budget.pause(52.0) == 0
    assert not budget.resumes()
