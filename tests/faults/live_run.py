"""One run of ``run_camera.py`` as a process, watched from outside through its events."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeseg.runtime.clock import now

from .outcome import UnexpectedOutcomeError, expect
from .places import ROOT
from .places import environment as inherited
from .switches import VARIABLE, Switches

Event = Mapping[str, Any]

_POLL_SECONDS = 0.005
_PIPE_BYTES = 1 << 20
"""Half a minute of events: nobody looks at them all the time."""

PATIENCE_SECONDS = 30.0
"""Until something that must come has come; far beyond what any of it takes on a free machine."""


@dataclass(frozen=True)
class Pace:
    """The greatest age of a result, the rate of heartbeats and the time-outs in these runs.

    Attributes:
        max_age_s: ``--max-age``.
        heartbeat_hz: ``--heartbeat``.
        timeout_s: ``--read-timeout`` and ``--inference-timeout``: between it and the age a run has to say ``stale``.
        slack_s: what a busy machine may add to a bound, in seconds.
    """

    max_age_s: float = 0.5
    heartbeat_hz: float = 10.0
    timeout_s: float = 1.0
    slack_s: float = 0.0

    @property
    def told_s(self) -> float:
        """Until a run must have said that its result is not valid: its age, and two heartbeats."""
        return self.max_age_s + 2 / self.heartbeat_hz + self.slack_s

    @property
    def options(self) -> list[str]:
        """For the command line."""
        numbers = {
            "--max-age": self.max_age_s,
            "--heartbeat": self.heartbeat_hz,
            "--read-timeout": self.timeout_s,
            "--inference-timeout": self.timeout_s,
        }
        return [word for option, number in numbers.items() for word in (option, f"{number:g}")]


class LiveRun:
    """A run, from its start to its end. It is ended with its context.

    Args:
        arguments: of ``run_camera.py``, without ``--events``.
        folder: to run in, its own.
        pace: that it is given.
        weak_spots: switches that are on from the start, of a run with the weak spots of :mod:`.saboteur`; where None
            it is ``run_camera.py`` itself.
        environment: beside this process's own.
        events: "file", "pipe" where no file of it may grow, or "none".

    Attributes:
        began_at: ``edgeseg.now()`` when it was started.
        switches: of its weak spots.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        pace: Pace,
        weak_spots: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        events: str = "file",
    ) -> None:
        self.folder, self.pace = folder, pace
        (folder / "switches").mkdir(parents=True, exist_ok=True)
        self.switches = Switches(folder / "switches")
        for name in weak_spots or ():
            self.switches.on(name)
        self._events_path = folder / "events.jsonl"
        self._rest = b""
        self._reading = self._open(events)
        self.events: list[Event] = []
        door = ["-m", "faults.saboteur"] if weak_spots is not None else [str(ROOT / "run_camera.py")]
        written = ["--events", str(self._events_path)] if events != "none" else []
        self._printed: list[bytes] = []
        self.began_at = now()
        self.process = subprocess.Popen(
            [sys.executable, *door, *arguments, *written],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            # A pipe, which no full disk reaches.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=inherited(**{VARIABLE: str(folder / "switches"), **(environment or {})}),
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> LiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._listener.join()
        self.poll()
        os.close(self._reading)

    @property
    def log(self) -> str:
        """The text that the run has printed."""
        return b"".join(self._printed).decode("utf-8", "replace")

    def poll(self) -> None:
        """Takes in the events that have come."""
        with contextlib.suppress(BlockingIOError):  # an empty pipe
            while data := os.read(self._reading, 1 << 20):
                *lines, self._rest = (self._rest + data).split(b"\n")
                self.events += [json.loads(line) for line in lines if line]

    def wait(
        self,
        wanted: Callable[[Event], object],
        what: str,
        since: float = 0.0,
        seconds: float = PATIENCE_SECONDS,
    ) -> Event:
        """The first event of its kind that was written at ``since`` or later.

        Raises:
            UnexpectedOutcomeError: it does not come, or the run ends before.
        """
        seen, until = 0, now() + seconds
        while True:
            ended = self.process.poll() is not None
            self.poll()
            for event in self.events[seen:]:
                if event["monotonic_s"] >= since and wanted(event):
                    return event
            seen = len(self.events)
            if ended or now() > until:
                last = self.events[-1] if self.events else "no event"
                state = (
                    f"the run ended with {self.process.returncode}" if ended else f"not within {seconds:g} s"
                )
                raise UnexpectedOutcomeError(
                    f"never {what}: {state}; last: {last}; it printed: {self.log[-600:]}"
                )
            time.sleep(_POLL_SECONDS)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for a condition.

        Raises:
            UnexpectedOutcomeError: it does not come, or the run ends before.
        """
        until = now() + PATIENCE_SECONDS
        while not condition():
            expect(
                self.process.poll() is None,
                f"never {what}: the run has ended: {self.log}",
            )
            expect(now() < until, f"never {what}: {self.log}")
            self.poll()
            time.sleep(_POLL_SECONDS)

    def valid(self, since: float = 0.0, wanted: Callable[[Event], object] = lambda event: True) -> Event:
        """The first valid result of a frame that was captured at ``since`` or later."""

        def fits(event: Event) -> bool:
            fresh = event["type"] == "result" and event["valid"] and event["captured_at"] >= since
            return bool(fresh and wanted(event))

        return self.wait(fits, "a valid result", since)

    def invalid(self, reason: str, since: float) -> Event:
        """The first event that says so, of that reason."""
        return self.wait(
            lambda event: verdict_of(event) == (False, reason), f"not valid because of {reason!r}", since
        )

    def invalid_of(self, reasons: Sequence[str], since: float) -> Event:
        """The first event that says so, of any of these reasons."""
        return self.wait(
            lambda event: (
                (verdict := verdict_of(event)) is not None and not verdict[0] and verdict[1] in reasons
            ),
            f"not valid because of any of {list(reasons)}",
            since,
        )

    def verdicts(self, since: float, until: float) -> list[tuple[float, bool, str]]:
        """When, whether valid, and why not: of all that was said meanwhile."""
        self.poll()
        found = [(event["monotonic_s"], *verdict) for event in self.events if (verdict := verdict_of(event))]
        return [each for each in found if since <= each[0] <= until]

    def signal(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Sends a signal; returns ``edgeseg.now()`` then."""
        at = now()
        self.process.send_signal(number)
        return at

    def ends(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Waits for its end; returns its exit status, negative for a signal's.

        Raises:
            UnexpectedOutcomeError: it does not end.
        """
        until = now() + seconds
        while (status := self.process.poll()) is None:
            self.poll()
            expect(now() < until, f"the run did not end within {seconds:g} s: {self.log[-600:]}")
            time.sleep(_POLL_SECONDS)
        self._listener.join()
        self.poll()
        return status

    def check_ages(self) -> None:
        """Checks that nothing that was ever called valid was older than ``--max-age``.

        Raises:
            UnexpectedOutcomeError: something was.
        """
        self.poll()
        most_ms = 1e3 * self.pace.max_age_s
        for event in self.events:
            if event["type"] in ("result", "heartbeat") and event["valid"]:
                age_ms = event["latency_ms"] if event["type"] == "result" else event["age_ms"]
                expect(age_ms <= most_ms, f"a valid {event['type']} was {age_ms:.0f} ms old: {event}")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed:
            while data := os.read(printed.fileno(), 1 << 16):
                self._printed.append(data)

    def _open(self, events: str) -> int:
        """Opens the events for reading; events of an earlier run are skipped."""
        if events == "pipe":
            os.mkfifo(self._events_path)
            number = os.open(self._events_path, os.O_RDONLY | os.O_NONBLOCK)
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            return number
        number = os.open(self._events_path, os.O_RDONLY | os.O_CREAT, 0o644)
        os.lseek(number, 0, os.SEEK_END)
        return number


def verdict_of(event: Event) -> tuple[bool, str] | None:
    """An event's verdict on the newest result: valid or not, and the reason; None if the event has none."""
    if event["type"] in ("result", "heartbeat"):
        return event["valid"], event["reason"]
    if event["what"] == "validity":
        return event["to"] == "valid", event["detail"]
    return None
