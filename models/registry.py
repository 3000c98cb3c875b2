"""The networks by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass

from ..runtime.errors import ModelError
from .base import SegmentationNetwork


@dataclass(frozen=True)
class NetworkSpec:
    """What the registry knows of a network without building it.

    Attributes:
        target: ``package.module:Class`` of the network; the class takes ``num_classes`` and ``arguments``.
        summary: one line for people.
        paper: where it was published.
        official: name of torchvision's builder whose VOC weights fit, or empty.
        arguments: fixed arguments of this entry, for forms that share a class.
    """

    target: str
    summary: str
    paper: str
    official: str = ""
    arguments: Mapping[str, object] | None = None


_NETWORKS: dict[str, NetworkSpec] = {}


def register(name: str, spec: NetworkSpec) -> None:
    """Adds a network.

    Raises:
        ModelError: the name is taken.
    """
    if name in _NETWORKS:
        raise ModelError(f"a network named {name!r} is registered already, as {_NETWORKS[name].target}")
    _NETWORKS[name] = spec


def names() -> tuple[str, ...]:
    """The known names, in order of registration."""
    return tuple(_NETWORKS)


def spec(name: str) -> NetworkSpec:
    """Looks a network up.

    Raises:
        ModelError: there is none of this name; the message lists those there are.
    """
    if name not in _NETWORKS:
        raise ModelError(f"unknown network {name!r}; known: {', '.join(names())}")
    return _NETWORKS[name]


def build(name: str, num_classes: int, arguments: Mapping[str, object] | None = None) -> SegmentationNetwork:
    """Builds a network with fresh weights.

    Args:
        name: a registered name.
        num_classes: classes to tell apart, at least 1.
        arguments: the architecture's own options, as its class documents them.

    Raises:
        ModelError: unknown name or option, or a value that the network cannot take.
    """
    entry = spec(name)
    if not 1 <= num_classes <= 255:
        raise ModelError(f"{name} was asked for {num_classes} classes; expected 1 to 255")
    module_name, class_name = entry.target.split(":")
    network = getattr(importlib.import_module(module_name), class_name)
    options = {**(entry.arguments or {}), **(arguments or {})}
    known = set(inspect.signature(network).parameters) - {"num_classes"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ModelError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(sorted(known)) or 'none'}")
    built = network(num_classes, **options)
    assert isinstance(built, SegmentationNetwork)
    return built


register(
    "lraspp",
    NetworkSpec(
        target="edgeseg.models.lraspp:LRASPP",
        summary="MobileNetV3-Large, dilated, with the LR-ASPP head",
        paper="Howard et al. 2019",
        official="lraspp_mobilenet_v3_large",
    ),
)
