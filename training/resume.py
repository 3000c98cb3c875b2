"""The check that a saved state fits a run: the run must have the same data, classes and network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import CheckpointError

_MUST_AGREE = {
    "architecture": "network",
    "arguments": "options of the network",
    "labels": "classes",
    "input_size_hw": "input size",
    "train": "training images or masks",
    "val": "validation images or masks",
    "optimizer": "optimizer",
    "parts": "frozen layers or trunk's own rate",
}


def check_belongs(path: Path, saved: object, now: Mapping[str, object]) -> list[str]:
    """Compares the job of a saved state with the job that resumes it.

    Args:
        path: of the state, for the messages.
        saved, now: the two jobs, as JSON.

    Returns:
        The allowed differences, such as ``learning_rate 0.001 instead of 0.01``.

    Raises:
        CheckpointError: the state has other data, classes or network.
    """
    start_afresh = "start again in another --out, with --init LAST.safetensors to keep the weights"
    if not isinstance(saved, Mapping):
        raise CheckpointError(f"{path} was saved by another version of edgeseg; {start_afresh}")
    now = json.loads(json.dumps(now))
    others = [name for key, name in _MUST_AGREE.items() if saved.get(key) != now.get(key)]
    if others:
        raise CheckpointError(f"{path} is of a run with other {', other '.join(others)}; {start_afresh}")
    old, new = _flat(saved), _flat(now)
    return [
        f"{key} {new.get(key)} instead of {old.get(key)}"
        for key in new
        if key in old and new[key] != old[key]
    ]


def _flat(job: Mapping[str, object]) -> dict[str, object]:
    """Returns the choices of a job by name, including those of its recipe and augmentation."""
    flat: dict[str, object] = {}
    for key, value in job.items():
        if key in ("recipe", "augmentation") and isinstance(value, Mapping):
            flat |= _flat(value)
        elif key not in _MUST_AGREE:
            flat[key] = value
    return flat
