"""Distillation: a network learns the soft classes of a better network (Hinton et al. 2015)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import DataError
from ..core.labels import LabelMap
from ..models.base import upsample_to
from ..models.checkpoint import Checkpoint
from .evaluate import normalizer


class Teacher:
    """A trained network that gives the probability of each class.

    Args:
        checkpoint: the trained network, with its own normalization.
        labels: the classes of the network that learns. The teacher must know each of them by name.
        device: computes the logits.

    Raises:
        DataError: the teacher does not know a class.
        CheckpointError: its tensors do not fit its architecture.
    """

    def __init__(self, checkpoint: Checkpoint, labels: LabelMap, device: torch.device) -> None:
        places = {name.casefold(): place for place, name in enumerate(checkpoint.info.labels.names)}
        unknown = [name for name in labels.names if name.casefold() not in places]
        if unknown:
            raise DataError(
                f"the teacher does not know the classes {', '.join(unknown)}; it tells "
                f"{', '.join(checkpoint.info.labels.names)} apart: name another --teacher"
            )
        self.network = checkpoint.build().requires_grad_(False).to(device)
        self.normalize = normalizer(checkpoint.info.mean, checkpoint.info.std, device)
        self.order = torch.tensor([places[name.casefold()] for name in labels.names], device=device)

    @torch.no_grad()
    def coarse(self, image: Tensor) -> Tensor:
        """Computes the logits of the learner's classes: uint8 [N, 3, H, W] RGB -> float [N, C, h, w]."""
        logits: Tensor = self.network.coarse(self.normalize(image)).index_select(1, self.order)
        return logits


def distillation(learner: Tensor, teacher: Tensor) -> Tensor:
    """Computes the mean over all positions of KL(teacher || learner), at the learner's coarse logits.

    Positions without a label count too: the teacher has knowledge of them.

    Args:
        learner: float [N, C, h, w], coarse logits.
        teacher: float [N, C, h2, w2], coarse logits of any stride.
    """
    target = upsample_to(teacher.float(), (learner.shape[-2], learner.shape[-1])).softmax(1)
    divergence = F.kl_div(F.log_softmax(learner.float(), dim=1), target, reduction="none")
    return divergence.sum(1).mean()
