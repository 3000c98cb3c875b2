"""One figure from nested phases, and stopping a build."""

from __future__ import annotations

import signal
import threading

import pytest
from edgeseg.runtime.tensorrt.progress import BuildProgress, ProgressTracker, signals_stop


def test_phases_inside_phases_make_one_figure() -> None:
    seen: list[BuildProgress] = []
    tracker = ProgressTracker(seen.append, threading.Event())
    tracker.start("build", None, 2)
    tracker.start("optimize", "build", 4)
    assert tracker.step("optimize", 0)
    assert tracker.step("optimize", 1)
    tracker.finish("optimize")
    assert tracker.step("build", 0)
    tracker.start("time", "build", 1)
    tracker.start("kernels", "time", 10)
    assert tracker.step("kernels", 4)
    assert [progress.fraction for progress in seen] == [0.125, 0.25, 0.5, 0.75]
    assert seen[-1] == BuildProgress(0.75, "kernels", 5, 10)


def test_the_figure_never_falls() -> None:
    seen: list[BuildProgress] = []
    tracker = ProgressTracker(seen.append, threading.Event())
    tracker.start("build", None, 4)
    tracker.start("one", "build", 1)
    tracker.step("one", 0)
    tracker.finish("one")
    tracker.start("two", "build", 10)
    tracker.step("two", 0)
    assert [progress.fraction for progress in seen] == [0.25, 0.25]


def test_a_step_of_an_unknown_phase_is_harmless() -> None:
    tracker = ProgressTracker(lambda progress: None, threading.Event())
    assert tracker.step("never begun", 3)


def test_an_event_stops_the_build() -> None:
    stopping = threading.Event()
    tracker = ProgressTracker(lambda progress: None, stopping)
    tracker.start("build", None, 2)
    assert tracker.step("build", 0)
    stopping.set()
    assert not tracker.step("build", 1)


def test_an_error_of_the_listener_stops_the_build_and_is_kept() -> None:
    def fail(progress: BuildProgress) -> None:
        raise BrokenPipeError("stderr is gone")

    tracker = ProgressTracker(fail, threading.Event())
    tracker.start("build", None, 2)
    assert not tracker.step("build", 0)
    assert isinstance(tracker.error, BrokenPipeError)


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    stopping, reached = threading.Event(), []

    def interrupted() -> None:
        with signals_stop(stopping):
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end"]
    assert stopping.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_ends_the_process_is_left_alone() -> None:
    previous = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with signals_stop(threading.Event()):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_another_thread_leaves_signals_alone() -> None:
    handlers = []

    def work() -> None:
        with signals_stop(threading.Event()):
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
