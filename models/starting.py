"""The start of a network from weights: its own, a classifier's, the previous stage's, or any with the same layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import CheckpointError
from . import registry
from .base import SegmentationNetwork
from .foreign import Weights
from .foreign_names import readings

_STAGE_BEFORE = {"fcn16s": "fcn32s", "fcn8s": "fcn16s"}
_SHOWN = 4
_ENOUGH = 0.5
"""The share of a trunk's kernels that must be loaded. With less it is another network that matches by chance."""


@dataclass(frozen=True)
class Started:
    """The outcome of loading weights.

    Attributes:
        loaded: own keys that were loaded completely.
        fresh: own keys that stayed fresh, at least in part.
        skipped: the file's keys that the network does not have.
        classes: the classes whose rows were copied, by name; None if the file's classes are not known.
        new_classes: the classes that start fresh.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    skipped: tuple[str, ...]
    classes: tuple[str, ...] | None
    new_classes: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} of {len(self.loaded) + len(self.fresh)} tensors loaded"]
        if self.classes is None:
            parts.append("the head's classes start afresh, because the file does not name its own")
        elif self.new_classes:
            taken = ", ".join(self.classes) or "none"
            parts.append(f"classes taken over by name: {taken}; fresh: {', '.join(self.new_classes)}")
        if self.fresh:
            parts.append(f"fresh tensors: {_some(self.fresh)}")
        if self.skipped:
            parts.append(f"skipped: {_some(self.skipped)}")
        return "; ".join(parts)


@dataclass(frozen=True)
class _Slot:
    """One tensor of the network, and its axes of classes."""

    value: Tensor
    class_axes: tuple[int, ...]

    def takes(self, other: Tensor) -> bool:
        """Returns True if another tensor has its shape, apart from the number of classes."""
        if self.value.ndim == 4 and other.ndim == 2:  # a convolution that was a linear layer in the file
            return self.value.shape[0] == other.shape[0] and self.value.numel() == other.numel()
        return self.value.ndim == other.ndim and all(
            axis in self.class_axes or own == its
            for axis, (own, its) in enumerate(zip(self.value.shape, other.shape, strict=True))
        )


def start_from(
    network: SegmentationNetwork,
    architecture: str,
    arguments: Mapping[str, object],
    classes: Sequence[str],
    weights: Weights,
) -> Started:
    """Loads weights as the start of a training.

    Tensors are found by the network's own names, or by the names of the same layers in torchvision, timm,
    segmentation_models.pytorch and mmsegmentation. In tensors that depend on the classes, the rows of classes with the
    same name are copied, and the others stay fresh. FCN-16s starts from FCN-32s and FCN-8s from FCN-16s as in the
    paper.

    Args:
        network: fresh; changed in place, with its normalization if the weights store theirs.
        architecture, arguments: the network, as in the registry.
        classes: the names of the network's classes.
        weights: to start from.

    Raises:
        CheckpointError: less than half of the trunk's kernels would be loaded.
    """
    slots = _slots(network, architecture, arguments)
    fits = _best_reading(slots, weights.state)
    _check_share(network, slots, set(fits.values()), architecture, weights)
    state = {key: slot.value.clone() for key, slot in slots.items()}
    rows = _rows(classes, weights.classes)
    fresh = set(slots) - set(fits.values())
    for theirs, own in fits.items():
        slot, value = slots[own], weights.state[theirs]
        if not slot.class_axes:
            state[own] = value.reshape(slot.value.shape).to(slot.value.dtype)
        elif not _take_rows(state[own], value, slot.class_axes, rows, len(weights.classes or ())):
            fresh.add(own)
    _load(network, architecture, state, weights)
    if weights.info is not None:
        network.mean, network.std = weights.info.mean, weights.info.std
    known = None if weights.classes is None else tuple(classes[ours] for ours, _ in rows)
    return Started(
        loaded=tuple(key for key in slots if key not in fresh),
        fresh=tuple(key for key in slots if key in fresh),
        skipped=tuple(key for key in weights.state if key not in fits),
        classes=known,
        new_classes=tuple(name for name in classes if name not in (known or ())),
    )


def whole_state(
    network: SegmentationNetwork, architecture: str, arguments: Mapping[str, object], weights: Weights
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Finds every tensor of a network in weights from elsewhere.

    Args:
        network: has the same classes as the weights, in the same order.
        architecture, arguments: the network, as in the registry.
        weights: used unchanged.

    Returns:
        The network's state, and the file's keys that it does not have.

    Raises:
        CheckpointError: a tensor is missing or of another shape; the message names the first.
    """
    slots = {key: _Slot(slot.value, ()) for key, slot in _slots(network, architecture, arguments).items()}
    reading = _best_reading(slots, weights.state)
    state = {
        own: weights.state[theirs].reshape(slots[own].value.shape).to(slots[own].value.dtype)
        for theirs, own in reading.items()
    }
    # Older files lack counters of batches, which have no meaning in evaluation.
    state |= {
        key: slot.value
        for key, slot in slots.items()
        if key not in state and key.endswith("num_batches_tracked")
    }
    missing = [key for key in slots if key not in state]
    skipped = tuple(key for key in weights.state if key not in reading)
    if missing:
        place = (
            f", and {len(skipped)} have no place ({_formed(skipped[0], weights.state)} …)" if skipped else ""
        )
        raise CheckpointError(
            f"{weights.source} is not a whole {architecture} of {network.num_classes} classes: {len(missing)} of "
            f"{len(slots)} tensors are missing ({_formed(missing[0], network.state_dict())} …){place}; check --labels "
            "and --option, or train it on with edgeseg train --init"
        )
    return state, skipped


