"""The loss ignores void, weighs classes, and falls to zero for a perfect prediction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from edgeseg.training.losses import SegmentationLoss, class_weights, cross_entropy, soft_jaccard


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 7, generator=generator)
    truth = torch.randint(0, 3, (2, 5, 7), generator=generator)
    truth[0, :2] = 255
    return logits, truth


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 4.0])])
def test_cross_entropy_is_torchs(
    batch: tuple[torch.Tensor, torch.Tensor], weights: torch.Tensor | None
) -> None:
    logits, truth = batch
    ours = cross_entropy(F.log_softmax(logits, 1), truth, weights)
    assert ours == pytest.approx(float(F.cross_entropy(logits, truth, weights, ignore_index=255)), rel=1e-5)


def test_void_pixels_have_no_gradient(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, truth = batch
    logits.requires_grad_()
    SegmentationLoss(None, 0.5, 0.5)({"out": logits, "aux": logits}, truth).backward()
    assert logits.grad is not None
    assert logits.grad[0, :, :2].abs().max() == 0
    assert logits.grad[1].abs().min() > 0


def test_only_void_is_a_loss_of_zero() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = SegmentationLoss(None, 0.5, 0.5)({"out": logits}, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0
    assert torch.isfinite(logits.grad).all()


def test_soft_jaccard_is_the_iou_of_hard_masks() -> None:
    truth = torch.tensor([[[0, 0, 1, 1]]])
    predicted = F.one_hot(torch.tensor([[[0, 1, 1, 1]]]), 3).permute(0, 3, 1, 2).float()
    # class 0: 1 of 2; class 1: 2 of 3; class 2 is absent
    assert soft_jaccard(predicted, truth) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)
    assert soft_jaccard(F.one_hot(truth, 3).permute(0, 3, 1, 2).float(), truth) == pytest.approx(0)


def test_rare_classes_weigh_more_and_pixels_weigh_one() -> None:
    frequency = torch.tensor([0.9, 0.09, 0.01], dtype=torch.float64)
    for kind in ("sqrt", "log"):
        weights = class_weights(frequency, kind)
        assert weights is not None
        assert weights[0] < weights[1] < weights[2]
        assert float((weights * frequency).sum()) == pytest.approx(1)
    assert class_weights(frequency, "none") is None
