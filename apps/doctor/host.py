"""The machine for the probes: files, programs, installed packages, and libraries tried in a child Python.

Every part can be replaced, so that tests can imitate any machine.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

Answer = TypeVar("Answer")
PROGRAM_SECONDS = 5.0
LIBRARY_SECONDS = 20.0
"""Longer than for a program: the first load of TensorRT from an SD card is slow."""

_REAP_SECONDS = 1.0
_MAX_FILE_BYTES = 1 << 20
_IN_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from edgeseg.apps.doctor.child import main; main(sys.argv[2])"
)


@dataclass(frozen=True)
class ProgramResult:
    """The outcome of a program.

    Attributes:
        status: its exit status, negative if a signal ended it; None if it is not installed or was killed.
        out: its output on stdout.
        err: its output on stderr.
        timed_out: True if it did not end in time.
    """

    status: int | None
    out: str = ""
    err: str = ""
    timed_out: bool = False

    @property
    def found(self) -> bool:
        """True if the program is installed."""
        return self.status is not None or self.timed_out


@dataclass(frozen=True)
class Library:
    """A child Python's findings on a library.

    Attributes:
        facts: the library's facts; None if it did not load.
        error: the reason that it did not load; empty if it is not installed.
    """

    facts: Mapping[str, Any] | None
    error: str = ""


def run_program(args: Sequence[str], seconds: float = PROGRAM_SECONDS) -> ProgramResult:
    """Runs a program without a shell, in English. After ``seconds`` it is killed, with all processes it started."""
    environment = {**os.environ, "LC_ALL": "C", "OPENCV_LOG_LEVEL": "SILENT"}
    try:
        process = subprocess.Popen(
            list(args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError):
        return ProgramResult(None)
    except OSError as error:
        return ProgramResult(126, err=f"{args[0]} cannot be started: {error.strerror}")
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        # A process that is stuck in a driver receives no signal; the doctor goes on without it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_REAP_SECONDS)
        return ProgramResult(None, timed_out=True)
    return ProgramResult(process.returncode, out, err)


def inspect_library(name: str, seconds: float = LIBRARY_SECONDS) -> Library:
    """Tries a library in a child Python with the same packages. A crash or hang there does not affect this process."""
    outcome = run_program([sys.executable, "-c", _IN_CHILD, json.dumps(sys.path), name], seconds)
    if outcome.timed_out:
        return Library(None, f"did not load within {seconds:g} s")
    try:
        answer = json.loads(outcome.out)
    except ValueError:
        return Library(None, _failure_of(outcome))
    return Library(answer.get("facts"), str(answer.get("error", "")))


def _failure_of(outcome: ProgramResult) -> str:
    if outcome.status is not None and outcome.status < 0:
        return f"crashed while loading ({signal.Signals(-outcome.status).name})"
    last = (outcome.err.strip().splitlines() or ["without a word"])[-1]
    return f"ended while loading (exit status {outcome.status}): {last}"


def installed_packages() -> dict[str, str]:
    """The versions of the packages of this Python, by normalized name."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first on the path is imported.
            found.setdefault(normalized(name), distribution.version)
    return found


def normalized(name: str) -> str:
    """A package's name in normalized form: ``tensorrt_rtx`` and ``TensorRT-RTX`` are the same."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass
class Host:
    """The machine as the probes see it.

    Args:
        root: start of its file system.
        environ: environment variables.
        run: runs a program; called once for each command line.
        inspect: tries a library in a child Python; called once for each name.
        packages: versions of the installed Python packages by normalized name; None to look them up.
        in_venv: whether this Python is in a virtual environment.
        python: this Python's version.
        arch: of the processor, such as ``x86_64`` or ``aarch64``.
        may_use: whether this user may read and write a device.
    """

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    run: Callable[[Sequence[str]], ProgramResult] = run_program
    inspect: Callable[[str], Library] = inspect_library
    packages: Mapping[str, str] | None = None
    in_venv: bool = sys.prefix != sys.base_prefix
    python: tuple[int, int, int] = sys.version_info[:3]
    arch: str = field(default_factory=lambda: os.uname().machine)
    may_use: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, ...], Any] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = {}

    def path(self, absolute: str) -> Path:
        """A path of this machine."""
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str | None:
        """The text of a small file without its NULs; None if it cannot be read."""
        try:
            with self.path(absolute).open("rb") as file:
                return file.read(_MAX_FILE_BYTES).decode("utf-8", "replace").replace("\0", "")
        except OSError:
            return None

    def glob(self, pattern: str) -> list[Path]:
        """The paths that match an absolute pattern, in order of their names."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    def program(self, *args: str) -> ProgramResult:
        """The outcome of a program. It runs once, however many probes ask."""
        return self._once(("run", *args), lambda: self.run(args))

    def library(self, name: str) -> Library:
        """A child Python's findings on a library. It is tried once, however many probes ask."""
        return self._once(("inspect", name), lambda: self.inspect(name))

    @cached_property
    def installed(self) -> Mapping[str, str]:
        """The installed Python packages' versions by normalized name."""
        return installed_packages() if self.packages is None else self.packages

    def _once(self, key: tuple[str, ...], ask: Callable[[], Answer]) -> Answer:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                self._answers[key] = ask()
            return cast("Answer", self._answers[key])