def _slots(
    network: SegmentationNetwork, architecture: str, arguments: Mapping[str, object]
) -> dict[str, _Slot]:
    """Returns the network's tensors. An axis of classes is one that is longer in a network with one more class."""
    with torch.device("meta"):
        other = registry.build(architecture, network.num_classes % 255 + 1, arguments).state_dict()
    return {
        key: _Slot(value, tuple(a for a, side in enumerate(value.shape) if other[key].shape[a] != side))
        for key, value in network.state_dict().items()
    }


def _best_reading(slots: Mapping[str, _Slot], state: Mapping[str, Tensor]) -> dict[str, str]:
    """Returns the reading of the file's keys whose tensors fit best: own key by the file's key."""
    best: dict[str, str] = {}
    for names in readings(state):
        fits = {key: own for key, own in names.items() if own in slots and slots[own].takes(state[key])}
        if len(fits) > len(best):
            best = fits
    return best


def _check_share(
    network: SegmentationNetwork,
    slots: Mapping[str, _Slot],
    found: set[str],
    architecture: str,
    weights: Weights,
) -> None:
    kernels = [
        key for key, slot in slots.items() if key.startswith(network.trunk_prefixes) and slot.value.ndim > 1
    ]
    loaded = found & set(kernels)
    if len(loaded) >= _ENOUGH * len(kernels):
        return
    before = "" if weights.info is None else weights.info.architecture
    stage = _STAGE_BEFORE.get(architecture)
    if before and before != architecture:
        also = f", or {stage} (the stage before it)" if stage else ""
        raise CheckpointError(
            f"{weights.source} is a {before} checkpoint; {architecture} starts from {architecture}{also}"
        )
    missing = next(key for key in kernels if key not in loaded)
    raise CheckpointError(
        f"{weights.source} does not fit {architecture}: of the trunk's {len(kernels)} kernels it has {len(loaded)}; "
        f"{_formed(missing, network.state_dict())} is the first that is missing, "
        f"{_formed(next(iter(weights.state)), weights.state)} the first in the file; check --model and --option"
    )


def _formed(key: str, state: Mapping[str, Tensor]) -> str:
    return f"{key} {list(state[key].shape)}"


def _some(keys: Sequence[str]) -> str:
    """Returns a few names, and the number of others."""
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _rows(own: Sequence[str], theirs: Sequence[str] | None) -> list[tuple[int, int]]:
    """Returns the positions of the classes that both have, by name."""
    places = {name.casefold(): place for place, name in enumerate(theirs or ())}
    return [(place, places[name.casefold()]) for place, name in enumerate(own) if name.casefold() in places]


def _take_rows(
    target: Tensor, value: Tensor, axes: Sequence[int], rows: Sequence[tuple[int, int]], count: int
) -> bool:
    """Copies the rows of the classes that both have. Returns False if the target has other classes too."""
    if any(value.shape[axis] != count for axis in axes):
        return False  # the known names belong to another tensor
    ours = torch.tensor([row for row, _ in rows], dtype=torch.long)
    theirs = torch.tensor([row for _, row in rows], dtype=torch.long)
    picked = value.to(target.dtype)
    for axis in axes:
        picked = picked.index_select(axis, theirs)
    if len(axes) == 1:
        target.index_copy_(axes[0], ours, picked)
    else:  # from each class to each
        target[ours[:, None], ours[None, :]] = picked
    return len(rows) == target.shape[axes[0]]


def _load(
    network: SegmentationNetwork, architecture: str, state: Mapping[str, Tensor], weights: Weights
) -> None:
    before = "" if weights.info is None else weights.info.architecture
    if before and before == _STAGE_BEFORE.get(architecture):
        from .fcn import FCN, load_previous_stage

        assert isinstance(network, FCN)
        newest = (f"skip_scores.{network.skips - 1}.", f"skip_upsamplings.{network.skips - 1}.")
        load_previous_stage(
            network, {key: value for key, value in state.items() if not key.startswith(newest)}
        )
        return
    network.load_state_dict(dict(state))
