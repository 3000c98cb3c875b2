"""The machine of the proof: its parts, the output of ``edgeseg doctor``, and the tests that need a GPU."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ...runtime.tensorrt.cuda import device_class, gpu_of, implementations, why_no_device
from ...runtime.tensorrt.module import compute_capabilities, find_tensorrt, why_missing
from .nvml import Nvml
from .order import Note, NotRunError, StepOrder, check

_ROOT = Path(__file__).resolve().parents[2]
_NO_TESTS = 5
"""pytest's exit status if it collected no tests."""


def device(order: StepOrder, note: Note) -> None:
    """Notes the GPU, its driver, the access to it and TensorRT; not run if one is missing, or they do not fit."""
    nvml = Nvml()
    note(driver=nvml.driver(), nvml=nvml.why or "here")
    if why := why_no_device():
        raise NotRunError(why)
    gpu = gpu_of()
    found = [name for name in implementations() if not device_class(name).why_unavailable()]
    note(
        gpu={
            "name": gpu.name,
            "compute_capability": gpu.compute_capability,
            "memory_mb": round(gpu.memory_bytes / 1e6),
            "multiprocessors": gpu.multiprocessors,
        },
        cuda_through=found[0],
    )
    if why := why_missing(order.flavour or None):
        raise NotRunError(why)
    tensorrt = find_tensorrt(order.flavour or None)
    note(tensorrt=tensorrt.title, flavour=tensorrt.flavour, for_rtx=tensorrt.for_rtx)
    known = compute_capabilities(tensorrt.module)
    if tensorrt.for_rtx and gpu.compute_capability not in known:
        raise NotRunError(
            f"{tensorrt.title} does not build for compute capability {gpu.compute_capability} ({gpu.name}), only for"
            f" {', '.join(known)}: install NVIDIA's TensorRT"
        )


def doctor(order: StepOrder, note: Note) -> None:
    """Notes everything that ``edgeseg doctor`` finds."""
    from ...apps.doctor.examine import examine
    from ...apps.doctor.host import Host
    from ...apps.doctor.report import as_json

    note(**as_json(examine(Host())))


def marked_tests(order: StepOrder, note: Note) -> None:
    """Runs the tests marked ``gpu``; none may be skipped because of a missing GPU, because there is one."""
    if order.minimal:
        raise NotRunError("--minimal leaves pytest out")
    if find_spec("pytest") is None:
        raise NotRunError("pytest is not installed")
    if not (_ROOT / "tests").is_dir():
        raise NotRunError("the tests are in a checkout alone, and edgeseg is installed without one")
    # Collecting only those files needs seconds; collecting all would need most of the available time.
    files = [str(file) for file in _ROOT.glob("tests/**/test_*.py") if "mark.gpu" in file.read_text("utf-8")]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run([*command, *sorted(files)], cwd=_ROOT, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    counts = {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", lines[-1] if lines else "")}
    note(counts=counts, last_lines=lines[-12:])
    check(done.returncode != _NO_TESTS, "no test is marked gpu")
    check(done.returncode == 0, f"pytest ended with status {done.returncode}: {lines[-1] if lines else ''}")
    check(counts.get("passed", 0) > 0, "every test marked gpu was skipped, though there is a GPU")
