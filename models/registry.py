"""The registry: the networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..core.errors import ModelError
from ..core.registry import Registry, load
from .base import SegmentationNetwork


@dataclass(frozen=True)
class NetworkSpec:
    """A network's entry in the registry, readable without building the network.

    Attributes:
        target: ``package.module:Class`` of the network; the class accepts ``num_classes`` and ``arguments``.
        summary: one line for display.
        paper: its publication.
        official: name of torchvision's builder whose VOC weights fit, or empty; ``{option}`` in it is replaced with the
            value of that option. If torchvision has no builder of that name, there are no weights.
        arguments: fixed arguments of this entry, for forms that share a class.
    """

    target: str
    summary: str
    paper: str
    official: str = ""
    arguments: Mapping[str, object] | None = None


_NETWORKS: Registry[NetworkSpec] = Registry("network", ModelError)
register, names, spec = _NETWORKS.register, _NETWORKS.names, _NETWORKS.entry


def options(name: str) -> dict[str, object]:
    """Returns the architecture's own options, with their defaults.

    Raises:
        ModelError: unknown name.
    """
    parameters = inspect.signature(_load(name)).parameters
    defaults = {key: value.default for key, value in parameters.items() if key != "num_classes"}
    return {**defaults, **(spec(name).arguments or {})}


def build(name: str, num_classes: int, arguments: Mapping[str, object] | None = None) -> SegmentationNetwork:
    """Builds a network with fresh weights.

    Args:
        name: a registered name.
        num_classes: the number of classes, at least 1.
        arguments: the architecture's own options, as its class documents them.

    Raises:
        ModelError: unknown name or option, or a value that the network does not accept.
    """
    chosen = check_options(name, arguments or {})
    if not 1 <= num_classes <= 255:
        raise ModelError(f"{name} was asked for {num_classes} classes; expected 1 to 255")
    built = _load(name)(num_classes, **chosen)
    assert isinstance(built, SegmentationNetwork)
    return built


def check_options(name: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """Returns the options, with defaults for those that are not given.

    Raises:
        ModelError: an option is unknown; the message lists the known ones.
    """
    known = options(name)
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        raise ModelError(f"{name} has no option {', '.join(unknown)}; it has {listed}")
    return {**known, **arguments}


def _load(name: str) -> Callable[..., object]:
    network: Callable[..., object] = load(spec(name).target)
    return network


register(
    "lraspp",
    NetworkSpec(
        target="edgeseg.models.lraspp:LRASPP",
        summary="LR-ASPP head on MobileNetV3-Large or EfficientNet-Lite0, dilated",
        paper="Howard et al. 2019",
        official="lraspp_{backbone}",
    ),
)
register(
    "fcn32s",
    NetworkSpec(
        target="edgeseg.models.fcn:FCN32s",
        summary="VGG-16, AlexNet or GoogLeNet made convolutional",
        paper="Long et al. 2015",
    ),
)
register(
    "fcn16s",
    NetworkSpec(
        target="edgeseg.models.fcn:FCN16s",
        summary="FCN-32s and scores from pool4",
        paper="Long et al. 2015",
    ),
)
register(
    "fcn8s",
    NetworkSpec(
        target="edgeseg.models.fcn:FCN8s",
        summary="FCN-16s and scores from pool3",
        paper="Long et al. 2015",
    ),
)
register(
    "fcn_resnet18",
    NetworkSpec(
        target="edgeseg.models.fcn_resnet18:FCNResNet18",
        summary="ResNet-18, one transposed convolution",
        paper="Zhang et al. 2023, d2l.ai",
    ),
)
register(
    "fcn_resnet50",
    NetworkSpec(
        target="edgeseg.models.torchvision_forms:FCNResNet50",
        summary="ResNet-50, dilated, one convolutional head",
        paper="Long et al. 2015",
        official="fcn_resnet50",
    ),
)
register(
    "unet",
    NetworkSpec(
        target="edgeseg.models.unet:UNet",
        summary="encoder and decoder, skips by concatenation",
        paper="Ronneberger et al. 2015",
    ),
)
register(
    "segnet",
    NetworkSpec(
        target="edgeseg.models.segnet:SegNet",
        summary="VGG-16 mirrored, unpooling where the encoder's maxima were",
        paper="Badrinarayanan et al. 2017",
    ),
)
register(
    "deeplabv3",
    NetworkSpec(
        target="edgeseg.models.torchvision_forms:DeepLabV3",
        summary="atrous pyramid on MobileNetV3-Large, ResNet-50 or EfficientNet-Lite0",
        paper="Chen et al. 2017",
        official="deeplabv3_{backbone}",
    ),
)
