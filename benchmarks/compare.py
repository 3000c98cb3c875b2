"""One comparison: every contender on the same frames, weights and threads, in turn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import ClassMap, Frame
from ..core.callbacks import OnMessage
from ..core.errors import BackendError, UsageError
from ..runtime import backends
from ..runtime.bundle import Bundle
from ..runtime.preprocess import Preprocessor
from ..runtime.segmenter import Segmenter
from . import peers
from .contender import Contender
from .decoders import mixed_share, time_decoders
from .describe import describe_machine
from .energy import find_meter
from .peers.base import Setting
from .peers.graphs import float_variant, write_graphs
from .peers.ours import place
from .rounds import Timed, TimedRun, run_rounds


@dataclass(frozen=True)
class ComparisonRequest:
    """The request for a comparison.

    Attributes:
        bundle: the bundle.
        variant: the variant for edgeseg; the bundle's default if None.
        backends: of edgeseg; all that are installed if None.
        against: groups or single contenders; all that are installed if None. A named one must run.
        frames: uint8 [n, H, W, 3].
        source: their origin.
        threads: for each contender.
        rounds: turns of each.
    """

    bundle: Bundle
    variant: str | None
    backends: Sequence[str] | None
    against: Sequence[str] | None
    frames: Frame
    source: str
    threads: int
    rounds: int


def choose(named: Sequence[str] | None, against: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """Chooses the contenders.

    Args:
        named: backends of edgeseg; all if None.
        against: groups and single contenders; all if None.

    Returns:
        The names of those that run, ours first, and for each of the others the reason why it does not.

    Raises:
        UsageError: a group, contender or backend is unknown.
        BackendError: a named one cannot run here, or none of ours can.
    """
    ours = [name for name in peers.names() if peers.group_of(name) == peers.OURS]
    if named is not None:
        for backend in named:
            if backend not in backends.names():
                raise UsageError(f"--backend {backend}: expected {', '.join(backends.names())}")
        ours = [name for name in ours if place(name)[0] in named]
    rivals = [name for name in peers.names() if peers.group_of(name) != peers.OURS]
    if against is not None:
        for word in against:
            if word not in (*peers.groups(), *rivals):
                raise UsageError(
                    f"--against {word}: expected {', '.join(peers.groups())}, or one of {', '.join(rivals)}"
                )
        rivals = [name for name in rivals if {name, peers.group_of(name)} & set(against)]
    absent = {}
    for name in (*ours, *rivals):
        why = peers.peer_class(name).why_unavailable(name)
        if why:
            absent[name] = why
    _insist(named, against, absent)
    running = [name for name in (*ours, *rivals) if name not in absent]
    if not any(peers.group_of(name) == peers.OURS for name in running):
        raise BackendError("edgeseg itself cannot run here: " + "; ".join(absent.values()))
    return running, absent


def _insist(named: Sequence[str] | None, against: Sequence[str] | None, absent: Mapping[str, str]) -> None:
    """Raises an error if a named contender, or a whole named group, cannot run."""
    for word in against or ():
        members = [name for name in peers.names() if word in (name, peers.group_of(name))]
        if all(name in absent for name in members):
            raise BackendError(f"--against {word}: {absent[members[0]]}")
    for backend in named or ():
        if f"{peers.OURS}-{backend}" in absent:
            raise BackendError(f"--backend {backend}: {absent[f'{peers.OURS}-{backend}']}")


def compare(request: ComparisonRequest, on_message: OnMessage = lambda line: None) -> dict[str, Any]:
    """Runs the comparison, and returns all results, ready for JSON.

    Raises:
        EdgesegError: as :func:`choose`; or the bundle has no float graph, or a named contender failed.
    """
    machine = describe_machine()
    names, absent = choose(request.backends, request.against)
    cpus = sorted(os.sched_getaffinity(0))[: request.threads]
    size_hw = request.frames.shape[1], request.frames.shape[2]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-benchmark-")))
        write_graphs(request.bundle, size_hw, work)
        frames = work / "frames.npy"
        np.save(frames, request.frames)
        setting = Setting.of(request.bundle, request.variant, size_hw, request.threads, work)
        on_message("PyTorch's reference maps …")
        reference = reference_maps(request.bundle, request.frames)
        contenders = {}
        for name in names:
            on_message(f"{name} starts …")
            try:
                contenders[name] = stack.enter_context(Contender(name, setting, frames, cpus, work / name))
            except BackendError as error:
                named = request.backends if peers.group_of(name) == peers.OURS else request.against
                if named is not None:
                    raise
                absent[name] = str(error)
        if not any(peers.group_of(name) == peers.OURS for name in contenders):
            raise BackendError("edgeseg itself did not run: " + "; ".join(absent.values()))
        agreement = {name: _agreement(each.maps(work), reference) for name, each in contenders.items()}
        limits = _limits(contenders.values())
        meter, energy = find_meter()
        takes: dict[str, TimedRun] = {name: each.frames_ms for name, each in contenders.items()}
        takes |= {f"bare {key}": each.bare_ms for key, each in limits.items()}
        on_message(f"{request.rounds} rounds of {len(takes)} turns …")
        timed = run_rounds(
            takes, request.rounds, meter, lambda done: on_message(f"round {done} of {request.rounds}")
        )
        if meter is not None:
            meter.close()
        rows = [_row(each, timed, agreement[name]) for name, each in contenders.items()]
    on_message("The decode alone …")
    return {
        "benchmark": "frame to class map",
        "machine": machine,
        "bundle": _describe_bundle(request.bundle, setting.variant),
        "frames": {"source": request.source, "count": len(request.frames), "size_hw": list(size_hw)},
        "threads": request.threads,
        "rounds": request.rounds,
        "samples": len(next(iter(timed.values())).ms),
        "energy": energy,
        "reference": "PyTorch, float32, nothing folded"
        if reference is not None
        else "none: PyTorch is not installed",
        "contenders": rows,
        "absent": [{"name": name, "why": why} for name, why in absent.items()],
        "decode": _decode(request, size_hw),
    }


def reference_maps(bundle: Bundle, frames: Frame) -> ClassMap | None:
    """Returns PyTorch's class maps, from the bundle's own checkpoint: uint8 [n, H, W]; None if it is not installed."""
    if find_spec("torch") is None:
        return None
    from ..export.verification.reference import reference_masks
    from ..export.verification.torch_backend import TorchBackend

    preprocess = Preprocessor(bundle.input_size_hw)
    size_hw = frames.shape[1], frames.shape[2]
    with TorchBackend.of_bundle(bundle) as torch:
        return np.stack(
            [reference_masks(torch.infer(preprocess(frame)), size_hw).classes for frame in frames]
        )


def _agreement(maps: ClassMap, reference: ClassMap | None) -> float | None:
    return None if reference is None else float((maps == reference).mean())


def _limits(contenders: Any) -> dict[str, Contender]:
    """Returns one contender for each bare network. Ours come first, so that they also give the peers' limit."""
    limits: dict[str, Contender] = {}
    for each in contenders:
        limits.setdefault(each.limit, each)
    return limits


