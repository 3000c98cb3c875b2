"""FCN and DeepLabV3 in torchvision's forms: same state-dict keys and outputs, so that official weights fit.

DeepLabV3 also accepts EfficientNet-Lite0, for which torchvision has no form.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from . import efficientnet_lite0 as lite0
from .base import SegmentationNetwork
from .option_checks import check_bool, check_choice
from .trunks import BACKBONES, mobilenet_v3_large, resnet50

_RESNET_OUT, _RESNET_AUX = 2048, 1024  # channels of layer4 and layer3
_MOBILENET_OUT, _MOBILENET_AUX = 960, 40  # of the last convolution and of the first block of stride 8
_RESNET_STEM = ("backbone.conv1.", "backbone.bn1.")


class DilatedNetwork(SegmentationNetwork):
    """A dilated trunk, a head on its last features, and an auxiliary head on earlier ones, only for training.

    Attributes:
        backbone: returns a mapping with ``out`` and, if there is an auxiliary head, ``aux``.
        classifier: the head.
        aux_classifier: the auxiliary head, or ``None``.
    """

    backbone: nn.Module
    classifier: nn.Module
    aux_classifier: nn.Module | None

    def coarse(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.backbone(x)["out"])
        return logits

    def coarse_outputs(self, x: Tensor) -> dict[str, Tensor]:
        features = self.backbone(x)
        outputs = {"out": self.classifier(features["out"])}
        if self.aux_classifier is not None:
            outputs["aux"] = self.aux_classifier(features["aux"])
        return outputs


class FCNResNet50(DilatedNetwork):
    """One convolutional head on a ResNet-50 of stride 8, as torchvision's ``fcn_resnet50``.

    Args:
        num_classes: the number of classes.
        aux: add an auxiliary head on ``layer3``, as in the official weights.
    """

    stride = 8

    def __init__(self, num_classes: int, aux: bool = True) -> None:
        super().__init__()
        check_bool("fcn_resnet50", "aux", aux)
        self.num_classes = num_classes
        self.stem_prefixes = _RESNET_STEM
        self.backbone = resnet50(_resnet_outputs(aux))
        self.classifier = FCNHead(_RESNET_OUT, num_classes)
        self.aux_classifier = FCNHead(_RESNET_AUX, num_classes) if aux else None


class DeepLabV3(DilatedNetwork):
    """Atrous spatial pyramid pooling (Chen et al. 2017), as torchvision's ``deeplabv3_*``.

    Args:
        num_classes: the number of classes.
        backbone: ``mobilenet_v3_large`` or ``efficientnet_lite0`` (stride 16), or ``resnet50`` (stride 8).
        aux: add an auxiliary head, as in the official weights.
    """

    def __init__(self, num_classes: int, backbone: str = "mobilenet_v3_large", aux: bool = True) -> None:
        super().__init__()
        check_choice("deeplabv3", "backbone", backbone, (*BACKBONES, "resnet50"))
        check_bool("deeplabv3", "aux", aux)
        self.num_classes = num_classes
        features = {"high": "out", **({"low": "aux"} if aux else {})}
        if backbone == "resnet50":
            self.stride, out_channels, aux_channels = 8, _RESNET_OUT, _RESNET_AUX
            self.backbone = resnet50(_resnet_outputs(aux))
            self.stem_prefixes = _RESNET_STEM
        elif backbone == "efficientnet_lite0":
            self.stride, out_channels, aux_channels = 16, lite0.HIGH_CHANNELS, lite0.LOW_CHANNELS
            self.backbone = lite0.EfficientNetLite0(features)
            self.mean, self.std = lite0.MEAN, lite0.STD
            self.stem_prefixes = lite0.STEM_PREFIXES
        else:
            self.stride, out_channels, aux_channels = 16, _MOBILENET_OUT, _MOBILENET_AUX
            self.backbone = mobilenet_v3_large(features)
            self.stem_prefixes = ("backbone.0.",)
        self.classifier = DeepLabHead(out_channels, num_classes)
        self.aux_classifier = FCNHead(aux_channels, num_classes) if aux else None


def _resnet_outputs(aux: bool) -> dict[str, str]:
    return {"layer4": "out", **({"layer3": "aux"} if aux else {})}
