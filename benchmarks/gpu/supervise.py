"""Processes for the steps that can be killed, so that no step can stop the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.printable import printable
from .order import FAILED, StepOrder

_AFTER_KILL_SECONDS = 10.0
"""A process that waits for a driver may survive SIGKILL; the next step does not wait for it."""

_CHILD = (sys.executable, "-m", "edgeseg.benchmarks.gpu.child")


@dataclass
class StepOutcome:
    """The outcome of a step.

    Attributes:
        outcome: ``passed``, ``failed`` or ``not run``.
        why: the reason in one line; empty if it passed.
        seconds: its duration.
        result: its facts.
    """

    outcome: str
    why: str
    seconds: float
    result: dict[str, Any]


def run_step(name: str, order: StepOrder, limit_s: float, folder: Path) -> StepOutcome:
    """Runs a step in its own process, and ends it and its children if it needs too long.

    Args:
        name: of the step and its files.
        order: for the step.
        limit_s: its time limit in seconds.
        folder: for the order, the result and the log, ``NAME.log``.
    """
    file = name.replace(" ", "-")
    result, log = folder / f"{file}.result.json", folder / f"{file}.log"
    result.unlink(missing_ok=True)
    start = time.monotonic()
    with started(order, folder, file) as process:
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
    seconds = time.monotonic() - start
    answer = read_result(result)
    if status == 0 and answer:
        return StepOutcome(answer["outcome"], answer["why"], seconds, answer["result"])
    why = f"it took longer than its limit of {limit_s:.0f} s" if status is None else _death(status, log)
    return StepOutcome(FAILED, why, seconds, answer.get("result", {}))


@contextmanager
def started(order: StepOrder, folder: Path, file: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a step; at the end of the block, it and all its child processes are killed if they still run."""
    written, result = folder / f"{file}.order.json", folder / f"{file}.result.json"
    written.write_text(order.to_json(), encoding="utf-8")
    with (folder / f"{file}.log").open("wb") as log:
        process = subprocess.Popen(
            [*_CHILD, str(written), str(result)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_AFTER_KILL_SECONDS)


def read_result(path: Path) -> dict[str, Any]:
    """Returns the facts of a step so far; empty if there are none."""
    try:
        answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return answer


def _death(status: int, log: Path) -> str:
    how = f"exit status {status}" if status >= 0 else f"signal {_signal_name(-status)}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its process ended with {how}" + (f": {printable(lines[-1])}" if lines else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
