"""The network as the training loop sees it."""

from __future__ import annotations

from torch import Tensor, nn

from ..models.base import SegmentationNetwork


class TrainingView(nn.Module):
    """The network with the outputs for the loss, so that DDP and torch.compile also wrap auxiliary heads.

    Args:
        network: is trained.
        with_coarse: also give ``coarse``, the coarse logits, for a teacher.
    """

    def __init__(self, network: SegmentationNetwork, *, with_coarse: bool) -> None:
        super().__init__()
        self.network = network
        self.with_coarse = with_coarse

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if not self.with_coarse:
            return self.network.training_outputs(x)
        coarse, size_hw = self.network.coarse_outputs(x), (x.shape[-2], x.shape[-1])
        outputs = {name: self.network.upsampled(logits, size_hw) for name, logits in coarse.items()}
        return {**outputs, "coarse": coarse["out"]}
