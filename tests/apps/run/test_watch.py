"""The messages of a run to systemd and to the log."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
from edgeseg.apps.run import watch as module
from edgeseg.apps.run.watch import Watch, now_and_then
from edgeseg.apps.service.systemd import Notifier
from edgeseg.runtime.status import Board, SourceStatus, Status


class Systemd:
    """Hears what a notifier says."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.setblocking(False)
        self.environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "20000"}

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


class Clock:
    """Time that passes only by the test's doing."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def status(captured: int, results: int, reason: str = "", state: str = "running", number: int = 0) -> Status:
    source = SourceStatus(
        number=number, name="camera", live=True, connected=True, problem="", reconnects=0,
        valid=not reason, reason=reason, age_seconds=0.1, frame_id=1, size_hw=(2, 2), fps=30.0,
        captured=captured, results=results, invalid={}, dropped=0, deadline_misses=0, latency_ms={}, class_share={},
    )  # fmt: skip
    return Status(state, not reason, 1.0, [source], {}, {}, "b", "fp32", "onnxruntime", "cpu", "fp32")


@pytest.fixture
def systemd(tmp_path: Path) -> Systemd:
    return Systemd(tmp_path)


def test_the_watchdog_is_fed_only_while_frames_that_come_also_leave(systemd: Systemd) -> None:
    clock = Clock(100.0)
    watch = Watch(Notifier(systemd.environ, clock), patience_seconds=5, clock=clock)
    told = []
    for captured, results in [(1, 0), (5, 1), (9, 2), (20, 2), (30, 2), (40, 2), (50, 9)]:
        clock.now += 3
        systemd.heard()
        watch(status(captured, results))
        told.append("WATCHDOG=1" in systemd.heard())
    assert told == [True, True, True, True, False, False, True]


def test_a_source_that_is_sought_is_progress(systemd: Systemd) -> None:
    clock = Clock(100.0)
    watch = Watch(Notifier(systemd.environ, clock), patience_seconds=5, clock=clock)
    for _ in range(10):
        clock.now += 60
        systemd.heard()
        watch(status(7, 6, "source-lost"))
        assert "WATCHDOG=1" in systemd.heard()


def test_the_status_line_and_the_end_are_told(systemd: Systemd) -> None:
    watch = Watch(Notifier(systemd.environ), patience_seconds=5)
    watch(status(1, 1))
    watch(status(2, 2, "dark"))
    watch(status(2, 2, state="stopping"))
    heard = [line for line in systemd.heard() if "WATCHDOG" not in line]
    assert heard == ["STATUS=30.0 fps", "STATUS=not valid: dark", "STOPPING=1", "STATUS=stopping"]


def test_the_log_tells_changes_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=module.__name__)
    watch = Watch(Notifier({}), patience_seconds=5)
    watch(status(1, 0, "stale"))  # there is no result yet
    for reason in ["", "", "dark", "dark", "saturated", "", ""]:
        watch(status(1, 1, reason))
    assert [(record.event, record.getMessage()) for record in caplog.records] == [
        ("not-valid", "no valid result: dark (the frame is black)"),
        ("not-valid", "no valid result: saturated (the frame is white)"),
        ("valid", "results are valid again"),
    ]


def test_sensors_are_read_once_a_second() -> None:
    clock, reads = Clock(0.0), []

    def read() -> Board:
        reads.append(clock.now)
        return Board({"cpu": clock.now})

    ask = now_and_then(read, clock)
    for _ in range(25):
        ask()
        clock.now += 0.125
    assert reads == [0.0, 1.0, 2.0, 3.0]
