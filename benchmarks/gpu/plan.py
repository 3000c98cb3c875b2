"""The steps of the proof, the most informative first, each with its time limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOTAL_SECONDS = 530.0
"""The time limit of the whole proof: a step that has not begun by then is not run."""


@dataclass(frozen=True)
class ProofStep:
    """One step.

    Attributes:
        name: short and unique.
        title: its action, for display.
        module, function: its code, under ``edgeseg.benchmarks.gpu``.
        limit_s: the time in seconds after which it is killed.
        network: its network; empty if it has none.
        about: its group in the report.
    """

    name: str
    title: str
    module: str
    function: str
    limit_s: float
    network: str = ""
    about: str = ""


DEVICE = ProofStep("device", "find the GPU and TensorRT", "machine", "device", 40)
DOCTOR = ProofStep("doctor", "`edgeseg doctor`", "machine", "doctor", 30)
TESTS = ProofStep("tests", "the tests marked `gpu`", "machine", "marked_tests", 90)

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


def plan(networks: Sequence[str], smallest: str, soak_seconds: float) -> tuple[ProofStep, ...]:
    """Returns all steps after the device.

    Args:
        networks: the prepared ones; the soak runs on the first.
        smallest: the smallest of them, for the faults, because it builds fastest.
        soak_seconds: the duration of the soak.
    """
    if not networks:
        return (DOCTOR, TESTS)
    name, title, module, function, more_s = _SOAK
    title = f"{title} for {soak_seconds:g} s"
    return (
        DOCTOR,
        *_each(_FIRST, networks),
        *(ProofStep(*each, network=smallest, about="fault") for each in _FAULTS),
        *_each(_MORE, networks),
        ProofStep(name, title, module, function, soak_seconds + more_s, networks[0], "soak"),
        TESTS,
        *_each(_LAST, networks),
    )


def named(steps: Sequence[ProofStep]) -> Mapping[str, ProofStep]:
    """Returns the steps by name."""
    return {step.name: step for step in steps}


def _each(kinds: Sequence[tuple[str, str, str, str, float]], networks: Sequence[str]) -> list[ProofStep]:
    return [
        ProofStep(f"{network} {name}", f"{network}: {title}", module, function, limit_s, network, name)
        for name, title, module, function, limit_s in kinds
        for network in networks
    ]
