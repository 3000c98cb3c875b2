"""One process makes a thing at a time; the other is told, and a kill leaves nothing in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from edgeseg.core.claims import claimed
from edgeseg.core.errors import OutputError

HOLD = (
    "import sys; from pathlib import Path; from edgeseg.core.claims import claimed\n"
    "with claimed(Path(sys.argv[1])):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that has the claim, until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_is_first_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "made" / "bundle"
    with holder(path) as process:
        expected = (
            rf"bundle is being written by another process \(PID {process.pid}\); wait until it is done, or"
        )
        with pytest.raises(OutputError, match=expected), claimed(path):
            raise AssertionError("two have it")
        process.communicate()
    with claimed(path):
        assert os.listdir(path.parent) == [".bundle.lock"]
    assert os.listdir(path.parent) == []


def test_a_kill_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with holder(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert os.listdir(tmp_path) == [".bundle.lock"]
        with claimed(path):
            pass
    assert os.listdir(tmp_path) == []


def test_threads_of_one_process_are_two_as_well(tmp_path: Path) -> None:
    with claimed(tmp_path / "x"):
        with pytest.raises(OutputError, match=rf"PID {os.getpid()}"), claimed(tmp_path / "x"):
            raise AssertionError("two have it")
        with claimed(tmp_path / "y"):
            pass


def test_who_waits_comes_next(tmp_path: Path) -> None:
    """However they follow one another, no two are in there at once, and no lock is left."""
    path, inside, most = tmp_path / "report", 0, 0

    def write() -> None:
        nonlocal inside, most
        for _ in range(20):
            with claimed(path, wait=True):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert os.listdir(tmp_path) == []


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".x.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot write"), claimed(tmp_path / "x"):
        raise AssertionError("it was followed")
    assert (tmp_path / "precious").read_text() == "mine"
