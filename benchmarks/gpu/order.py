"""What a step is told, and the ways in which it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.errors import EdgesegError

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"

Note = Callable[..., None]
"""Adds facts to a step's result, which are written at once: a step that is killed leaves them."""


@dataclass(frozen=True)
class Order:
    """What a step is told.

    Attributes:
        module, function: what runs: a module by its whole name, and its function.
        prepared: the prepared folder; empty where the step needs none.
        out: the folder for what it leaves.
        network: which network; empty where it is of none.
        flavour: of TensorRT, as it was asked for; empty for the first that is installed.
        backend: the flavour that was found, which is the name of its backend too.
        precisions: the bundle's that pay on this machine.
        frames: how many are run.
        seconds: how long what lasts a time lasts.
        torch_device: where PyTorch runs.
        minimal: whether packages are missing on purpose.
        extra: of one step alone.
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
        """The folder for what it leaves, which is there."""
        folder = Path(self.out)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The order that :meth:`to_json` gave."""
        values = json.loads(text)
        return cls(**{**values, "precisions": tuple(values["precisions"])})


class NotRunError(EdgesegError):
    """The step cannot run here; the message says why."""


class CheckFailedError(EdgesegError):
    """The step ran, and what it saw is not what is promised."""


def check(holds: bool, text: str) -> None:
    """Fails the step.

    Raises:
        CheckFailedError: it does not hold.
    """
    if not holds:
        raise CheckFailedError(text)


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def write_json(path: Path, content: Any) -> None:
    """Writes a file that is never seen half written."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
