"""What the core install takes: its size by package, its start to the first mask, and its steady memory.

``python -m edgeseg.benchmarks.footprint BUNDLE`` installs edgeseg without extras into a new environment, and starts it
there a few times.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ..runtime.bundle import Bundle
from ..runtime.errors import BackendError, UsageError
from .describe import describe_machine
from .front import conclude, run_front
from .plots import FAINT, INK, SERIES, new_figure, plain_axes, png
from .tables import Table, number

_TARGET_START_S, _TARGET_MEMORY_MB = 1.0, 200.0
_NOT_INSTALLED = (
    ".*",
    "tests",
    "docs",
    "build",
    "dist",
    "bundle",
    "demo",
    "runs",
    "datasets",
    "*.egg-info",
    "*.so",
)

_SIZES = """
import importlib.metadata, json, os
sizes = {}
for d in importlib.metadata.distributions():
    files = {str(d.locate_file(f).resolve()) for f in d.files or ()}
    folders = [f for f in files if os.path.isfile(f)]
    sizes[d.metadata["Name"]] = {"version": d.version, "bytes": sum(os.path.getsize(f) for f in folders)}
print(json.dumps(sizes))
"""

_START = """
import time
at = {"python": time.monotonic()}
import json, re, sys
import numpy
at["numpy"] = time.monotonic()
import cv2
at["OpenCV"] = time.monotonic()
from edgeseg.runtime.libraries import load_onnxruntime
load_onnxruntime()
at["ONNX Runtime"] = time.monotonic()
from edgeseg import Segmenter
at["edgeseg"] = time.monotonic()
frame_bgr = numpy.random.default_rng(0).integers(0, 256, (720, 1280, 3), numpy.uint8)
threads = int(sys.argv[2])
cv2.setNumThreads(threads)
start = time.monotonic()
segmenter = Segmenter(sys.argv[1], threads=threads)
at["open"] = time.monotonic() - start + at["edgeseg"]
segmenter(frame_bgr)
at["first mask"] = time.monotonic() - start + at["edgeseg"]
for _ in range(50):
    segmenter(frame_bgr)
status = open("/proc/self/status").read()
held = {key: int(re.search(name + r":\\s+(\\d+)", status)[1]) * 1024 / 1e6 for key, name in
        (("memory_mb", "VmRSS"), ("peak_memory_mb", "VmHWM"))}
print(json.dumps({"at": at, **held}))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_front("footprint", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--starts", type=int, default=9, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--python", type=Path, metavar="PYTHON", help="an environment's Python that has the core install"
    )
    parser.add_argument(
        "--source-tree", type=Path, default=Path(__file__).resolve().parents[1], metavar="DIR",
        help="edgeseg's own; default: where this runs from",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> None:
    if args.starts < 1:
        raise UsageError(f"--starts {args.starts}: expected 1 or more")
    machine = describe_machine()
    bundle = Bundle.load(args.bundle)
    with tempfile.TemporaryDirectory(prefix="edgeseg-footprint-") as folder:
        python = args.python or core_install(args.source_tree, Path(folder))
        sizes = json.loads(_said(python, "-c", _SIZES))
        for tool in ("pip", "setuptools"):
            sizes.pop(tool, None)
        first, *starts = [start_up(python, bundle, args.threads) for _ in range(args.starts + 1)]
    steps = {step: median(start["steps"][step] for start in starts) for step in starts[0]["steps"]}
    memory = {key: median(start[key] for start in starts) for key in ("memory_mb", "peak_memory_mb")}
    total = median(start["total_s"] for start in starts)
    result: dict[str, Any] = {
        "benchmark": "footprint",
        "machine": machine,
        "bundle": bundle.name,
        "packages": sizes,
        "megabytes": sum(each["bytes"] for each in sizes.values()) / 1e6,
        "start_s": {**steps, "total": total},
        "first_start_s": first["total_s"],
        **memory,
    }
    pictures = {
        "footprint.png": ("Megabytes by package, and seconds by step of the start", lambda: plot(result))
    }
    title = f"The core install, and its start with {bundle.name}"
    conclude(args, "footprint", title, result, _tables(result), read_out(result), pictures)


def core_install(source_tree: Path, folder: Path) -> Path:
    """Installs edgeseg without extras into a new environment; gives its Python.

    Raises:
        UsageError: the tree is not edgeseg's source.
        BackendError: pip failed; the message has its last line.
    """
    if not (source_tree / "pyproject.toml").is_file():
        raise UsageError(f"{source_tree} has no pyproject.toml; name edgeseg's source with --source-tree")
    # pip builds inside the tree, which is not ours to fill.
    copy = folder / "source"
    shutil.copytree(source_tree, copy, ignore=shutil.ignore_patterns(*_NOT_INSTALLED))
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    _said(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(copy))
    return python


def start_up(python: Path, bundle: Bundle, threads: int) -> dict[str, Any]:
    """Starts once: seconds of each step, the total from the process's start, and memory."""
    spawned_at = time.monotonic()
    told = json.loads(_said(python, "-c", _START, str(bundle.path.resolve()), str(threads)))
    times = list(told["at"].items())
    begins = [spawned_at, *(at for _, at in times)]
    return {
        "steps": {name: at - before for (name, at), before in zip(times, begins, strict=False)},
        "total_s": times[-1][1] - spawned_at,
        "memory_mb": told["memory_mb"],
        "peak_memory_mb": told["peak_memory_mb"],
    }


def _said(python: Path, *words: str) -> str:
    # Away from this checkout: what answers is what was installed.
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(python), *words], capture_output=True, text=True, env=clean, cwd=tempfile.gettempdir()
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BackendError(f"{python.name} {words[0]} {words[1][:20].strip()} failed: {last}")
    return done.stdout


