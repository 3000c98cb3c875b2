"""torchvision's official weights, downloaded once, and read only if their hash is the published one."""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from ..core.errors import CheckpointError


def download_official(builder: str, version: str = "DEFAULT") -> tuple[dict[str, Tensor], str]:
    """Reads torchvision's official weights from torch.hub's cache; downloads them if necessary.

    Args:
        builder: of the network, such as ``resnet18``.
        version: of the weights, such as ``IMAGENET1K_V1``.

    Returns:
        The tensors and their URL.

    Raises:
        CheckpointError: they cannot be downloaded, or the file in the cache is damaged.
    """
    weights = getattr(get_model_weights(builder), version)
    url: str = weights.url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if cached.exists() and not _hash_fits_name(cached):
        raise CheckpointError(f"the official weights in {cached} are damaged; delete the file and try again")
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, HTTPException, RuntimeError) as error:
        if cached.exists():
            raise  # the file was read and is the published one, so it is not damaged
        raise CheckpointError(
            f"cannot download the official weights from {url} ({error}); with no network, fetch "
            f"{cached.name} elsewhere and place it at {cached}"
        ) from error
    return dict(state), url


def _hash_fits_name(path: Path) -> bool:
    """Returns True if the file's SHA-256 starts with the digits at the end of its name, as in torch.hub."""
    return hashlib.sha256(path.read_bytes()).hexdigest().startswith(path.stem.rpartition("-")[2])
