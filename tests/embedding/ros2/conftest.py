"""ROS 2: fakes for every machine, and processes with the real one where it is.

The real one is looked for in the environment of its own that ``make ros2`` makes, and in that of the tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from edgeseg.core.labels import LabelMap

from ...runtime.sinks.conftest import make_output, make_status
from ...support.fixtures import load_fake

__all__ = ["make_output", "make_status"]

ROOT = Path(__file__).resolve().parents[3]
SUPPORT = ROOT / "tests" / "support" / "ros2"
CYCLONE_ON_LOOPBACK = (
    '<General><Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces><AllowMulticast>false</AllowMulticast>'
    "</General><Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
    '<Peers><Peer address="127.0.0.1"/></Peers></Discovery>'
)
"""What ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST is to ROS."""
_LONG_SECONDS = 40.0
"""Much longer than anything here takes, on a machine with much other work."""


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """Messages and a node for machines without ROS: tests/support/fakes/ros2.py."""
    return load_fake("ros2")


@pytest.fixture
def ros(fakes: ModuleType) -> Any:
    """ROS's modules, all fake, without vision_msgs."""
    return fakes.fake_ros()


@pytest.fixture
def labels() -> LabelMap:
    """Three classes."""
    return LabelMap.from_pairs([("dark", (0, 0, 0)), ("grey", (128, 128, 128)), ("bright", (255, 255, 255))])


class Child:
    """A process with the real ROS 2, whose lines of JSON are read as they come."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._threads = [threading.Thread(target=self._collect), threading.Thread(target=self._drain)]
        for thread in self._threads:
            thread.start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _drain(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    @property
    def errors(self) -> str:
        """All that it has written to standard error so far."""
        return "".join(self._errors)

    def line(self) -> str:
        """Waits for its next line."""
        try:
            line = self._lines.get(timeout=_LONG_SECONDS)
        except queue.Empty:
            raise AssertionError(f"nothing came; it wrote: {self.errors}") from None
        assert line is not None, f"it ended with {self.process.wait()}: {self.errors}"
        return line

    def await_ready(self) -> Child:
        """Waits for its first line."""
        assert (line := self.line()) == "ready", line
        return self

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Reads lines of JSON until one is wanted, and returns it."""
        until = time.monotonic() + _LONG_SECONDS
        while time.monotonic() < until:
            if wanted(facts := json.loads(self.line())):
                return facts
        raise AssertionError(f"what was waited for did not come: {self.errors}")

    def end(self) -> int:
        """Asks it to end, and returns its status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.end_by_itself()

    def end_by_itself(self) -> int:
        """Waits for its end, and returns its status."""
        status = self.process.wait(_LONG_SECONDS)
        for thread in self._threads:
            thread.join()
        return status


StartChild = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path, worker_number: int) -> Iterator[StartChild]:
    """Starts ``start("camera.py", …)`` of tests/support/ros2, or ``start("-m", "edgeseg", …)``, with the real ROS 2."""
    python = ros_python()
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(20 + worker_number),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(tmp_path / "log"),
        "CYCLONEDDS_URI": CYCLONE_ON_LOOPBACK,
        "PYTHONUNBUFFERED": "1",
    }
    children: list[Child] = []

    def start_child(*arguments: str) -> Child:
        first, *rest = arguments
        script = (
            [str(SUPPORT / first)] if first.endswith(".py") else [first]
        )  # an absolute path stays as it is
        child = Child([python, *script, *rest], environment)
        children.append(child)
        return child

    yield start_child
    for child in children:
        if child.process.poll() is None:
            child.process.kill()
        child.end()


@pytest.fixture
def worker_number() -> int:
    """The number of this process among those that test at once, so that each has a ROS domain of its own."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) + os.getpid() % 7 * 10


def ros_python() -> str:
    """The Python that has ROS 2; skips without one."""
    made = ROOT / ".cache" / "ros2"
    if (made / ".installed").exists():
        return str(made / "bin" / "python")
    if importlib.util.find_spec("rclpy") is not None:
        return sys.executable
    pytest.skip("there is no ROS 2: `make ros2` makes an environment with it, where there are wheels")
