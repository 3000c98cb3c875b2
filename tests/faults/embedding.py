"""Faults of a segmenter in an embedder's own program: several threads, and forks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

from .bench import Bench
from .embedded import THREADS
from .outcome import Outcome, expect, fault
from .places import environment

_SECONDS = 120
_REFUSAL = "was opened before this process was forked"


def _embedded(bench: Bench, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "faults.embedded", *words],
        cwd=bench.new_folder(),
        env=environment(**bench.environment),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    expect(done.returncode == 0, f"the program ended with {done.returncode}: {done.stderr[-600:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@fault(
    "threads",
    "one segmenter is called from eight threads at once, each with a frame of its own",
    "each call gives its own frame's mask",
)
def threads(bench: Bench) -> Outcome:
    """An embedder who takes a segmenter for a function."""
    told = _embedded(bench, "threads", str(bench.bundle))
    expect(told["masks"] == THREADS, f"{told['masks']} masks of {THREADS} frames tell nothing")
    expect(told["wrong"] == 0, f"{told['wrong']} of {told['calls']} calls gave another frame's mask")
    return Outcome(f"{told['calls']} of {told['calls']} calls gave their own frame's mask")


@fault(
    "fork",
    "a process with an open segmenter forks; a child closes it, drops it, calls it, or just ends; with each backend",
    "no child hangs, a call raises one line, and the parent goes on",
)
def fork(bench: Bench) -> Outcome:
    """A program whose workers are started with ``fork``."""
    backends = [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name) is not None]
    for backend in backends:
        told = _embedded(bench, "fork", str(bench.bundle), backend)
        for deed in ("close", "drop", "end"):
            expect(told[deed] == "ended", f"{backend}: a child that was to {deed} it: {told[deed]}")
        expect(_REFUSAL in told["call"], f"{backend}: a child that called it: {told['call']}")
        expect(told["parent"] == "well", f"{backend}: the parent: {told['parent']}")
    return Outcome(f"all children ended at once, and the parents go on ({', '.join(backends)})")
