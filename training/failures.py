"""Failures of a running training as one-line errors: the cause, the remedy, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import torch
from torch import nn

from ..core.errors import DataError, OutputError, TrainingError

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "Insufficient memory")


@contextmanager
def explained_failures(kept: Callable[[], str] = str) -> Iterator[None]:
    """Turns a library's errors about memory, workers or a compiler into one line.

    Args:
        kept: returns what is kept of the training, for the end of every message; an empty text adds nothing.

    Raises:
        TrainingError: memory ran out, a loading process died, or torch.compile failed.
        DataError, OutputError: as raised, with what is kept. Other errors pass unchanged.
    """
    try:
        yield
    except (DataError, OutputError, TrainingError) as error:
        raise type(error)(_closed(str(error), kept())) from error
    except (MemoryError, cv2.error, RuntimeError) as error:
        cause = _cause(error)
        if not cause:
            raise
        raise TrainingError(_closed(cause, kept())) from error


def _closed(message: str, kept: str) -> str:
    return f"{message}; {kept}" if kept else message


def _cause(error: Exception) -> str:
    """Returns the cause and the remedy; empty if the user cannot correct the failure."""
    text = str(error)
    if _is_compilers(error):
        first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
        return f"torch.compile failed ({first.strip()}); leave --compile out, or install a C++ compiler"
    if "DataLoader worker" in text:
        return (
            "a process that loads images was killed, as happens where memory runs out; use fewer --workers, "
            "or --workers 0"
        )
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in text for part in _NO_MEMORY):
        return "memory ran out; use a smaller --batch-size or --crop, or --amp bf16"
    return ""


def _is_compilers(error: Exception) -> bool:
    """True if torch.compile raised it. The errors' base class is in a module that plain training never loads."""
    return any(base.__name__ == "TorchDynamoException" for base in type(error).__mro__)


def check_loss(loss: float, where: str, learning_rate: float, amp: str) -> None:
    """Stops a training if the loss is not finite: every weight that it changed is lost.

    Raises:
        TrainingError: the loss is not finite.
    """
    if math.isfinite(loss):
        return
    raise TrainingError(f"the loss is {loss} {where}: {_advice(learning_rate, amp)}")


def check_weights(network: nn.Module, where: str, learning_rate: float, amp: str) -> None:
    """Stops a training before weights that are not finite are written.

    Raises:
        TrainingError: a weight is not finite; the message names the first.
    """
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise TrainingError(f"{key} is not finite {where}: {_advice(learning_rate, amp)}")


def _advice(learning_rate: float, amp: str) -> str:
    precision = "" if amp == "off" else f", or train in full precision with --amp off (now {amp})"
    return f"lower --learning-rate (now {learning_rate:g}){precision}"