def _tables(result: dict[str, Any]) -> list[Table]:
    packages = sorted(result["packages"].items(), key=lambda item: -int(item[1]["bytes"]))
    rows = [[name, each["version"], number(each["bytes"] / 1e6)] for name, each in packages]
    rows.append(["all", "", number(result["megabytes"])])
    steps = [[name, number(seconds, 3)] for name, seconds in result["start_s"].items()]
    memory = [[name, number(result[name], 0)] for name in ("memory_mb", "peak_memory_mb")]
    return [
        Table(["package", "version", "MB"], rows, left=2),
        Table(["start, step", "s"], steps),
        Table(
            ["memory", "MB"], [[{"memory_mb": "steady", "peak_memory_mb": "peak"}[n], v] for n, v in memory]
        ),
    ]


def read_out(result: dict[str, Any]) -> list[str]:
    """What the figures say."""
    name, largest = max(result["packages"].items(), key=lambda item: int(item[1]["bytes"]))
    steps = {key: value for key, value in result["start_s"].items() if key != "total"}
    slowest = max(steps, key=lambda key: float(steps[key]))
    share = 100e-6 * largest["bytes"] / result["megabytes"]
    total, held = result["start_s"]["total"], result["memory_mb"]
    return [
        f"The core install takes {result['megabytes']:.0f} MB; {name} is {share:.0f} % of it.",
        f"From the start of the process to the first mask: {total:.2f} s, {_kept(total, _TARGET_START_S)} the target of"
        f" {_TARGET_START_S:g} s; most of it is {slowest} ({steps[slowest]:.2f} s). The very first start took"
        f" {result['first_start_s']:.2f} s.",
        f"Steady memory: {held:.0f} MB, {_kept(held, _TARGET_MEMORY_MB)} the target of {_TARGET_MEMORY_MB:g} MB.",
    ]


def _kept(value: float, target: float) -> str:
    return "within" if value < target else "above"


def plot(result: dict[str, Any]) -> bytes:
    """Bars: packages above, steps below."""
    packages = sorted(result["packages"].items(), key=lambda item: int(item[1]["bytes"]))[-8:]
    steps = [(name, value) for name, value in result["start_s"].items() if name != "total"][::-1]
    figure = new_figure(8.6, 1.4 + 0.34 * (len(packages) + len(steps)))
    above, below = figure.subplots(2, 1, height_ratios=(len(packages), len(steps)))
    bars = (
        (above, [(name, each["bytes"] / 1e6) for name, each in packages], "MB on disk", 1, SERIES[0]),
        (below, steps, "seconds to the first mask", 3, FAINT),
    )
    for axes, values, label, digits, colour in bars:
        axes.barh([name for name, _ in values], [value for _, value in values], height=0.62, color=colour)
        for place, (_, value) in enumerate(values):
            axes.annotate(
                number(value, digits), (value, place), xytext=(5, 0), textcoords="offset points", va="center",
                fontsize=9, color=INK,
            )  # fmt: skip
        plain_axes(axes)
        axes.margins(x=0.1)
        axes.set_xlabel(label, fontsize=9, color=INK)
    return png(figure)


if __name__ == "__main__":
    sys.exit(main())
