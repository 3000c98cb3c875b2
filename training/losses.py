"""The training loss: cross-entropy without void, and optionally a soft form of the reported IoU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.labels import VOID
from . import distributed


class SegmentationLoss:
    """The training loss over one global batch.

    Every mean is over the labelled pixels of *all* processes, so that several processes give the same loss and
    gradients as one process with the joint batch.

    Args:
        class_weights: float32 [C] weights of the cross-entropy, or None.
        jaccard_weight: weight of the soft-IoU term.
        auxiliary_weight: weight of the auxiliary head's loss.
    """

    def __init__(self, class_weights: Tensor | None, jaccard_weight: float, auxiliary_weight: float) -> None:
        self.class_weights = class_weights
        self.jaccard_weight = jaccard_weight
        self.auxiliary_weight = auxiliary_weight

    def __call__(self, outputs: Mapping[str, Tensor], truth: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            outputs: ``out`` and optionally ``aux``, each float [N, C, H, W].
            truth: int64 [N, H, W], 255 is void.
        """
        loss = self._one(outputs["out"], truth)
        if "aux" in outputs:
            loss = loss + self.auxiliary_weight * self._one(outputs["aux"], truth)
        return loss

    def _one(self, logits: Tensor, truth: Tensor) -> Tensor:
        log_p = F.log_softmax(logits.float(), dim=1)
        loss = cross_entropy(log_p, truth, self.class_weights)
        if self.jaccard_weight:
            loss = loss + self.jaccard_weight * soft_jaccard(log_p.exp(), truth)
        return loss


def cross_entropy(log_p: Tensor, truth: Tensor, class_weights: Tensor | None) -> Tensor:
    """Returns the weighted mean of -log p over the labelled pixels of all processes."""
    weights = class_weights.to(log_p) if class_weights is not None else None
    total = F.nll_loss(log_p, truth, weights, ignore_index=VOID, reduction="sum")
    labelled = truth[truth != VOID]
    mass = (
        labelled.new_tensor(labelled.numel(), dtype=torch.float32)
        if weights is None
        else weights[labelled].sum()
    )
    # The factor undoes the average of gradients over the processes in DistributedDataParallel.
    return total / distributed.sum_over_processes(mass).clamp_min(1e-6) * distributed.world_size()


def soft_jaccard(p: Tensor, truth: Tensor) -> Tensor:
    """Returns 1 - mean soft IoU over the classes in the batch (Rahman and Wang 2016).

    Args:
        p: float32 [N, C, H, W], probabilities.
        truth: int64 [N, H, W], 255 is void.
    """
    labelled = (truth != VOID).unsqueeze(1)
    one_hot = (
        torch.zeros_like(p).scatter_(1, torch.where(labelled[:, 0], truth, 0).unsqueeze(1), 1.0) * labelled
    )
    p = p * labelled
    both = (p * one_hot).sum((0, 2, 3))
    either = p.sum((0, 2, 3)) + one_hot.sum((0, 2, 3)) - both
    seen = one_hot.sum((0, 2, 3))
    if distributed.world_size() > 1:
        both, either = distributed.differentiable_sum(both), distributed.differentiable_sum(either)
        seen = distributed.sum_over_processes(seen)
    present = seen > 0
    if not present.any():
        return p.sum() * 0
    return 1 - (both[present] / either[present].clamp_min(1e-6)).mean()


def class_weights(frequency: Tensor, kind: str) -> Tensor | None:
    """Returns the weights of the cross-entropy, float32 [C] with mean 1 over the pixels.

    Args:
        frequency: float [C], each class's share of the labelled training pixels.
        kind: ``none``, ``sqrt`` or ``log``, as ``Recipe.class_weighting``.
    """
    if kind == "none":
        return None
    floor = frequency.clamp_min(1e-4)  # a class that is nearly absent must not outweigh the others
    weights = floor.rsqrt() if kind == "sqrt" else 1 / torch.log(1.02 + floor)
    return (weights / (weights * frequency).sum()).float()
