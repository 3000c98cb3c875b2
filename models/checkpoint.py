"""Checkpoints: weights in safetensors, with everything that is needed to use them in the metadata. Never pickle."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor

from ..core.errors import CheckpointError, DataError, OutputError
from ..core.files import open_regular
from ..core.labels import LabelMap
from ..core.outputs import check_output, discard, replacing
from . import registry
from .base import IMAGENET_MEAN, IMAGENET_STD, SegmentationNetwork

_KEY = "edgeseg"
_SCHEMA = 1
_LENGTH_BYTES = 8
HEAD_BYTES = _LENGTH_BYTES + 1
"""The bytes that distinguish a safetensors file from a pickle."""
PICKLE_SUFFIXES = (".pth", ".pt", ".ckpt", ".pkl")


@dataclass(frozen=True)
class CheckpointInfo:
    """The description that is stored with the weights.

    Attributes:
        architecture: name in the registry.
        arguments: the architecture's own options.
        labels: the classes, in order of their ids.
        input_size_hw: the input size (H, W) of the training.
        mean, std: RGB normalization of images scaled to 0..1.
        recipe: the training: command, seed, data, epochs, …
        metrics: the measured figures, by data set.
    """

    architecture: str
    labels: LabelMap
    input_size_hw: tuple[int, int]
    arguments: Mapping[str, object] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    recipe: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: its description and its tensors in float32."""

    info: CheckpointInfo
    state: Mapping[str, Tensor]

    def build(self) -> SegmentationNetwork:
        """Builds the network in evaluation mode and loads the weights.

        Raises:
            CheckpointError: the tensors do not fit the file's architecture.
        """
        network = registry.build(self.info.architecture, len(self.info.labels), self.info.arguments)
        load_state(network, self.state, source=f"the {self.info.architecture} checkpoint")
        return network.eval()


