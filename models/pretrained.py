"""Weights by name: shipped ones, torchvision's official ones, fresh random ones, or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from ..core.errors import CheckpointError, ModelError
from ..core.labels import VOC_NAMES, LabelMap, voc_labels
from . import registry
from .base import SegmentationNetwork
from .checkpoint import PICKLE_SUFFIXES, Checkpoint, CheckpointInfo, load_checkpoint
from .foreign import read_weights
from .initialisation import calibrate_batch_norm
from .official import download_official
from .starting import whole_state

_SHIPPED = Path(__file__).parent / "weights"
_DEFAULT = "aerial"
_VOC_CLASSES = len(VOC_NAMES)
_VOC_SIZE_HW = (520, 520)  # torchvision's evaluation size
_RANDOM_SIZE_HW = (512, 512)
_CALIBRATION_SIZE_HW = (256, 256)
_AUX_PREFIX = "aux_classifier."


def resolve_weights(
    architecture: str,
    weights: str,
    num_classes: int | None = None,
    arguments: Mapping[str, object] | None = None,
    *,
    seed: int = 0,
    labels: LabelMap | None = None,
) -> Checkpoint:
    """Turns the name of some weights into a checkpoint.

    Args:
        architecture: a registered name.
        weights: the name of shipped weights (for lraspp ``aerial``, ``camvid``, and both with ``-mobilenet``),
            ``voc`` (torchvision's official ones, downloaded once), ``random``, or the path of a file: a checkpoint,
            or with ``labels`` any weights of the whole network.
        num_classes: refused if the weights have another number of classes. For ``random`` it sets that number; the
            default is 21, with PASCAL VOC's names.
        arguments: the architecture's own options. Weights that store theirs refuse others.
        seed: of ``random``. Kernels are drawn from it, and every batch normalization is measured on seeded
            noise, so that activations stay in range of float16 and logits depend on the image.
        labels: the classes of weights from elsewhere, in the order of their logits; not allowed for other weights.

    Raises:
        ModelError: unknown architecture or option.
        CheckpointError: unknown weights, a class count or options that do not fit, an unreadable file, or
            ``voc`` without a network connection.
    """
    given = arguments or {}
    chosen = registry.check_options(architecture, given)
    if labels is not None:
        return _elsewhere(architecture, weights, num_classes, given, labels)
    if weights == "random":
        return _random(architecture, num_classes, given, seed)
    if weights == "voc":
        _check_count(weights, _VOC_CLASSES, num_classes)
        return _official(architecture, given)
    checkpoint = _from_file(architecture, _locate(architecture, weights))
    _check_count(weights, len(checkpoint.info.labels), num_classes)
    trained = registry.check_options(architecture, checkpoint.info.arguments)
    for key in given:
        if chosen[key] != trained[key]:
            raise CheckpointError(
                f"the weights {weights!r} are of a network with {key} {trained[key]!r}, not {chosen[key]!r}; "
                "leave that option out"
            )
    return checkpoint


def available_weights(architecture: str) -> tuple[str, ...]:
    """Returns the names that ``resolve_weights`` knows for an architecture: shipped ones, ``voc``, ``random``.

    Raises:
        ModelError: unknown architecture.
    """
    voc = ("voc",) if registry.spec(architecture).official else ()
    return (*_shipped(architecture), *voc, "random")


def shipped_path(name: str) -> Path | None:
    """Returns the file of shipped weights by its name; None if there is none.

    Args:
        name: such as ``lraspp-aerial``, or ``aerial`` if it belongs to one network alone.
    """
    named = [
        path
        for path in sorted(_SHIPPED.glob("*.safetensors"))
        if name in (path.stem, path.stem.partition("-")[2])
    ]
    return named[0] if len(named) == 1 else None


def shipped_calibration(architecture: str, weights: str) -> Path | None:
    """Returns the file of INT8 ranges and plans that ships with weights; None if there is none."""
    path = _SHIPPED / f"{architecture}-{weights}.calibration.json"
    return path if os.path.exists(path) else None


def default_weights(architecture: str) -> str:
    """Returns the default weights of an architecture.

    Raises:
        ModelError: no weights ship for it; the message names what to pass.
    """
    known = available_weights(architecture)
    if _DEFAULT in known:
        return _DEFAULT
    options = " or ".join(f"--weights {name}" for name in (*known, "FILE.safetensors"))
    raise ModelError(f"no weights ship as the default of {architecture}: pass {options}")


def official_builder(architecture: str, arguments: Mapping[str, object]) -> str:
    """Returns the name of torchvision's builder whose official VOC weights fit these options; empty if there is none.

    Example:
        >>> official_builder("deeplabv3", {"backbone": "resnet50"})
        'deeplabv3_resnet50'
    """
    from torchvision.models import list_models

    chosen = registry.check_options(architecture, arguments)
    if chosen.get("fine_skip"):
        return ""
    builder = registry.spec(architecture).official.format(**chosen)
    return builder if builder in list_models() else ""


def _shipped(architecture: str) -> dict[str, Path]:
    files = sorted(_SHIPPED.glob(f"{architecture}-*.safetensors"), key=lambda file: file.stem)
    return {file.stem.removeprefix(f"{architecture}-"): file for file in files}


def _locate(architecture: str, weights: str) -> Path:
    shipped = _shipped(architecture)
    if weights in shipped:
        return shipped[weights]
    path = Path(weights)
    if path.suffix or os.path.exists(path):
        return path
    known = ", ".join(available_weights(architecture))
    raise CheckpointError(
        f"unknown weights {weights!r} for {architecture}; known: {known}, or the path of a .safetensors file"
    )


def _from_file(architecture: str, path: Path) -> Checkpoint:
    if path.suffix in PICKLE_SUFFIXES and os.path.exists(path):
        raise CheckpointError(
            f"{path} does not say which classes its logits are: add --labels labelmap.txt, a line name:r,g,b:: a class "
            "in their order"
        )
    checkpoint = load_checkpoint(path)
    if checkpoint.info.architecture != architecture:
        raise CheckpointError(
            f"{path} holds weights of {checkpoint.info.architecture}, not of {architecture}"
        )
    return checkpoint


def _elsewhere(
    architecture: str,
    weights: str,
    num_classes: int | None,
    arguments: Mapping[str, object],
    labels: LabelMap,
) -> Checkpoint:
    """Returns a checkpoint of weights from elsewhere; they must have the whole network."""
    path = Path(weights)
    if weights == "random" or weights in available_weights(architecture):
        raise CheckpointError(f"the weights {weights!r} have their own classes; leave --labels out")
    found = read_weights(path)
    if found.info is not None:
        raise CheckpointError(f"{path} is a checkpoint of edgeseg, with its own classes; leave --labels out")
    _check_count(weights, len(labels), num_classes)
    with torch.device("meta"):
        network = registry.build(architecture, len(labels), arguments)
    state, _ = whole_state(network, architecture, arguments, found)
    info = CheckpointInfo(
        architecture=architecture,
        labels=labels,
        input_size_hw=_fitting(network, _RANDOM_SIZE_HW),
        arguments=dict(arguments),
        mean=network.mean,
        std=network.std,
        recipe={"weights": path.name},
    )
    return Checkpoint(info, state)


def _check_count(weights: str, own: int, wanted: int | None) -> None:
    if wanted not in (None, own):
        raise CheckpointError(
            f"the weights {weights!r} tell {own} classes apart, not {wanted}; leave the class count out, or "
            "train the network on your own classes"
        )


def _random(
    architecture: str, num_classes: int | None, arguments: Mapping[str, object], seed: int
) -> Checkpoint:
    count = _VOC_CLASSES if num_classes is None else num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = registry.build(architecture, count, arguments)
    calibrate_batch_norm(network, _fitting(network, _CALIBRATION_SIZE_HW), seed)
    info = CheckpointInfo(
        architecture=architecture,
        labels=voc_labels() if count == _VOC_CLASSES else LabelMap.generic(count),
        input_size_hw=_fitting(network, _RANDOM_SIZE_HW),
        arguments=dict(arguments),
        mean=network.mean,
        std=network.std,
        recipe={"initialisation": "random", "seed": seed},
    )
    return Checkpoint(info, network.state_dict())


def _fitting(network: SegmentationNetwork, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Returns the first square size, from this one upwards, at which the network can be deployed."""
    for more in range(256):
        candidate = (size_hw[0] + more, size_hw[1] + more)
        try:
            network.check_input_size(candidate)
        except ModelError as error:
            refusal = error
        else:
            return candidate
    raise refusal


def _official(architecture: str, arguments: Mapping[str, object]) -> Checkpoint:
    builder = official_builder(architecture, arguments)
    if not builder:
        with_options = " with these options" if registry.spec(architecture).official else ""
        known = [name for name in available_weights(architecture) if name != "voc"]
        raise CheckpointError(
            f"there are no official VOC weights for {architecture}{with_options}; known: {', '.join(known)}, "
            "or the path of a .safetensors file"
        )
    with torch.device("meta"):
        network = registry.build(architecture, _VOC_CLASSES, arguments)
    state, source = download_official(builder)
    if not any(key.startswith(_AUX_PREFIX) for key in network.state_dict()):
        # The official files contain the auxiliary head, which a network may be built without.
        state = {key: value for key, value in state.items() if not key.startswith(_AUX_PREFIX)}
    info = CheckpointInfo(
        architecture=architecture,
        labels=voc_labels(),
        input_size_hw=_VOC_SIZE_HW,
        arguments=dict(arguments),
        recipe={"initialisation": "torchvision", "source": source},
    )
    return Checkpoint(info, state)
