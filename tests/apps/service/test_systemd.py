"""The messages to systemd, on sockets of the tests; and the unit in examples/, as systemd reads it."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeseg.apps.service.systemd import Notifier

ROOT = Path(__file__).resolve().parents[3]


class Systemd:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.socket.settimeout(5)

    def hears(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")

    def hears_nothing(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(5)
        return False


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    path = str(tmp_path / "notify") if request.param == "path" else f"@edgeseg-{uuid.uuid4()}"
    other = Systemd(path)
    yield other
    other.socket.close()


def environ(systemd: Systemd, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.address, **more}


def test_a_run_from_start_to_end(systemd: Systemd) -> None:
    with Notifier(environ(systemd)) as notifier:
        assert notifier.listening
        notifier.extend_timeout(90)
        notifier.ready("1 source")
        notifier.status("12.5 fps")
        notifier.status("12.5 fps")
        notifier.stopping()
        assert systemd.hears() == ["EXTEND_TIMEOUT_USEC=90000000"]
        assert systemd.hears() == ["READY=1", "STATUS=1 source"]
        assert systemd.hears() == ["STATUS=12.5 fps"]
        assert systemd.hears() == ["STOPPING=1", "STATUS=stopping"]
        assert systemd.hears_nothing()


def test_a_status_is_one_short_line(systemd: Systemd) -> None:
    with Notifier(environ(systemd)) as notifier:
        notifier.status("lost\nWATCHDOG=trigger " + "ü" * 2000)
        (line,) = systemd.hears()
    assert line.startswith("STATUS=lost WATCHDOG=trigger üü")
    assert len(line.encode()) <= 1024 + len("STATUS=")


def test_the_watchdog_hears_of_progress_at_most_each_half_of_its_time(systemd: Systemd) -> None:
    now = 50.0
    variables = environ(systemd, WATCHDOG_USEC="4000000", WATCHDOG_PID=str(os.getpid()))
    with Notifier(variables, clock=lambda: now) as notifier:
        assert notifier.watchdog_seconds == 4
        told = []
        for _ in range(50):
            notifier.progress()
            if not systemd.hears_nothing():
                told.append(now)
            now += 0.1
        assert told == pytest.approx([50.0, 52.0, 54.0])


def test_without_progress_the_watchdog_hears_nothing(systemd: Systemd) -> None:
    with Notifier(environ(systemd, WATCHDOG_USEC="1000")):
        time.sleep(0.05)
        assert systemd.hears_nothing()


@pytest.mark.parametrize(
    "variables", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}], ids=["none", "of another process"]
)
def test_no_watchdog_no_signs_of_life(systemd: Systemd, variables: dict[str, str]) -> None:
    with Notifier(environ(systemd, **variables)) as notifier:
        assert notifier.watchdog_seconds is None
        notifier.progress()
        assert systemd.hears_nothing()


def test_without_systemd_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1000"})
    assert not notifier.listening
    notifier.ready()
    notifier.progress()
    notifier.stopping()
    notifier.close()
    assert not caplog.records


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"NOTIFY_SOCKET": "/nowhere/notify"}, "No such file or directory"),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "expected a path or an abstract name"),
        ({"NOTIFY_SOCKET": "@"}, "expected a path or an abstract name"),
        ({"NOTIFY_SOCKET": "/" + "x" * 200}, "too long"),
    ],
)
def test_a_socket_that_is_not_there_is_told_once(
    variables: dict[str, str], complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "edgeseg"), Notifier(variables) as notifier:
        notifier.ready()
        notifier.stopping()
    (record,) = caplog.records
    assert complaint in record.getMessage()
    assert record.event == "notify-failed"


def test_a_watchdog_that_is_no_number(systemd: Systemd, caplog: pytest.LogCaptureFixture) -> None:
    with Notifier(environ(systemd, WATCHDOG_USEC="soon")) as notifier:
        assert notifier.watchdog_seconds is None
    assert "WATCHDOG_USEC is 'soon'" in caplog.text


def test_systemd_that_goes_away_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    with Notifier(environ(systemd)) as notifier:
        systemd.socket.close()
        notifier.status("one")
        notifier.status("two")
    assert [record.event for record in caplog.records] == ["notify-failed"]


def test_systemd_that_reads_nothing_blocks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    with Notifier(environ(systemd)) as notifier:
        for number in range(2000):  # one that waited would do so for ever
            notifier.status(f"status {number}")
    systemd.socket.close()
    assert [record.event for record in caplog.records] == ["notify-failed"]


def test_a_child_process_is_heard(systemd: Systemd) -> None:
    code = "from edgeseg.apps.service.systemd import Notifier; Notifier().ready('hello')"
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environ(systemd)}, check=True, timeout=60
    )
    assert systemd.hears() == ["READY=1", "STATUS=hello"]


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed, which alone can judge a unit")
    text = (ROOT / "examples" / "edgeseg.service").read_text(encoding="utf-8")
    there = tmp_path / "edgeseg.service"
    # systemd looks for the program, which stands elsewhere on a user's machine.
    there.write_text(text.replace("/opt/edgeseg/venv/bin/edgeseg", sys.executable), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(there)], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "edgeseg" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_judge_of_units_sees_what_is_wrong(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed, which alone can judge a unit")
    there = tmp_path / "edgeseg.service"
    there.write_text(f"[Service]\nExecStart={sys.executable}\nWatchdogSeconds=5\n", encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(there)], capture_output=True, text=True, timeout=60
    )
    assert "WatchdogSeconds" in done.stderr
