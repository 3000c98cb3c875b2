"""The offset between two clocks: the smallest round trip counts, and only answers to our own questions."""

from __future__ import annotations

import pytest
from edgeseg.embedding.mavlink.timesync import TimeSync

MS = 1_000_000
AHEAD = 5_000_000_000_000


def exchange(sync: TimeSync, at_ms: int, there_ms: int, back_ms: int, ahead: int = AHEAD) -> None:
    """A question that takes so long to go and its answer so long to come back."""
    sent = at_ms * MS
    question = sync.ask(sent)
    assert question == {"tc1": 0, "ts1": sent}
    sync.take(sent + there_ms * MS + ahead, sent, sent + (there_ms + back_ms) * MS)


def test_nothing_is_known_before_an_answer() -> None:
    sync = TimeSync()
    sync.ask(1)
    assert sync.offset_s is None
    assert (sync.asked, sync.answers) == (1, 0)


def test_the_smallest_round_trip_counts() -> None:
    sync = TimeSync()
    exchange(sync, 100, 30, 2)
    assert sync.offset_s == pytest.approx(5000 + 0.014)
    exchange(sync, 200, 1, 1)
    exchange(sync, 300, 2, 40)
    assert sync.offset_s == pytest.approx(5000)
    assert (sync.asked, sync.answers) == (0, 3)


def test_answers_to_others_are_dropped() -> None:
    sync = TimeSync()
    sync.ask(100 * MS)
    sync.take(AHEAD, 99 * MS, 101 * MS)
    assert sync.offset_s is None
    assert sync.refused == 1


def test_an_answer_counts_once_and_not_too_late() -> None:
    sync = TimeSync()
    exchange(sync, 100, 1, 1)
    sync.take(7, 100 * MS, 103 * MS)  # the same again
    exchange(sync, 5000, 1, 1200)
    assert sync.refused == 2
    assert sync.offset_s == pytest.approx(5000)
    sync.ask(9000 * MS)
    sync.take(-5, 9000 * MS, 9001 * MS)
    assert sync.refused == 3


def test_the_oldest_questions_are_given_up() -> None:
    sync = TimeSync()
    for number in range(1, 20):
        sync.ask(number * MS)
    sync.take(AHEAD + MS, MS, 20 * MS)
    assert sync.offset_s is None


def test_a_clock_that_was_set_is_followed_at_once() -> None:
    sync = TimeSync()
    exchange(sync, 100, 1, 1)
    exchange(sync, 1100, 3, 4, ahead=2 * AHEAD)
    assert sync.offset_s == pytest.approx(10_000, abs=0.001)


def test_clearing_forgets_all() -> None:
    sync = TimeSync()
    exchange(sync, 100, 1, 1)
    sync.ask(200 * MS)
    sync.clear()
    sync.take(AHEAD, 200 * MS, 201 * MS)
    assert sync.offset_s is None


def test_an_answer_has_our_time_and_their_question() -> None:
    assert TimeSync.answer(77, 123) == {"tc1": 123, "ts1": 77}
