"""The reference's masks: PyTorch's coarse logits, decoded by the definition. It needs only PyTorch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ...models.base import upsample_to
from .parity import ReferenceMasks


def reference_masks(logits_nchw: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> ReferenceMasks:
    """Decodes by the definition: upsample every class to the frame's size, then choose the best.

    Args:
        logits_nchw: float32 [1, C, h, w].
        size_hw: (H, W) of the frame.
    """
    with torch.inference_mode():
        logits = upsample_to(torch.from_numpy(logits_nchw), size_hw)[0]  # [C, H, W]
        best = logits.topk(min(2, logits.shape[0]), dim=0).values
        margin = best[0] - best[1] if len(best) == 2 else torch.full(size_hw, torch.inf)
        classes = logits.argmax(0).to(torch.uint8)
    return ReferenceMasks(logits_nchw[0], classes.numpy(), margin.numpy())
