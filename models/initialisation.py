"""Fresh weights that are usable before any training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import SegmentationNetwork

_IMAGES = 4


def he_initialise(network: nn.Module) -> None:
    """Draws every convolution's kernel so that ReLU layers keep their variance (He et al. 2015).

    Biases become zero. PyTorch's own initialisation divides the variance by six in each layer, which only batch
    normalization compensates.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def calibrate_batch_norm(network: SegmentationNetwork, size_hw: tuple[int, int], seed: int) -> None:
    """Measures every batch normalization's mean and variance on seeded, cloud-like noise.

    A fresh network's statistics are 0 and 1, which do not match its activations: in evaluation mode these grow or
    shrink from layer to layer until float16 overflows or every pixel has one class. Measured statistics keep them in
    range. The network is left in evaluation mode.

    Args:
        network: changed in place.
        size_hw: size of the noise images, large enough that dilated kernels read more than padding.
        seed: of the noise.
    """
    network.eval()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # the statistics of this one batch
    with torch.no_grad():
        network.training_outputs(cloud_images(_IMAGES, size_hw, torch.Generator().manual_seed(seed)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def cloud_images(count: int, size_hw: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draws noise with detail at every scale, like images.

    The coarsest scale is one value for each image: images differ in brightness and tint, and the measurement of
    layers that pool over the whole image needs that difference.

    Returns:
        float [N, 3, H, W], mean about 0, standard deviation 1: like normalized images.
    """
    image = torch.zeros(count, 3, *size_hw)
    cells = 1
    while cells <= max(size_hw):
        noise = torch.randn(count, 3, cells, cells, generator=generator)
        image += F.interpolate(noise, size=size_hw, mode="bilinear", align_corners=False)
        cells *= 2
    return image / image.std()
