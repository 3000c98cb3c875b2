"""The wish to end, in states in which Python answers no signal."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from edgeseg.apps.run.stop import OverdueError, Stop, Stopped
from edgeseg.core.errors import BackendError


def test_work_gives_its_result_and_its_error() -> None:
    stop = Stop()
    assert stop.unless(lambda: 7) == 7

    def fail() -> None:
        raise BackendError("no device")

    with pytest.raises(BackendError, match="no device"):
        stop.unless(fail)


def test_work_that_takes_too_long_is_left_with_a_word_for_it() -> None:
    stop, release = Stop(), threading.Event()
    with pytest.raises(OverdueError, match=r"^it takes too long$") as caught:
        stop.unless(release.wait, within_s=0.05, overdue="it takes too long")
    release.set()
    assert caught.value.exit_status == 1
    assert stop.unless(lambda: 7, within_s=1000.0) == 7


def test_a_signal_leaves_work_that_hangs() -> None:
    stop, release = Stop(), threading.Event()
    before = signal.getsignal(signal.SIGTERM)
    with stop.on_signals():
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        began_at = time.monotonic()
        with pytest.raises(Stopped) as caught:
            stop.unless(lambda: release.wait(20))
    release.set()
    assert caught.value.busy
    assert time.monotonic() - began_at < 15  # and not 20
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_signal_interrupts() -> None:
    stop = Stop()

    def both() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not stop.event.is_set():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)  # a held key: the same wish
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    began_at = time.monotonic()
    with stop.on_signals(), pytest.raises(KeyboardInterrupt):
        both()
    assert 0.4 <= time.monotonic() - began_at < 30


def test_it_ticks_meanwhile() -> None:
    ticks: list[None] = []
    enough = threading.Event()

    def tick() -> None:
        ticks.append(None)
        if len(ticks) == 3:
            enough.set()

    assert Stop(tick_seconds=0.02).unless(lambda: enough.wait(20), tick)


def test_a_terminal_that_closes_may_say_so_often() -> None:
    stop = Stop()
    with stop.on_signals():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.2)  # longer in all than what counts as one wish
    assert stop.event.is_set()


def test_nohup_keeps_a_run_from_ending() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop()
        with stop.on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.event.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
