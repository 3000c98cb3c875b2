"""The saved state with which a killed run resumes to the same result: weights, averages, optimizer, in safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import CheckpointError
from ..models.checkpoint import load_tensors, save_tensors

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
        network, average, optimizer: in their current state.
        progress: the rest of the state, as JSON: epochs done, the best figure, …
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


@dataclass(frozen=True)
class SavedState:
    """A state that was read: its tensors and its progress.

    Attributes:
        path: of the file, for messages.
        progress: as it was given to :func:`save_state`.
    """

    path: Path
    progress: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def load_into(self, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Restores the state.

        Raises:
            CheckpointError: it belongs to another network or optimizer.
        """
        slots: dict[int, dict[str, Tensor]] = {}
        try:
            network.load_state_dict(_under("network.", self.tensors))
            average.load_state_dict(_under("average.", self.tensors))
            for key, value in _under("optimizer.", self.tensors).items():
                index, name = key.split(".")
                slots.setdefault(int(index), {})[name] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": slots, "param_groups": groups})
        except (RuntimeError, ValueError, KeyError) as error:
            first = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{self.path} is the state of another network or recipe: {first}"
            ) from error


def read_state(path: Path) -> SavedState:
    """Reads a file of :func:`save_state`.

    Raises:
        CheckpointError: the file is missing, truncated or something else.
    """
    tensors, metadata = load_tensors(path)
    if _KEY not in metadata:
        raise CheckpointError(f"{path} is not the state of a training run")
    try:
        progress = json.loads(metadata[_KEY])
        int(progress["epochs_done"]), float(progress["best_miou"]), float(progress["val_miou"] or 0)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is malformed ({error!r}); start again in another --out") from error
    return SavedState(path, progress, tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
