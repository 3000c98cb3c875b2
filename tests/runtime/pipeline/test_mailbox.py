from __future__ import annotations

import threading
import time

import pytest
from edgeseg.runtime.pipeline.mailbox import Mailbox


def test_items_come_in_order() -> None:
    box: Mailbox[int] = Mailbox(3)
    assert all(box.put(i) for i in range(3))
    box.close()
    assert [box.get() for _ in range(4)] == [0, 1, 2, None]
    assert box.finished


def test_the_newest_wins_and_drops_are_counted() -> None:
    box: Mailbox[int] = Mailbox(1, newest_wins=True)
    assert all(box.put(i) for i in range(5))
    assert box.get() == 4
    assert box.dropped == 4


def test_a_full_mailbox_makes_the_writer_wait_only_so_long() -> None:
    box: Mailbox[int] = Mailbox(1)
    box.put(0)
    assert not box.put(1, timeout=0.01)
    assert not box.closed
    assert box.get() == 0


def test_an_empty_mailbox_makes_the_reader_wait_only_so_long() -> None:
    box: Mailbox[int] = Mailbox(1)
    assert box.get(timeout=0.01) is None
    assert not box.finished


@pytest.mark.timeout(10)
@pytest.mark.parametrize("end", ["close", "cancel"])
def test_whoever_waits_is_woken(end: str) -> None:
    full: Mailbox[int] = Mailbox(1)
    full.put(0)
    empty: Mailbox[int] = Mailbox(1)
    answers: list[object] = []
    waiting = [
        threading.Thread(target=lambda: answers.append(full.put(1))),
        threading.Thread(target=lambda: answers.append(empty.get())),
    ]
    for thread in waiting:
        thread.start()
    time.sleep(0.05)
    getattr(full, end)()
    getattr(empty, end)()
    for thread in waiting:
        thread.join()
    assert sorted(answers, key=str) == [False, None]
    assert full.get() == (0 if end == "close" else None)
    assert not full.put(2)


@pytest.mark.timeout(10)
def test_a_writer_can_wait_until_it_is_wanted() -> None:
    box: Mailbox[int] = Mailbox(1)
    events: list[str] = []

    def write() -> None:
        assert box.wait_until_wanted()
        events.append("wanted")
        box.put(7)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.05)
    assert events == []
    assert box.get() == 7
    writer.join()
    closing = threading.Timer(0.05, box.close)
    closing.start()
    assert not box.wait_until_wanted()
    closing.join()


def test_every_change_is_told_to_whoever_watches() -> None:
    told: list[int] = []
    box: Mailbox[int] = Mailbox(2, on_change=lambda: told.append(box.waiting))
    box.put(1)
    box.put(2)
    box.get()
    box.close()
    box.cancel()
    assert told == [1, 2, 1, 1, 0]
