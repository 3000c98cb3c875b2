"""What a killed run needs to go on to the same result: weights, averages and optimizer, in safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.checkpoint import load_tensors, save_tensors
from ..runtime.errors import CheckpointError

_KEY = "edgeseg-training"


def save_state(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Mapping[str, object],
) -> None:
    """Writes the state after a whole epoch, atomically.

    Args:
        path: ends in ``.safetensors``.
        network, average, optimizer: as they stand.
        progress: what else to remember, as JSON: epochs done, the best figure, …
    """
    tensors = {f"network.{key}": value.contiguous() for key, value in network.state_dict().items()}
    tensors |= {f"average.{key}": value.contiguous() for key, value in average.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if value is not None:
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value).contiguous()
    save_tensors(
        path, {key: value.detach().cpu() for key, value in tensors.items()}, {_KEY: json.dumps(progress)}
    )


def load_state_into(
    path: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, object]:
    """Puts a saved state back, and returns the ``progress`` it was saved with.

    Raises:
        CheckpointError: the file is missing, truncated, or of another network or recipe.
    """
    tensors, metadata = load_tensors(path)
    if _KEY not in metadata:
        raise CheckpointError(f"{path} is not the state of a training run")
    try:
        network.load_state_dict(_under("network.", tensors))
        average.load_state_dict(_under("average.", tensors))
        saved = optimizer.state_dict()
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _under("optimizer.", tensors).items():
            index, name = key.split(".")
            slots.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": slots, "param_groups": saved["param_groups"]})
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is the state of another network or recipe: {error}") from error
    progress: dict[str, object] = json.loads(metadata[_KEY])
    return progress


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
