"""A contender as a child process, which the benchmark asks, in turn with others, to process some frames."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..core.arrays import ClassMap
from ..core.errors import BackendError
from .peers.base import Setting


class Contender:
    """A started contender that has made its first mask. In its own process, its memory and start-up are separate.

    Attributes:
        name: its registered name.
        precision: the number format of its network.
        limit: the name of its bare network.
        start_ms: milliseconds of ``python``, ``imports``, ``open``, ``first mask``, and their ``total``.
        memory_mb, peak_memory_mb: resident memory after some frames, and the peak.

    Args:
        name: a registered contender.
        setting: the same for all contenders.
        frames: an ``.npy`` file, uint8 [n, H, W, 3].
        cpus: the processors that it may use.
        cache: an empty folder for its compiled files; the user's own cache if None.

    Raises:
        BackendError: it could not start or process a frame; the message has its last line of output.
    """

    def __init__(
        self, name: str, setting: Setting, frames: Path, cpus: list[int], cache: Path | None = None
    ) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        environment = dict(os.environ)
        if cache is not None:
            # With an empty cache every contender has a first start, without earlier compiled files.
            environment |= {"TORCHINDUCTOR_CACHE_DIR": str(cache), "EDGESEG_CACHE": str(cache)}
        spawned_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeseg.benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        try:
            hello = self._ask(
                {
                    "name": name,
                    "setting": setting.to_json(),
                    "frames": str(frames),
                    "cpus": cpus,
                    "spawned_at": spawned_at,
                }
            )
        except BaseException:
            self.close()
            raise
        self.precision = str(hello["precision"])
        self.limit = str(hello["limit"])
        self.start_ms: dict[str, float] = hello["start_ms"]
        self.memory_mb = float(hello["memory_mb"])
        self.peak_memory_mb = float(hello["peak_memory_mb"])

    def frames_ms(self, first: int, count: int) -> list[float]:
        """Processes frames from ``first`` on, in a loop; returns the milliseconds of each from frame to class map."""
        times: list[float] = self._ask({"do": "frames", "first": first, "count": count})["ms"]
        return times

    def bare_ms(self, first: int, count: int) -> list[float]:
        """Runs the bare network ``count`` times; returns the milliseconds of each."""
        times: list[float] = self._ask({"do": "bare", "first": first, "count": count})["ms"]
        return times

    def maps(self, folder: Path) -> ClassMap:
        """Returns the class maps of all frames, uint8 [n, H, W]."""
        path = folder / f"{self.name}.npy"
        self._ask({"do": "maps", "to": str(path)})
        maps: ClassMap = np.load(path)
        path.unlink()
        return maps

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise BackendError(f"{self.name} failed: {self._last_words()}")
        parsed: dict[str, Any] = json.loads(answer)
        return parsed

    def _last_words(self) -> str:
        self._process.wait(timeout=60)
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it ended without a word (exit status {self._process.returncode})"
