"""EfficientNet-Lite0 as a dilated trunk: only ReLU6, no squeeze-and-excitation, made for integer hardware.

Its layers are those of TensorFlow's published classifier, with TensorFlow's padding, so that ImageNet weights fit. Its
keys are those of the published PyTorch port without their leading underscores.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (127 / 255, 127 / 255, 127 / 255)
STD = (128 / 255, 128 / 255, 128 / 255)
"""The normalization of its training, (x - 127) / 128, for images scaled to 0..1."""

STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
          (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))  # fmt: skip
"""Each stage's (blocks, kernel, stride of its first block, expansion, channels)."""

STEM_PREFIXES = ("backbone.conv_stem.", "backbone.bn0.")
FINE_CHANNELS, LOW_CHANNELS, HIGH_CHANNELS = 24, 40, 1280
_STEM_CHANNELS = 32
_FINE_STAGE, _LOW_STAGE, _DILATED_STAGE = 1, 2, 5
_EPSILON, _MOMENTUM = 1e-3, 0.01


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: its output is ceil(H / stride) x ceil(W / stride).

    If the number of zeros is odd, as at stride 2 on even sides, the right and the bottom get one more. They are padded
    before the convolution; the exporter writes them into the ONNX convolution, which supports uneven padding.
    """

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._zeros(x.shape[-2], 0)
        left, right = self._zeros(x.shape[-1], 1)
        padding = (top, left)
        if (top, left) != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        y: Tensor = F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return y

    def _zeros(self, side: int, axis: int) -> tuple[int, int]:
        """Returns the number of zeros before and after one axis."""
        stride, reach = self.stride[axis], self.dilation[axis] * (self.kernel_size[axis] - 1)
        total = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0)
        return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """An inverted residual (Sandler et al. 2018): expand, filter each channel, project.

    Args:
        before, after: channels of input and output.
        kernel, stride, dilation: of the depthwise convolution.
        expansion: factor of the channels in between; at 1 there is no expanding convolution.
    """

    def __init__(
        self, before: int, after: int, *, kernel: int, stride: int, dilation: int, expansion: int
    ) -> None:
        super().__init__()
        inner = before * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv = nn.Conv2d(before, inner, 1, bias=False)
            self.bn0 = _norm(inner)
        self.depthwise_conv = SameConv2d(
            inner, inner, kernel, stride, dilation=dilation, groups=inner, bias=False
        )
        self.bn1 = _norm(inner)
        self.project_conv = nn.Conv2d(inner, after, 1, bias=False)
        self.bn2 = _norm(after)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The trunk, of stride 16: its last stage of stride 2 is dilated instead (à trous).

    The first block of that stage keeps its kernel; the kernels after it are dilated by two. So every second position
    has the value that the classifier of stride 32 would have there, and its weights stay valid.

    Args:
        outputs: the features to return, and their names: ``fine`` (stride 4, 24 channels), ``low`` (stride 8, 40) and
            ``high`` (stride 16, 1280).
        dilated: if False, the stride is 32, as in the classifier.
    """

    def __init__(self, outputs: Mapping[str, str], *, dilated: bool = True) -> None:
        super().__init__()
        self.outputs = dict(outputs)
        self.conv_stem = SameConv2d(3, _STEM_CHANNELS, 3, 2, bias=False)
        self.bn0 = _norm(_STEM_CHANNELS)
        blocks: list[nn.Module] = []
        self.ends: dict[int, str] = {}
        before, dilation = _STEM_CHANNELS, 1
        for stage, (count, kernel, first_stride, expansion, after) in enumerate(STAGES):
            for number in range(count):
                stride = first_stride if number == 0 else 1
                wider = dilation
                if dilated and stage == _DILATED_STAGE and number == 0:
                    stride, wider = 1, 2
                blocks.append(
                    InvertedResidual(
                        before, after, kernel=kernel, stride=stride, dilation=dilation, expansion=expansion
                    )
                )
                before, dilation = after, wider
            if stage in (_FINE_STAGE, _LOW_STAGE):
                self.ends[len(blocks) - 1] = "fine" if stage == _FINE_STAGE else "low"
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = nn.Conv2d(before, HIGH_CHANNELS, 1, bias=False)
        self.bn1 = _norm(HIGH_CHANNELS)
        _initialise(self)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Computes float [N, 3, H, W], normalized, -> the requested features, by name."""
        features = {}
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.ends:
                features[self.ends[number]] = x
        features["high"] = F.relu6(self.bn1(self.conv_head(x)))
        return {name: features[feature] for feature, name in self.outputs.items()}


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


def _initialise(trunk: nn.Module) -> None:
    """Draws kernels by fan-out, as torchvision does for trunks of this kind."""
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
