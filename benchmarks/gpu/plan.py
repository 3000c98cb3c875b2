"""The steps of the proof, in the order in which they tell most, each with its time limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOTAL_SECONDS = 530.0
"""Of the whole proof: what has not begun by then is not run."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: short, and its own.
        title: what it does, for a reader.
        module, function: what runs it, under ``edgeseg.benchmarks.gpu``.
        limit_s: after which it is killed.
        network: which one; empty where it is of none.
        about: the group of the report that it belongs to.
    """

    name: str
    title: str
    module: str
    function: str
    limit_s: float
    network: str = ""
    about: str = ""


DEVICE = Step("device", "find the GPU and TensorRT", "machine", "device", 40)
DOCTOR = Step("doctor", "`edgeseg doctor`", "machine", "doctor", 30)
TESTS = Step("tests", "the tests marked `gpu`", "machine", "marked_tests", 90)

_FIRST = (
    ("fp16", "FP16, one frame a call", "networks", "fp16", 80),
    ("verify", "class by class against PyTorch", "verification", "verified", 45),
)
_FAULTS = (
    ("cuda error", "an illegal address in the middle of a run", "failures", "cuda_error", 40),
    ("two processes", "two processes on one GPU", "failures", "two_processes", 60),
    ("engine cache", "cache: hit, altered byte, other options", "cached", "hit_and_rebuilt", 80),
    ("cancelled build", "Ctrl-C in a build, then built again", "failures", "cancelled_build", 80),
)
_MORE = (
    ("batches", "FP16, batches of 1, 4 and in turn", "networks", "batches", 80),
    ("int8", "INT8, one frame a call", "networks", "int8", 80),
    ("verify int8", "INT8 class by class against PyTorch", "verification", "verified_int8", 45),
    ("torch", "PyTorch eager, FP16", "peers", "torch_eager", 45),
)
_LAST = (
    ("onnxruntime", "ONNX Runtime CUDA, FP16", "peers", "onnxruntime_cuda", 45),
    ("torch.compile", "torch.compile, FP16", "peers", "torch_compiled", 75),
)
_SOAK = ("soak", "the whole pipeline", "soaking", "soak", 30)


def plan(networks: Sequence[str], smallest: str, soak_seconds: float) -> tuple[Step, ...]:
    """All steps after the device.

    Args:
        networks: that are prepared; the first is soaked.
        smallest: of them, which the faults are tried out on, for it builds soonest.
        soak_seconds: how long the soak lasts.
    """
    if not networks:
        return (DOCTOR, TESTS)
    name, title, module, function, more_s = _SOAK
    title = f"{title} for {soak_seconds:g} s"
    return (
        DOCTOR,
        *_each(_FIRST, networks),
        *(Step(*each, network=smallest, about="fault") for each in _FAULTS),
        *_each(_MORE, networks),
        Step(name, title, module, function, soak_seconds + more_s, networks[0], "soak"),
        TESTS,
        *_each(_LAST, networks),
    )


def named(steps: Sequence[Step]) -> Mapping[str, Step]:
    """The steps by name."""
    return {step.name: step for step in steps}


def _each(kinds: Sequence[tuple[str, str, str, str, float]], networks: Sequence[str]) -> list[Step]:
    return [
        Step(f"{network} {name}", f"{network}: {title}", module, function, limit_s, network, name)
        for name, title, module, function, limit_s in kinds
        for network in networks
    ]
