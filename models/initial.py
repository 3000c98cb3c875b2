"""The weights that ``--init`` names: ImageNet's, shipped ones, official ones, or any file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import CheckpointError
from .checkpoint import Checkpoint, load_checkpoint
from .foreign import Weights, read_weights
from .imagenet import imagenet_weights
from .pretrained import available_weights, resolve_weights, shipped_path

_IMAGENET, _VOC, _RANDOM = "imagenet", "voc", "random"


def initial_weights(architecture: str, arguments: Mapping[str, object], name: str) -> Weights:
    """Reads weights to start a training from.

    Args:
        architecture, arguments: the network to train, as in the registry.
        name: ``imagenet``, the name of weights that ship for this network, ``voc``, or the path of a file.

    Raises:
        CheckpointError: unknown weights, an unreadable file, or official ones that cannot be downloaded.
        MissingDependencyError: they come with a package that is not installed.
        ModelError: unknown network or options.
    """
    if name == _IMAGENET:
        return imagenet_weights(architecture, arguments)
    known = [each for each in available_weights(architecture) if each != _RANDOM]
    if name == _VOC and _VOC in known:
        return _of(resolve_weights(architecture, _VOC, arguments=arguments), name)
    shipped = shipped_path(f"{architecture}-{name}") if name in known else None
    if shipped is not None:
        return _of(load_checkpoint(shipped), name)
    path = file_of(name)
    if path is None:
        raise CheckpointError(
            f"unknown weights {name!r} to start {architecture} from; known: {', '.join([_IMAGENET, *known])}, or "
            "the path of a .safetensors, .pth, .pt or .ckpt file"
        )
    return read_weights(path)


def file_of(name: str) -> Path | None:
    """Returns the path that ``--init`` names; None if it names no file."""
    path = Path(name)
    return path if path.suffix or os.sep in name or os.path.exists(path) else None


def _of(checkpoint: Checkpoint, name: str) -> Weights:
    return Weights(checkpoint.state, f"the weights {name!r}", checkpoint.info.labels.names, checkpoint.info)
