"""The order for a step, and the outcomes of a step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.errors import EdgesegError
from ...core.outputs import replacing

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"

Note = Callable[..., None]
"""A function that adds facts to a step's result. They are written at once, so that a killed step leaves them."""


@dataclass(frozen=True)
class StepOrder:
    """The order for a step.

    Attributes:
        module, function: the code to run: the full name of a module, and its function.
        prepared: the prepared folder; empty if the step needs none.
        out: the folder for the step's files.
        network: the network; empty if the step has none.
        flavour: the requested TensorRT; empty for the first that is installed.
        backend: the flavour that was found, which is also the name of its backend.
        precisions: those of the bundle that are useful on this machine.
        frames: the number of frames to run.
        seconds: the duration of steps that run for a time.
        torch_device: the device for PyTorch.
        minimal: whether packages are missing on purpose.
        extra: options of a single step.
    """

    module: str
    function: str
    prepared: str = ""
    out: str = ""
    network: str = ""
    flavour: str = ""
    backend: str = "tensorrt"
    precisions: tuple[str, ...] = ("fp16",)
    frames: int = 200
    seconds: float = 60.0
    torch_device: str = "cuda"
    minimal: bool = False
    extra: str = ""

    @property
    def folder(self) -> Path:
        """The existing folder for the step's files."""
        folder = Path(self.out)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def to_json(self) -> str:
        """Returns the order as text for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StepOrder:
        """Reads the text of :meth:`to_json`."""
        values = json.loads(text)
        return cls(**{**values, "precisions": tuple(values["precisions"])})


class NotRunError(EdgesegError):
    """The step cannot run here; the message gives the reason."""


class CheckFailedError(EdgesegError):
    """The step ran, and its result is not the promised one."""


def check(holds: bool, text: str) -> None:
    """Fails the step if a condition is false.

    Raises:
        CheckFailedError: the condition does not hold.
    """
    if not holds:
        raise CheckFailedError(text)


def first_line(error: BaseException) -> str:
    """Returns an error in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def write_json(path: Path, content: Any) -> None:
    """Writes a file that is never seen half written."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
