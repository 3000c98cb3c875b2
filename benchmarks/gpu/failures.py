"""Faults on a real GPU: an illegal address in a run, two processes on one GPU, a cancelled build."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import BackendError
from ...runtime.tensorrt.cache import EngineCache
from ...runtime.tensorrt.cuda import gpu_of
from ...runtime.tensorrt.engines import EngineRequest, get_engine
from ...runtime.tensorrt.identity import EngineIdentity
from ...runtime.tensorrt.module import find_tensorrt
from ...runtime.tensorrt.network import LOGITS
from .opened import Subject, class_maps
from .order import Note, NotRunError, StepOrder, check, first_line
from .supervise import read_result, started

_NOWHERE = 1 << 16
"""An aligned address that is not allocated, on the device or on the host."""

_GOOD_FRAMES, _REFUSED_FRAMES = 3, 3
_MEMBERS = ("first", "second")
_WAIT_SECONDS, _LOOK_SECONDS = 60.0, 0.02
_CANCELLED_BATCH = (1, 3)
_BUILDING = "building: "
_INTERRUPTED = 130
_BUILD = (
    # A proof that was started in the background ignores Ctrl-C, and so would this process.
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " from edgeseg.cli.main import main; sys.exit(main())"
)


def cuda_error(order: StepOrder, note: Note) -> None:
    """Makes the engine write to an illegal address, CUDA's error 700: each later frame is refused with its name."""
    subject = Subject(order)
    inputs, refused = subject.inputs(), []
    with subject.opened("fp16", subject.options(), {}, graph=False) as backend:
        for frame in inputs[:_GOOD_FRAMES]:
            backend.infer_classes(frame)
        backend._engine.execution(1)._context.set_tensor_address(LOGITS, _NOWHERE)
        for _ in range(1 + _REFUSED_FRAMES):
            try:
                backend.infer_classes(inputs[0])
            except BackendError as error:
                refused.append(first_line(error))
            else:
                refused.append("")
            note(refused=refused)
    check(bool(refused[0]), "the engine wrote to an address that nobody allocated, and no error came of it")
    check(
        "illegal" in refused[0].lower().replace("_", ""),
        f"the error is not named as CUDA's illegal address: {refused[0]}",
    )
    latched = [line for line in refused[1:] if "has stopped" in line and refused[0] in line]
    check(
        len(latched) == _REFUSED_FRAMES,
        f"{_REFUSED_FRAMES - len(latched)} of {_REFUSED_FRAMES} later frames were not refused with the first error",
    )


def two_processes(order: StepOrder, note: Note) -> None:
    """Runs the same frames in two processes on one GPU at the same time; the class maps must be the same."""
    folder = order.folder
    for name in _MEMBERS:
        for kind in ("ready", "begun", "result.json"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    orders = [StepOrder(**{**vars(order), "function": "member", "extra": name}) for name in _MEMBERS]
    with (
        started(orders[0], folder, _MEMBERS[0]) as first,
        started(orders[1], folder, _MEMBERS[1]) as second,
    ):
        first.wait()
        second.wait()
    facts = [read_result(folder / f"{name}.result.json") for name in _MEMBERS]
    for name, each in zip(_MEMBERS, facts, strict=True):
        note(**{name: each.get("result", {})})
        check(each.get("outcome") == "passed", f"the {name} process: {each.get('why', 'it left no result')}")
    results = [each["result"] for each in facts]
    overlap = min(r["ended_at"] for r in results) - max(r["began_at"] for r in results)
    note(overlap_seconds=round(overlap, 3))
    check(overlap > 0, "the two did not run at the same time")
    check(results[0]["maps_sha256"] == results[1]["maps_sha256"], "the two got different class maps")


def member(order: StepOrder, note: Note) -> None:
    """Runs one of the two processes: it is ready, waits until the other is ready, and runs."""
    subject = Subject(order)
    inputs = subject.inputs()
    readies = [order.folder / f"{name}.ready" for name in _MEMBERS]
    begun = [order.folder / f"{name}.begun" for name in _MEMBERS]
    with subject.opened("fp16", subject.options(), {}) as backend:
        (order.folder / f"{order.extra}.ready").touch()
        _wait_for(readies)
        (order.folder / f"{order.extra}.begun").touch()
        began, frames, digests = time.monotonic(), 0, set()
        ends_at = began + _WAIT_SECONDS
        while frames < order.frames or not all(file.exists() for file in begun):
            check(time.monotonic() < ends_at, "the other process did not begin in a minute")
            maps = class_maps(backend, inputs, [1])
            digests.add(hashlib.sha256(np.stack(maps).tobytes()).hexdigest())
            frames += len(maps)
        note(began_at=began, ended_at=time.monotonic(), frames=frames, maps_sha256=sorted(digests))
    check(len(digests) == 1, f"the same frames gave {len(digests)} different class maps")


def cancelled_build(order: StepOrder, note: Note) -> None:
    """Interrupts ``edgeseg build`` with Ctrl-C: no partial file may be left, and the next build must work."""
    subject = Subject(order)
    variant, tensorrt = subject.variant("fp16"), find_tensorrt(order.backend)
    options = subject.options(_CANCELLED_BATCH)
    identity, cache = EngineIdentity.of(variant, tensorrt, gpu_of(), options), EngineCache()
    if cache.path_of(identity).exists():
        raise NotRunError("the cache has that engine already; take another --out")
    height, width = subject.frame_size_hw
    smallest, largest = options.batch
    command = [
        sys.executable, "-c", _BUILD, "build",
        str(subject.bundle.path), "--variant", variant.name, "--flavour", tensorrt.flavour,
        "--batch", f"{smallest}..{largest}", "--frame", f"{height}x{width}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    sent_at = None
    for line in process.stderr:
        lines.append(line.rstrip())
        if sent_at is None and line.startswith(_BUILDING):
            process.send_signal(signal.SIGINT)
            sent_at = time.monotonic()
    status = process.wait()
    note(exit_status=status, said=lines[-6:])
    if sent_at is None or status == 0:
        raise NotRunError(f"the build was over before it could be cancelled (exit status {status})")
    note(seconds_to_stop=round(time.monotonic() - sent_at, 2))
    check(status == _INTERRUPTED, f"Ctrl-C ended the build with status {status}, not {_INTERRUPTED}")
    check(not cache.path_of(identity).exists(), "a cancelled build left an engine in the cache")
    size_hw = subject.bundle.input_size_hw
    request = EngineRequest(variant, size_hw, tensorrt, gpu_of(), options, cache)
    obtained = get_engine(request)
    note(built_again_seconds=obtained.seconds)
    check(obtained.seconds is not None, "the second build found an engine that nobody had built")
    facts: dict[str, Any] = {}
    with subject.opened("fp16", options, facts) as backend:
        maps = class_maps(backend, subject.inputs(), [1])
    check(all(np.asarray(each).size for each in maps), "the engine gives no class maps")


def _wait_for(files: list[Path]) -> None:
    ends_at = time.monotonic() + _WAIT_SECONDS
    while not all(file.exists() for file in files):
        check(time.monotonic() < ends_at, "the other process was not ready in a minute")
        time.sleep(_LOOK_SECONDS)
