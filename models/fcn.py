"""FCN-32s, FCN-16s and FCN-8s (Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks").

A convolutional classifier scores classes at stride 32. FCN-16s upsamples those scores to stride 16 and adds scores
from pool4; FCN-8s repeats this with pool3. Each stage is trained from the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..core.errors import CheckpointError, ModelError
from . import fcn_googlenet as googlenet
from .checkpoint import load_state
from .fcn_trunks import Trunk, alexnet, vgg16
from .fixed_upsampling import FixedUpsamplingNetwork
from .option_checks import check_choice, check_whole
from .upsampling import TransposedUpsampling, crop_to

_TRUNKS: Mapping[str, Callable[[int], Trunk | googlenet.GoogLeNetTrunk]] = {
    "vgg16": vgg16,
    "alexnet": alexnet,
    "googlenet": googlenet.GoogLeNetTrunk,
}
_WITHOUT_SKIPS = {"alexnet": "AlexNet", "googlenet": "GoogLeNet"}


class FCN(FixedUpsamplingNetwork):
    """The base of the three forms, which differ in ``skips``.

    Args:
        num_classes: the number of classes.
        backbone: ``vgg16``; for FCN-32s also ``alexnet`` or ``googlenet``.
        width: channels of the trunk's first stage, 64 in the paper. The other layers of the trunk follow it.

    Attributes:
        skips: the number of poolings that are added to the scores, deepest first.
    """

    skips: int
    trunk_prefixes = ("trunk.",)

    def __init__(self, num_classes: int, backbone: str = "vgg16", width: int = 64) -> None:
        super().__init__()
        name = f"fcn{self.stride}s"
        check_choice(name, "backbone", backbone, _TRUNKS)
        check_whole(name, "width", width)
        if backbone in _WITHOUT_SKIPS and self.skips:
            raise ModelError(
                f"{name} has no {_WITHOUT_SKIPS[backbone]} form: use backbone vgg16, or the network fcn32s"
            )
        self.num_classes = num_classes
        self.trunk = _TRUNKS[backbone](width)
        self.stem_prefixes = tuple(f"trunk.{prefix}" for prefix in self.trunk.stem)
        if backbone == "googlenet":
            self.mean, self.std = googlenet.MEAN, googlenet.STD
        self.score = nn.Conv2d(self.trunk.out_channels, num_classes, 1)
        skip_channels = self.trunk.pool_channels[-2 : -2 - self.skips : -1]  # pool4, pool3
        self.skip_scores = nn.ModuleList(nn.Conv2d(channels, num_classes, 1) for channels in skip_channels)
        self.skip_upsamplings = nn.ModuleList(
            TransposedUpsampling(num_classes, 2, learnable=True) for _ in skip_channels
        )
        self.upsampling = TransposedUpsampling(num_classes, self.stride, learnable=False)

    def coarse(self, x: Tensor) -> Tensor:
        *pools, top = self.trunk(x)
        logits: Tensor = self.score(top)  # [N, C, H/32, W/32]
        for upsampling, score, pool in zip(
            self.skip_upsamplings, self.skip_scores, pools[-2::-1], strict=False
        ):
            skip = score(pool)  # [N, C, H/16, W/16], then H/8, W/8
            logits = crop_to(upsampling(logits), (skip.shape[-2], skip.shape[-1])) + skip
        height, width = x.shape[-2:]
        return crop_to(logits, (-(-height // self.stride), -(-width // self.stride)))


class FCN32s(FCN):
    """Scores of stride 32, upsampled in one step."""

    stride, skips = 32, 0


class FCN16s(FCN):
    """Adds scores from pool4, at stride 16."""

    stride, skips = 16, 1


class FCN8s(FCN):
    """Adds scores from pool4 and pool3, at stride 8."""

    stride, skips = 8, 2


def load_previous_stage(network: FCN, state: Mapping[str, Tensor]) -> None:
    """Starts FCN-16s from FCN-32s's weights, or FCN-8s from FCN-16s's.

    The new skip's scores start at zero and its upsampling as bilinear interpolation, as in section 4.2 of the
    paper: at first the network predicts the same as the previous stage, only finer.

    Args:
        network: fresh; changed in place.
        state: the previous stage's state dict.

    Raises:
        ModelError: the network is FCN-32s, which has no previous stage.
        CheckpointError: the state is of another stage, width or class count.
    """
    if not network.skips:
        raise ModelError(
            "FCN-32s has no previous stage: start it from a classifier, with network.trunk.load_classifier"
        )
    newest = network.skips - 1
    score, upsampling = network.skip_scores[newest], network.skip_upsamplings[newest]
    new = {
        f"skip_scores.{newest}.{key}": torch.zeros_like(value) for key, value in score.state_dict().items()
    }
    new |= {f"skip_upsamplings.{newest}.{key}": value for key, value in upsampling.state_dict().items()}
    if any(key in state for key in new):
        raise CheckpointError(
            f"this state has the skips of FCN-{network.stride}s already; expected FCN-{2 * network.stride}s's"
        )
    load_state(network, {**state, **new}, source=f"the FCN-{2 * network.stride}s state")
