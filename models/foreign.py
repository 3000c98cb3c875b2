"""Weights from elsewhere: PyTorch's own files and safetensors, read so that no file can run code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from packaging.version import Version
from torch import Tensor

from ..core.errors import CheckpointError
from ..core.files import open_regular
from .checkpoint import HEAD_BYTES, CheckpointInfo, as_checkpoint, is_checkpoint, is_pickle, load_tensors

SOUND = "2.10"
"""The first PyTorch whose loader of plain tensors is safe for files from any source."""

_WRAPS = ("state_dict", "model", "model_state_dict", "model_state", "net", "network", "weights")
_MOST_WRAPS = 3
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Weights:
    """Tensors to start from, with what is known about them.

    Attributes:
        state: the tensors by their names in the file, floats in float32.
        source: their name in messages.
        classes: the names of their classes, in order; None if unknown.
        info: the description, if they are a checkpoint of edgeseg.
    """

    state: Mapping[str, Tensor]
    source: str
    classes: tuple[str, ...] | None = None
    info: CheckpointInfo | None = None


def read_weights(path: Path, sha256: str = "") -> Weights:
    """Reads a file of weights: of edgeseg, any safetensors, or a file of ``torch.save``.

    Args:
        path: the file. A state dict may be in it under ``state_dict`` or ``model``.
        sha256: the known digest, which is compared first. A file that matches is the published one, and any version of
            PyTorch may read it.

    Raises:
        CheckpointError: it is missing, damaged, of another form, holds more than tensors, or needs a newer PyTorch.
    """
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    if not is_pickle(path, head):
        state, metadata = load_tensors(path)
        if is_checkpoint(metadata):
            checkpoint = as_checkpoint(path, state, metadata)
            return Weights(checkpoint.state, str(path), checkpoint.info.labels.names, checkpoint.info)
        return Weights(_floats(state), str(path))
    if sha256:
        _check_hash(path, sha256)
    else:
        _check_sound(path)
    content = _unpickle(path)
    return Weights(_tensors(content, path), str(path), _classes(content))


def _check_hash(path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise CheckpointError(f"{path} is damaged: its bytes are not the published ones; install it again")


def _check_sound(path: Path) -> None:
    if Version(torch.__version__).release < Version(SOUND).release:
        raise CheckpointError(
            f"{path} is a pickle, and PyTorch {torch.__version__} does not read those safely: install torch>={SOUND}, "
            f"or convert it where you have that, with {_conversion(path)}"
        )


def _conversion(path: Path) -> str:
    """Returns the line that turns a state dict into safetensors."""
    return (
        f'python -c "import sys, torch; from safetensors.torch import save_file; c = torch.load(sys.argv[1], '
        "map_location='cpu', weights_only=True); c = c.get('state_dict', c.get('model', c)); "
        'save_file({k: v.clone() for k, v in c.items() if torch.is_tensor(v)}, sys.argv[2])" '
        f"{path} {path.with_suffix('.safetensors')}"
    )


def _unpickle(path: Path) -> object:
    try:
        with open_regular(path) as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # the unpickler may raise any error, depending on the file
        text = str(error)
        if "weights_only" in text or "Unsupported" in text:
            raise CheckpointError(
                f"{path} holds more than tensors, which could run code when read ({_named(text)}); where you trust it, "
                "load it yourself and keep its state dict alone, with safetensors.torch.save_file"
            ) from error
        first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
        raise CheckpointError(f"{path} is damaged or no file of weights ({first}); fetch it again") from error


def _named(text: str) -> str:
    """Returns the part of PyTorch's refusal that names the refused object."""
    match = re.search(r"(?:GLOBAL|Unsupported class) (\S+)", text)
    return match[1].rstrip(",.") if match else "an object"


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    for _ in range(_MOST_WRAPS):
        inner = _inner(content)
        if inner is None:
            break
        content = inner
    state = content if isinstance(content, Mapping) else {}
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(
            f"{path} holds no tensors by name; expected a state dict, or one under {' or '.join(_WRAPS[:2])}"
        )
    return _floats(tensors)


def _inner(content: object) -> object | None:
    if not isinstance(content, Mapping):
        return None
    return next((content[key] for key in _WRAPS if isinstance(content.get(key), Mapping)), None)


def _floats(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns only the plain tensors; those of half or double precision in float32."""
    return {
        key: (value.detach().float() if value.is_floating_point() else value.detach())
        for key, value in state.items()
        if value.layout is torch.strided and not value.is_quantized
    }


def _classes(content: object) -> tuple[str, ...] | None:
    """Returns the names of the classes, as mmsegmentation stores them in a checkpoint."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return None
    described = meta.get("dataset_meta")
    found = described.get("classes") if isinstance(described, Mapping) else meta.get("CLASSES")
    if isinstance(found, list | tuple) and all(isinstance(name, str) for name in found):
        return tuple(found)
    return None