def _row(contender: Contender, timed: Mapping[str, Timed], agreement: float | None) -> dict[str, Any]:
    mine, bare = timed[contender.name], timed[f"bare {contender.limit}"].percentiles()
    percentiles = mine.percentiles()
    peer = peers.peer_class(contender.name)
    return {
        "name": contender.name,
        "group": peers.group_of(contender.name),
        "does": peer.does,
        "precision": contender.precision,
        "same_map": peer.same_map,
        "ms": percentiles,
        "bare_network": contender.limit,
        "bare_ms": bare,
        "times_bare": percentiles["p50"] / bare["p50"],
        "agreement": agreement,
        "memory_mb": contender.memory_mb,
        "peak_memory_mb": contender.peak_memory_mb,
        "start_ms": contender.start_ms,
        "joules_per_frame": mine.joules_per_frame,
    }


def _describe_bundle(bundle: Bundle, variant: str) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "architecture": bundle.architecture["name"],
        "weights": bundle.manifest["weights"]["name"],
        "weights_sha256": bundle.manifest["weights"]["sha256"],
        "variant": variant,
        "classes": len(bundle.labels),
        "input_size_hw": list(bundle.input_size_hw),
        "stride": bundle.stride,
    }


def _decode(request: ComparisonRequest, size_hw: tuple[int, int]) -> dict[str, Any]:
    preprocess = Preprocessor(request.bundle.input_size_hw)
    variant = float_variant(request.bundle)
    with Segmenter(request.bundle, variant, "onnxruntime", threads=request.threads) as segmenter:
        logits = [segmenter.backend.infer(preprocess(frame))[0].copy() for frame in request.frames]
    return {
        "mixed_cells": float(np.mean([mixed_share(each) for each in logits])),
        "ways": time_decoders(logits, size_hw, request.threads, request.rounds),
    }
