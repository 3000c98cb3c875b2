"""Fully convolutional trunks from image classifiers (Long et al. 2015, section 3.1).

``features`` has torchvision's layers and state-dict keys, so that the weights of its classifiers fit.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ModelError
from .initialisation import he_initialise
from .vgg import stage_channels, vgg16_features

_STRIDE = 32


class Trunk(nn.Module):
    """A classifier up to its last hidden layer, with ``fc6`` and ``fc7`` as convolutions.

    ``fc6`` is padded by half its kernel. On an image of the classifier's own 224 x 224 pixels, its middle position has
    exactly the input of the linear layer; the others are the same classifier, moved by 32 pixels.

    Attributes:
        pool_channels: channels after each pooling, first to last.
        out_channels: channels of ``fc7``.
        stem: the prefixes of the first convolution's keys.
    """

    stem = ("features.0.",)

    def __init__(
        self, features: nn.Sequential, pool_channels: tuple[int, ...], kernel: int, hidden: int
    ) -> None:
        super().__init__()
        self.features = features
        self.fc6 = nn.Conv2d(pool_channels[-1], hidden, kernel, padding=kernel // 2)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.dropout = nn.Dropout(0.5)
        self.pool_channels = pool_channels
        self.out_channels = hidden
        he_initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Computes float [N, 3, H, W] -> the output of each pooling, then that of ``fc7``."""
        stages = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                stages.append(x)
        x = self.dropout(F.relu(self.fc6(x)))
        x = self.dropout(F.relu(self.fc7(x)))
        return [*stages, x]

    def load_classifier(self, classifier: nn.Module) -> None:
        """Copies the weights of torchvision's classifier of this kind (``vgg16`` or ``alexnet``).

        Raises:
            ModelError: its layers have other sizes.
        """
        linears = [layer for layer in classifier.modules() if isinstance(layer, nn.Linear)]
        try:
            fc6 = convolutionalize(linears[0], self.fc6.kernel_size[0])
            fc7 = convolutionalize(linears[1], 1)
            features = classifier.get_submodule("features").state_dict()
            self.features.load_state_dict(features)
            self.fc6.load_state_dict(fc6.state_dict())
            self.fc7.load_state_dict(fc7.state_dict())
        except (AttributeError, IndexError, RuntimeError, ModelError) as error:
            raise ModelError(f"this classifier does not fit the network's trunk: {error}") from error


class AlexNetTrunk(Trunk):
    """AlexNet. Its unpadded poolings round down, so the image is padded at the right and bottom.

    With ``fc6`` padded by 3, cell i is centred at pixel 32·i + 15: upsampling moves it by half a pixel.
    """

    def forward(self, x: Tensor) -> list[Tensor]:
        height, width = (max(2 * _STRIDE, n + -n % _STRIDE) for n in x.shape[-2:])
        return super().forward(F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2])))


def vgg16(width: int = 64) -> Trunk:
    """VGG-16 (Simonyan and Zisserman 2015); ``width`` is the number of channels of its first stage, 64 in the paper.

    The poolings round odd sizes up, as in Caffe: each stage covers the whole image, and cell i of stride s is
    centred at pixel s·i + (s - 1) / 2, exactly where bilinear upsampling puts it.
    """
    features = vgg16_features(width, batch_norm=False)
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    return Trunk(features, stage_channels(width), kernel=7, hidden=64 * width)


def alexnet(width: int = 64) -> Trunk:
    """AlexNet as in torchvision (Krizhevsky 2014); ``width``: the channels of its first stage, 64 in torchvision."""
    channels = (3, width, 3 * width, 6 * width, 4 * width, 4 * width)
    kernels = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))  # (kernel, stride, padding)
    layers: list[nn.Module] = []
    for number, ((before, after), (kernel, stride, padding)) in enumerate(
        zip(pairwise(channels), kernels, strict=True)
    ):
        layers += [nn.Conv2d(before, after, kernel, stride, padding), nn.ReLU(inplace=True)]
        if number in (0, 1, 4):
            layers.append(nn.MaxPool2d(3, 2))
    return AlexNetTrunk(
        nn.Sequential(*layers), (channels[1], channels[2], channels[5]), kernel=6, hidden=64 * width
    )


def convolutionalize(linear: nn.Linear, kernel: int) -> nn.Conv2d:
    """Turns a linear layer over a flattened [C, kernel, kernel] map into the equivalent convolution.

    Args:
        linear: its ``in_features`` are C · kernel · kernel.
        kernel: side of the layer's input map; 1 for a layer after another linear layer.

    Returns:
        A convolution without padding, which also accepts maps that are larger than the linear layer's.

    Raises:
        ModelError: the linear layer's inputs do not divide into maps of this side.
    """
    channels, rest = divmod(linear.in_features, kernel * kernel)
    if rest:
        raise ModelError(
            f"a linear layer of {linear.in_features} inputs does not read maps of {kernel}x{kernel}"
        )
    # On the meta device first: the fresh weights would be discarded, and VGG's are 400 MB.
    convolution = nn.Conv2d(
        channels, linear.out_features, kernel, bias=linear.bias is not None, device="meta"
    )
    weight = linear.weight.detach().reshape(linear.out_features, channels, kernel, kernel)
    convolution.weight = nn.Parameter(weight.clone())
    if linear.bias is not None:
        convolution.bias = nn.Parameter(linear.bias.detach().clone())
    return convolution
