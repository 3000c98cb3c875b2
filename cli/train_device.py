"""The device and the precision of a training, from ``--gpu``, ``--device`` and ``--amp``."""

from __future__ import annotations

import os
from typing import Any

import torch

from ..core.errors import UsageError

_NO_GPU = "use --device cpu, or install the GPU's driver"


def choose_device(name: str | None, gpu: int | None) -> torch.device:
    """Returns the device to train on.

    Under torchrun, each process takes the GPU with its own number, unless ``name`` has one.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``; None is ``auto``.
        gpu: the number of a GPU, or None.

    Raises:
        UsageError: both name a device, or there is no such device.
    """
    if gpu is None:
        return _by_name("auto" if name is None else name)
    if name is not None:
        raise UsageError(f"--gpu {gpu} and --device {name} both name the device; give one of them")
    if gpu < 0:
        raise UsageError(f"--gpu {gpu}: expected the number of a GPU, from 0")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        raise UsageError(
            f"--gpu {gpu} names one GPU for {processes} processes; leave it out: each takes its own"
        )
    return _gpu(f"--gpu {gpu}", gpu)


def _by_name(name: str) -> torch.device:
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    kind, _, number = ("cuda" if name == "auto" else name).partition(":")
    if kind not in ("cpu", "cuda") or (number and not (number.isascii() and number.isdecimal())):
        raise UsageError(f"--device {name}: expected cpu, cuda, cuda:N or auto")
    if kind == "cpu":
        return torch.device("cpu")
    if number:
        return _gpu(f"--device {name}", int(number))
    own = os.environ.get("LOCAL_RANK", "") if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
    if own:
        return _gpu(f"--device {name}, process {own} of this machine", int(own))
    if not torch.cuda.is_available():
        raise UsageError(f"--device {name}: torch finds no CUDA device here; {_NO_GPU}")
    return torch.device("cuda")


def _gpu(option: str, number: int) -> torch.device:
    if not torch.cuda.is_available():
        raise UsageError(f"{option}: torch finds no CUDA device here; {_NO_GPU}")
    count = torch.cuda.device_count()
    if number >= count:
        there = ", ".join(f"{each} ({torch.cuda.get_device_name(each)})" for each in range(count))
        raise UsageError(f"{option}: there is no such GPU; torch finds {there}")
    return torch.device("cuda", number)


def choose_amp(choice: str, device: torch.device) -> Any:
    """Returns the precision of autocast. ``auto`` is bf16 if the hardware multiplies it: emulation would be slower.

    Args:
        choice: ``auto``, ``off``, ``bf16`` or ``fp16``.
        device: computes the training.
    """
    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capable = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16" if capable else "off"
