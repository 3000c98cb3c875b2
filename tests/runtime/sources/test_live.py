"""Losing a live source and coming back: what is waited for, for how long, and what is told meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.core.source import Source
from edgeseg.runtime.sources.live import (
    BackOff,
    HopelessError,
    Interrupted,
    Interruption,
    LiveOptions,
    LiveSource,
)

pytestmark = pytest.mark.timeout(30)
QUICK = LiveOptions(first_pause_s=0.01, most_pause_s=0.02, seed=1)


class Scripted(Source):
    """Gives frames of the sizes in its script, and raises what is an error there."""

    live = True

    def __init__(self, *script: object) -> None:
        self.name, self.script, self.closed, self.interrupted = "scripted", list(script), 0, 0
        self.frame_at, self.fps = 1.0, 25.0

    def read(self) -> np.ndarray | None:
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return None if step is None else np.zeros((*step, 3), np.uint8)

    def interrupt(self) -> None:
        self.interrupted += 1

    def close(self) -> None:
        self.closed += 1


def opener_of(*steps: object) -> Callable[[Interruption], Source]:
    """Opens what comes next of the steps; the last of them ever after."""
    left = list(steps)

    def open_next(interruption: Interruption) -> Source:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, Source)
        return step

    return open_next


GONE = SourceError("the cable is out")


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event for record in caplog.records]


def test_a_lost_source_comes_back_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Scripted((4, 6), GONE), Scripted((4, 6))
    source = LiveSource("cam", opener_of(first, SourceError("no route"), GONE, second), QUICK)
    assert source.read().shape == (4, 6, 3)
    assert (source.fps, source.frame_at, source.connected) == (25.0, 1.0, True)
    with caplog.at_level(logging.INFO):
        assert source.read().shape == (4, 6, 3)
    assert (source.reconnects, source.connected, source.problem, first.closed) == (1, True, "", 1)
    assert events(caplog) == ["source-lost", "source-absent", "source-absent", "source-back"]
    assert caplog.records[0].fields == {"source": "cam", "problem": "the cable is out"}
    assert caplog.records[-1].fields["reconnects"] == 1
    source.close()
    source.close()
    assert second.closed == 1


def test_a_pose_and_the_field_of_view_are_passed_on() -> None:
    first, second = Scripted((4, 6), GONE), Scripted((4, 6))
    first.knows_pose, first.horizontal_fov_deg, first.frame_pose = True, 70.0, "there"  # type: ignore[assignment]
    source = LiveSource("drone", opener_of(first, second), QUICK)
    source.read()
    assert (source.knows_pose, source.horizontal_fov_deg, source.frame_pose) == (True, 70.0, "there")
    source.read()
    assert (source.knows_pose, source.horizontal_fov_deg, source.frame_pose) == (False, None, None)


def test_meanwhile_it_says_that_it_is_not_connected_and_why() -> None:
    source = LiveSource("cam", opener_of(Scripted(GONE), GONE), QUICK)
    reader = threading.Thread(target=source.read)
    reader.start()
    until = time.monotonic() + 10
    while source.connected and time.monotonic() < until:
        time.sleep(0.001)
    assert (source.connected, source.problem) == (False, "the cable is out")
    source.interrupt()
    reader.join(5)
    assert not reader.is_alive()
    assert source.read() is None


def test_an_end_of_a_live_stream_is_a_loss() -> None:
    source = LiveSource("cam", opener_of(Scripted((4, 6)), Scripted((4, 6), (4, 6))), QUICK)
    source.read()
    source.read()
    assert source.reconnects == 1


def test_memory_that_there_is_not_is_a_loss_and_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Scripted((4, 6), MemoryError()), Scripted((4, 6))
    source = LiveSource("cam", opener_of(first, MemoryError(), second), QUICK)
    assert [source.read().shape, source.read().shape] == [(4, 6, 3)] * 2
    assert (source.reconnects, first.closed) == (1, 1)
    assert "there was no memory for what cam gives" in caplog.text


def test_the_same_problem_is_told_once_however_often_it_is_met(caplog: pytest.LogCaptureFixture) -> None:
    steps = [Scripted(GONE), *[SourceError("refused")] * 20, Scripted((4, 6))]
    source = LiveSource("cam", opener_of(*steps), LiveOptions(first_pause_s=0.001, most_pause_s=0.001))
    source.read()
    assert events(caplog) == ["source-lost", "source-absent", "source-back"]


def test_a_new_size_is_a_fault_of_its_first_frame_alone_also_across_a_loss() -> None:
    first = Scripted((4, 6), (4, 6), (8, 6), (8, 6), GONE)
    source = LiveSource("cam", opener_of(first, Scripted((4, 6), (4, 6))), QUICK)
    faults = []
    for _ in range(6):
        source.read()
        faults.append(source.frame_fault)
    assert faults == ["", "", "resolution-changed", "", "resolution-changed", ""]


def test_drops_are_counted_across_losses() -> None:
    first, second = Scripted((4, 6), GONE), Scripted((4, 6))
    first.dropped, second.dropped = 3, 4
    source = LiveSource("cam", opener_of(first, second), QUICK)
    source.read()
    assert source.dropped == 3
    source.read()
    assert source.dropped == 7


def test_what_is_not_there_at_the_start_is_an_error_or_waited_for() -> None:
    with pytest.raises(SourceError, match="the cable is out"):
        LiveSource("cam", opener_of(GONE), QUICK)
    waiting = LiveOptions(wait_for_source=True, first_pause_s=0.01)
    source = LiveSource("cam", opener_of(GONE, GONE, Scripted((4, 6))), waiting)
    assert (source.connected, source.problem) == (False, "the cable is out")
    assert source.read() is not None
    assert (source.connected, source.reconnects) == (True, 0)


def test_what_never_will_be_there_is_not_waited_for() -> None:
    never = HopelessError("this machine has no GStreamer")
    with pytest.raises(HopelessError):
        LiveSource("cam", opener_of(never), LiveOptions(wait_for_source=True))
    source = LiveSource("cam", opener_of(Scripted(GONE), never), QUICK)
    with pytest.raises(SourceError, match="no GStreamer"):
        source.read()


def test_it_is_given_up_after_the_time_that_was_given() -> None:
    options = LiveOptions(give_up_after_s=0.3, first_pause_s=0.01, most_pause_s=0.05)
    source = LiveSource("cam", opener_of(Scripted((4, 6), GONE), SourceError("refused")), options)
    source.read()
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"cam has been gone for 0\.3 s, and is given up: refused"):
        source.read()
    assert time.monotonic() - start >= 0.3


def test_a_source_that_flaps_is_given_up_from_its_last_loss_on() -> None:
    options = LiveOptions(give_up_after_s=30, first_pause_s=0.001, most_pause_s=0.001)
    steps = [each for _ in range(20) for each in (Scripted((4, 6), GONE), GONE)]
    source = LiveSource("cam", opener_of(*steps, Scripted((4, 6))), options)
    for _ in range(20):
        assert source.read() is not None
    assert source.reconnects == 19


def test_what_opens_and_gives_no_frame_is_not_back(caplog: pytest.LogCaptureFixture) -> None:
    opened: list[tuple[bool, str, int]] = []

    def open_it(interruption: Interruption) -> Source:
        if opened:
            opened.append((source.connected, source.problem, source.reconnects))
        else:
            opened.append((True, "", 0))
        return Scripted((4, 6), GONE) if len(opened) == 1 else Scripted(GONE)

    options = LiveOptions(give_up_after_s=0.3, first_pause_s=0.01, most_pause_s=0.05)
    source = LiveSource("cam", open_it, options)
    source.read()
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"cam has been gone for 0\.3 s, and is given up: the cable is out"):
        source.read()
    assert time.monotonic() - start >= 0.3
    assert len(opened) > 1
    assert set(opened[1:]) == {(False, "the cable is out", 0)}
    assert events(caplog) == ["source-lost"]


def test_what_never_gave_a_frame_is_given_up_as_well() -> None:
    options = LiveOptions(give_up_after_s=0.2, first_pause_s=0.01, wait_for_source=True)
    for first in (Scripted(GONE), SourceError("refused")):
        source = LiveSource("cam", opener_of(first, *[Scripted(GONE) for _ in range(100)]), options)
        with pytest.raises(SourceError, match="is given up: the cable is out"):
            source.read()
        assert (source.connected, source.reconnects) == (False, 0)


@pytest.mark.parametrize("moment", ["pausing", "opening", "reading"])
def test_an_interrupted_read_ends_soon(moment: str) -> None:
    waits = threading.Event()

    def open_it(interruption: Interruption) -> Source:
        if not waits.is_set():
            waits.set()
            return Scripted(GONE)
        if moment == "pausing":
            raise GONE
        interruption.sleep(3600)
        raise AssertionError

    class Waiting(Scripted):
        def __init__(self, interruption: Interruption) -> None:
            super().__init__()
            self._interruption = interruption

        def read(self) -> np.ndarray | None:
            try:
                self._interruption.sleep(3600)
            except Interrupted:
                return None
            raise AssertionError

    opener = Waiting if moment == "reading" else open_it
    options = LiveOptions(first_pause_s=3600 if moment == "pausing" else 0.001, most_pause_s=3600, jitter=0)
    source = LiveSource("cam", opener, options)
    threading.Timer(0.1, source.interrupt).start()
    assert source.read() is None  # an hour sooner than it would have been without


def test_an_event_of_the_callers_ends_the_opening_and_all_reads() -> None:
    stopping = threading.Event()

    def open_it(interruption: Interruption) -> Source:
        interruption.sleep(3600)
        raise AssertionError

    threading.Timer(0.1, stopping.set).start()
    source = LiveSource("cam", open_it, LiveOptions(), Interruption(stopping))
    assert (source.connected, source.read()) == (False, None)


def test_pauses_grow_to_their_bound_vary_and_begin_anew() -> None:
    steady = BackOff(LiveOptions(jitter=0))
    pauses = [steady.next_pause_s() for _ in range(9)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 10, 10, 10]
    steady.reset()
    assert steady.next_pause_s() == 0.25
    for _ in range(3000):
        assert steady.next_pause_s() <= 10

    varied = BackOff(LiveOptions(seed=7))
    ratios = [varied.next_pause_s() / pause for pause in pauses]
    assert all(0.5 <= ratio <= 1.5 for ratio in ratios)
    assert len(set(ratios)) == len(ratios)
    again = BackOff(LiveOptions(seed=7))
    assert [again.next_pause_s() / pause for pause in pauses] == ratios


def test_pauses_grow_while_a_server_lets_everyone_in_and_drops_them() -> None:
    pauses: list[float] = []

    class Noting(Interruption):
        def sleep(self, seconds: float) -> None:
            pauses.append(seconds)

    steps = [Scripted((4, 6), GONE) for _ in range(6)]
    source = LiveSource("cam", opener_of(*steps), LiveOptions(jitter=0), Noting())
    for _ in range(6):
        source.read()
    assert pauses == [0.25, 0.5, 1, 2, 4]


def test_pauses_begin_anew_once_a_source_has_stayed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("edgeseg.runtime.sources.live.time.monotonic", lambda: now[0])
    monkeypatch.setattr("edgeseg.runtime.sources.live.slept_seconds", lambda: 0.0)
    pauses: list[float] = []

    class Noting(Interruption):
        def sleep(self, seconds: float) -> None:
            pauses.append(seconds)

    steps = [Scripted((4, 6), GONE), Scripted((4, 6), (4, 6), GONE), Scripted((4, 6))]
    source = LiveSource("cam", opener_of(*steps), LiveOptions(jitter=0), Noting())
    source.read()
    source.read()
    now[0] += 10.5
    source.read()
    source.read()
    assert pauses == [0.25, 0.25]
