"""Networks that end in a fixed transposed convolution, as in the FCN paper."""

from __future__ import annotations

from torch import Tensor

from ..core.errors import ModelError
from .base import SegmentationNetwork
from .upsampling import TransposedUpsampling, crop_to


class FixedUpsamplingNetwork(SegmentationNetwork):
    """A network whose last step is a transposed convolution with the bilinear kernel, then a crop.

    Subclasses set ``stride`` and ``upsampling``, and round sizes up at each stride, so that the coarse logits cover the
    whole image and stay aligned with it after the crop.
    """

    upsampling: TransposedUpsampling

    def upsampled(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return crop_to(self.upsampling(logits), size_hw)  # from [N, C, h·stride, w·stride]

    def check_input_size(self, size_hw: tuple[int, int]) -> None:
        """Raises ``ModelError`` if a side is not a multiple of the stride.

        Deployment stretches the coarse logits over the whole image. If the last cell extends beyond the image,
        ``forward`` crops it instead, and the two would disagree.
        """
        height, width = size_hw
        if height % self.stride or width % self.stride:
            smaller, larger = (
                "x".join(str(max(1, n // self.stride + up) * self.stride) for n in size_hw) for up in (0, 1)
            )
            raise ModelError(
                f"{type(self).__name__} cannot be deployed at {height}x{width}: both sides must be multiples "
                f"of {self.stride}; use {smaller} or {larger}"
            )