def load_state(network: torch.nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Loads tensors, all of which must match.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of another shape; the message names the first.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    misfit = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or extra or misfit:
        parts = []
        if misfit:
            key = misfit[0]
            parts.append(f"{key} is {list(state[key].shape)} where the network has {list(own[key].shape)}")
        if missing:
            parts.append(f"{len(missing)} tensors are missing ({missing[0]} …)")
        if extra:
            parts.append(f"{len(extra)} are not of this network ({extra[0]} …)")
        raise CheckpointError(f"{source} does not fit the network: {'; '.join(parts)}")
    network.load_state_dict(dict(state))


def save_checkpoint(
    path: Path, network: torch.nn.Module, info: CheckpointInfo, *, half: bool = False
) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: ends in ``.safetensors``.
        network: its state dict is stored.
        info: its description.
        half: store matrices and kernels in float16. Vectors, such as batch-norm statistics, stay float32, and so do
            tensors that float16 cannot hold.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors = {
        key: (_halved(value) if half and value.is_floating_point() and value.ndim > 1 else value)
        .contiguous()
        .cpu()
        for key, value in network.state_dict().items()
    }
    metadata = {_KEY: json.dumps({"schema": _SCHEMA, **_encode(info)}, sort_keys=True)}
    save_tensors(path, tensors, metadata)


def _halved(value: Tensor) -> Tensor:
    """Returns the tensor in float16, or unchanged if its largest numbers would become infinite."""
    half = value.half()
    return half if bool(torch.isfinite(half).all()) else value


def load_checkpoint(path: Path, data: bytes | None = None) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: the file.
        data: its bytes, if they were already read and checked; then the file is not opened again.

    Raises:
        CheckpointError: the file is missing, truncated, a pickle, or not a checkpoint of edgeseg.
    """
    state, metadata = load_tensors(path) if data is None else parse_tensors(path, data)
    return as_checkpoint(path, state, metadata)


def is_checkpoint(metadata: Mapping[str, str]) -> bool:
    """Returns True if the metadata of a safetensors file is that of a checkpoint of edgeseg."""
    return _KEY in metadata


def as_checkpoint(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    """Makes a checkpoint of the content of a safetensors file.

    Args:
        path: the file, for the messages.
        state, metadata: as :func:`load_tensors` gives them.

    Raises:
        CheckpointError: the file is not a checkpoint of edgeseg.
    """
    if not is_checkpoint(metadata):
        raise CheckpointError(
            f"{path} is a safetensors file, but not a checkpoint of edgeseg: it has no description; `edgeseg export` "
            "takes it with --labels labelmap.txt, `edgeseg train` with --init"
        )
    try:
        info = _decode(json.loads(metadata[_KEY]))
    except (DataError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, DataError) else repr(error)
        raise CheckpointError(
            f"the description in {path} is malformed ({reason}); save it again with edgeseg"
        ) from error
    return Checkpoint(info, {k: v.float() if v.dtype == torch.float16 else v for k, v in state.items()})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors to a safetensors file atomically: a reader sees the old file or the new one, never a part.

    Raises:
        OutputError: the file may not be written, the folder cannot be made, or the disk is full.
    """
    check_output(path)
    with replacing(path) as partial:
        try:
            save_file(dict(tensors), partial, dict(metadata))
            os.chmod(partial, 0o644)
        except SafetensorError as error:
            discard(partial)
            raise OutputError(f"cannot write {path}: {error}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads the tensors and metadata of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated or of another format.
    """
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    _refuse_pickle(path, head)
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _not_read(path, error) from error


def parse_tensors(path: Path, data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and metadata from the bytes of a safetensors file.

    Args:
        path: the file, for the messages.
        data: the whole content.

    Raises:
        CheckpointError: it is truncated or of another format.
    """
    _refuse_pickle(path, data[:HEAD_BYTES])
    try:
        tensors = load(data)
        length = int.from_bytes(data[:_LENGTH_BYTES], "little")
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except (SafetensorError, ValueError) as error:
        raise _not_read(path, error) from error
    return tensors, dict(header.get("__metadata__", {}))


def is_pickle(path: Path, head: bytes) -> bool:
    """Returns True if a file is, or claims to be, a file of ``torch.save``.

    A safetensors file begins with the length of its description, which may be any number, followed by the description.

    Args:
        path: the file.
        head: its first ``HEAD_BYTES`` bytes.
    """
    if head[:4] != b"PK\x03\x04" and head[_LENGTH_BYTES:] == b"{":
        return False
    return head[:1] == b"\x80" or head[:4] == b"PK\x03\x04" or path.suffix in PICKLE_SUFFIXES


def _refuse_pickle(path: Path, head: bytes) -> None:
    if is_pickle(path, head):
        raise CheckpointError(
            f"{path} is a pickle, which can run code when read; edgeseg reads .safetensors only. "
            "If you trust it, load it yourself, and save it with safetensors.torch.save_file"
        )


def _not_read(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or not a safetensors file ({error}); fetch or save it again")


def _encode(info: CheckpointInfo) -> dict[str, object]:
    encoded = {key: value for key, value in asdict(info).items() if key != "labels"}
    encoded["labels"] = [[label.name, list(label.rgb)] for label in info.labels.labels]
    return encoded


def _decode(raw: Mapping[str, object]) -> CheckpointInfo:
    values: dict[str, Any] = dict(raw)
    schema = values.pop("schema")
    if schema != _SCHEMA:
        raise ValueError(f"schema {schema}, expected {_SCHEMA}; update edgeseg")
    values["labels"] = LabelMap.from_pairs(_checked(values["labels"], list, "labels"))
    for key, length, low in (("input_size_hw", 2, 1.0), ("mean", 3, -math.inf), ("std", 3, 1e-6)):
        numbers = tuple(_checked(values[key], list, key))
        if len(numbers) != length or not all(
            low <= _checked(n, (int, float), key) < math.inf for n in numbers
        ):
            raise ValueError(f"{key} is {numbers}")
        values[key] = tuple(int(n) for n in numbers) if key == "input_size_hw" else numbers
    _checked(values["architecture"], str, "architecture")
    for key in ("arguments", "recipe", "metrics"):
        _checked(values.get(key, {}), dict, key)
    for figures in values.get("metrics", {}).values():
        _checked(figures, dict, "metrics")
    return CheckpointInfo(**values)


def _checked(value: Any, kind: type | tuple[type, ...], name: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r:.100}")
    return value
