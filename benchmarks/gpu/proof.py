"""One proof: the steps in turn, each in its own process, with the report after each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.callbacks import OnMessage
from ...core.errors import OutputError
from ..describe import describe_machine, installed_versions
from .order import FAILED, NOT_RUN, PASSED, StepOrder, write_json
from .plan import DEVICE, TOTAL_SECONDS, ProofStep, plan
from .prepared import PreparedFolder
from .report import markdown, summary_line
from .supervise import StepOutcome, run_step

SCHEMA = 1
"""The version of the JSON. It rises when a key is removed or changes its meaning; new keys may appear at any time."""

JSON_NAME, PAGE_NAME, LOGS = "gpu.json", "gpu.md", "logs"
NO_GPU = 2
_LEAST_SECONDS = 5.0
"""A step does not begin with less time left."""

_PACKAGES = (
    "tensorrt", "tensorrt-rtx", "tensorrt-rtx-cu12-libs", "tensorrt-rtx-cu13-libs", "cuda-bindings", "pycuda", "torch",
    "onnxruntime-gpu",
)  # fmt: skip

Runner = Callable[[str, StepOrder, float, Path], StepOutcome]


@dataclass(frozen=True)
class ProofOptions:
    """The options of a proof.

    Attributes:
        out: the folder for the report and the logs.
        command: the command line.
        networks: the chosen ones of the prepared networks.
        minimal: packages are missing on purpose.
        flavour: of TensorRT; the first that is installed if None.
        frames: the number of frames in each way of running.
        soak_seconds: the duration of the soak.
        seconds: the time after which no step begins.
        torch_device: the device for PyTorch.
    """

    out: Path
    command: str
    networks: tuple[str, ...]
    minimal: bool = False
    flavour: str | None = None
    frames: int = 200
    soak_seconds: float = 60.0
    seconds: float = TOTAL_SECONDS
    torch_device: str = "cuda"


class ProofRun:
    """A run of all steps.

    Attributes:
        report: the content of ``gpu.json``.
        why_not: the reason why no step was run; empty if they were.

    Args:
        prepared: the input.
        options: of the proof.
        cache: the proof's own folder for newly built engines.
        on_message: called with a line for each step.
        runner: runs a step.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        options: ProofOptions,
        cache: Path,
        on_message: OnMessage,
        runner: Runner = run_step,
    ) -> None:
        self._prepared, self._options, self._on_message, self._runner = prepared, options, on_message, runner
        self._cache = cache
        self.why_not = ""
        self.report: dict[str, Any] = {
            "schema": SCHEMA,
            "benchmark": "gpu",
            "command": options.command,
            "complete": False,
            "minimal": options.minimal,
            "machine": describe_machine(),
            "versions": installed_versions(_PACKAGES),
            "device": {},
            "prepared": {
                "source": prepared.source,
                "made_with": dict(prepared.made_with),
                "notes": {name: list(prepared.networks[name].notes) for name in options.networks},
            },
            "steps": [],
        }
        smallest = min(options.networks, key=self._bytes)
        self._steps = plan(options.networks, smallest, options.soak_seconds)

    def run(self) -> int:
        """Runs every step; the report is written after each, even if the proof is ended early.

        Returns:
            0 if none failed, 1 if one did, 2 without a GPU or TensorRT.

        Raises:
            OutputError: the report cannot be written.
        """
        ends_at = time.monotonic() + self._options.seconds
        engines_before, os.environ["EDGESEG_CACHE"] = os.environ.get("EDGESEG_CACHE"), str(self._cache)
        try:
            self._find_device(ends_at)
            for step in self._steps:
                left = ends_at - time.monotonic()
                if self.why_not:
                    outcome = StepOutcome(NOT_RUN, self.why_not, 0.0, {})
                elif left < _LEAST_SECONDS:
                    why = f"the {self._options.seconds:.0f} s of the whole proof were over"
                    outcome = StepOutcome(NOT_RUN, why, 0.0, {})
                else:
                    outcome = self._run(step, left)
                self._add(step, outcome)
            self.report["complete"] = True
        finally:
            if engines_before is None:
                del os.environ["EDGESEG_CACHE"]
            else:
                os.environ["EDGESEG_CACHE"] = engines_before
            self._write()
        if self.why_not:
            return NO_GPU
        return int(any(step["outcome"] == FAILED for step in self.report["steps"]))

    def summary(self) -> str:
        """Returns the numbers of steps that passed, that failed and that were not run."""
        return summary_line(self.report)

    def _find_device(self, ends_at: float) -> None:
        outcome = self._run(DEVICE, ends_at - time.monotonic())
        self.report["device"] = outcome.result
        self.why_not = "" if outcome.outcome == PASSED else outcome.why
        self._add(DEVICE, outcome)

    def _run(self, step: ProofStep, left_s: float) -> StepOutcome:
        device = self.report["device"]
        for_rtx = device.get("for_rtx", False)
        options = self._options
        order = StepOrder(
            module=f"{__package__}.{step.module}",
            function=step.function,
            prepared=str(self._prepared.folder.resolve()),
            out=str((options.out / LOGS / step.name.replace(" ", "-")).resolve()),
            network=step.network,
            flavour=options.flavour or "",
            backend=device.get("flavour", "tensorrt"),
            precisions=("fp16",) if for_rtx else ("fp16", "int8"),
            frames=options.frames,
            seconds=options.soak_seconds,
            torch_device=options.torch_device,
            minimal=options.minimal,
        )
        logs = options.out / LOGS
        try:
            logs.mkdir(parents=True, exist_ok=True)
            return self._runner(step.name, order, min(step.limit_s, left_s), logs)
        except OSError as error:
            raise OutputError(f"cannot write {logs}: {error.strerror}") from error

    def _add(self, step: ProofStep, outcome: StepOutcome) -> None:
        entry = {**asdict(step), **asdict(outcome)}
        entry["seconds"] = round(outcome.seconds, 2)
        self.report["steps"].append(entry)
        if not self.why_not or step is DEVICE:
            self._on_message(
                f"{step.name:24}{outcome.outcome:9}{outcome.seconds:6.1f} s"
                + (f"  {outcome.why}" if outcome.why else "")
            )
        self._write()

    def _write(self) -> None:
        out = self._options.out
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / JSON_NAME, self.report)
            (out / PAGE_NAME).write_text(markdown(self.report), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {out}: {error.strerror}") from error

    def _bytes(self, name: str) -> int:
        bundle = self._prepared.networks[name].bundle()
        return sum(variant.path.stat().st_size for variant in bundle.variants.values())
