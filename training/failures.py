"""What ends a training that had begun, told in one line: with what to change, and what is kept."""

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
def told(kept: Callable[[], str] = str) -> Iterator[None]:
    """Turns what a library raises for want of memory, workers or a compiler into one line.

    Args:
        kept: says what of the training is kept, which closes every message; nothing where it gives an empty text.

    Raises:
        TrainingError: memory ran out, a loading process died, or torch.compile failed.
        DataError, OutputError: as they came, with what is kept. Anything else passes.
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
    """What happened and what to do; empty where this is no failure that a user can mend."""
    text = str(error)
    if _is_compilers(error):
        first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
        return f"torch.compile failed ({first.strip()}); leave --compile out, or install a C++ compiler"
    if "DataLoader worker" in text:
        return (
            "a process that loads pictures was killed, as happens where memory runs out; use fewer --workers, "
            "or --workers 0"
        )
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in text for part in _NO_MEMORY):
        return "memory ran out; use a smaller --batch-size or --crop, or --amp bf16"
    return ""


def _is_compilers(error: Exception) -> bool:
    """Whether torch.compile raised it. Its errors share a base class in a module that plain training never loads."""
    return any(base.__name__ == "TorchDynamoException" for base in type(error).__mro__)


def check_loss(loss: float, where: str, learning_rate: float, amp: str) -> None:
    """Stops a training whose loss is no number: every weight it touched is lost.

    Raises:
        TrainingError: the loss is not finite.
    """
    if math.isfinite(loss):
        return
    raise TrainingError(f"the loss is {loss} {where}: {_advice(learning_rate, amp)}")


def check_weights(network: nn.Module, where: str, learning_rate: float, amp: str) -> None:
    """Stops a training before weights that are no numbers are written.

    Raises:
        TrainingError: one of them is not finite; the message names the first.
    """
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise TrainingError(f"{key} is not finite {where}: {_advice(learning_rate, amp)}")


def _advice(learning_rate: float, amp: str) -> str:
    precision = "" if amp == "off" else f", or train in full precision with --amp off (now {amp})"
    return f"lower --learning-rate (now {learning_rate:g}){precision}"
