"""The requests to an autopilot: one thing at a time, once each, and again where it does not come."""

from __future__ import annotations

from types import SimpleNamespace

from edgeseg.embedding.mavlink.needs import MESSAGES, Needs

NUMBERS = {number: kind for kind, number in MESSAGES.items()}


def questions(
    needs: Needs, first_s: float, last_s: float, come: tuple[str, ...] = (), result: int = 0
) -> list[str]:
    """The messages asked for, four turns a second, each answered at once; those of ``come`` come all the time."""
    asked = []
    for turn in range(round(first_s * 4), round(last_s * 4)):
        for kind in come:
            needs.seen(kind, turn / 4)
        question = needs.next_question(turn / 4)
        if question is not None:
            asked.append(NUMBERS[int(question["param1"])])
            needs.take_answer(SimpleNamespace(command=511, result=result))
    return asked


def test_everything_is_asked_for_once_where_it_comes() -> None:
    come = ("ATTITUDE", "LOCAL_POSITION_NED", "DISTANCE_SENSOR", "GLOBAL_POSITION_INT")
    assert questions(Needs(), 0, 60, come) == [*come]


def test_the_interval_is_in_microseconds() -> None:
    assert Needs().next_question(0) == {"param1": 30.0, "param2": 40_000}


def test_one_question_waits_for_its_answer() -> None:
    needs = Needs()
    assert needs.next_question(0) is not None
    assert needs.next_question(0.9) is None
    assert needs.next_question(1.0) is not None, "the answer was lost"


def test_what_does_not_come_is_asked_for_less_and_less() -> None:
    asked = questions(Needs(), 0, 120, ("ATTITUDE", "LOCAL_POSITION_NED", "GLOBAL_POSITION_INT"))
    assert 8 <= asked.count("DISTANCE_SENSOR") <= 12
    needs = Needs()
    assert 12 <= len(questions(needs, 300, 301) + questions(needs, 301, 330)) <= 40


def test_other_messages_tell_the_same() -> None:
    asked = questions(
        Needs(), 0, 20, ("ATTITUDE_QUATERNION", "LOCAL_POSITION_NED", "DISTANCE_SENSOR", "ALTITUDE")
    )
    assert asked == ["ATTITUDE", "LOCAL_POSITION_NED", "DISTANCE_SENSOR", "GLOBAL_POSITION_INT"]


def test_after_silence_it_is_asked_for_again() -> None:
    needs = Needs()
    come = ("ATTITUDE", "LOCAL_POSITION_NED", "DISTANCE_SENSOR", "GLOBAL_POSITION_INT")
    questions(needs, 0, 60, come)
    assert questions(needs, 60, 61.75, come[1:]) == []
    assert questions(needs, 61.75, 67, come[1:])[:2] == ["ATTITUDE_QUATERNION", "ATTITUDE"]


def test_a_refusal_is_told_once() -> None:
    needs = Needs()
    refusals = []
    for turn in range(200):
        if needs.next_question(turn / 4) is not None:
            refusals.append(needs.take_answer(SimpleNamespace(command=511, result=3)))
    assert sorted(filter(None, refusals)) == sorted(f"no {kind}: unsupported" for kind in MESSAGES)


def test_answers_that_are_no_refusals() -> None:
    needs = Needs()
    needs.next_question(0)
    assert needs.take_answer(SimpleNamespace(command=400, result=2)) == "", "about something else"
    assert needs.take_answer(SimpleNamespace(command=511, result=5)) == "", "in progress"
    assert needs.take_answer(SimpleNamespace(command=511, result=1)) == "", "not now"
    assert needs.take_answer(SimpleNamespace(command=511, result=2)) == "", "an answer that nobody waits for"
