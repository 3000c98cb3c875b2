"""Recipes: every choice of a training in one frozen record, and a preset for each network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..core.errors import UsageError
from ..data.augment import Augmentation

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["poly", "one-cycle"]
ClassWeighting = Literal["none", "sqrt", "log"]
Frozen = Literal["none", "stem", "trunk"]
_MOST = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """The choices of one training.

    Attributes:
        epochs: passes over the training split.
        batch_size: images in each step, over all processes together.
        optimizer, learning_rate, momentum, weight_decay: as usual; the rate is the schedule's peak.
        schedule: ``poly`` falls as (1 - t)^0.9; ``one-cycle`` warms up over ``warmup`` and falls as a cosine.
        warmup: share of the training in which one-cycle rises.
        class_weighting: the weights of classes in the cross-entropy: ``none``, ``sqrt`` (inverse square root of the
            frequency) or ``log`` (ENet's 1 / ln(1.02 + f)).
        jaccard_weight: weight of the soft-IoU loss that is added to the cross-entropy; 0 omits it.
        auxiliary_weight: weight of an auxiliary head's loss.
        average_decay: decay in each step of the averaged weights, which are evaluated and saved; 0 turns averaging off.
        augmentation: of training images.
        freeze: the part that is not trained, and that keeps its batch-norm statistics.
        trunk_rate: the trunk's share of the learning rate.
        frozen_norms: the trunk's batch norm keeps its loaded statistics; its scales are trained.
        accumulate: the number of batches whose gradients make one step.
        patience: the training ends after this many measurements without a better one; 0 trains to the end.
        teacher_weight: weight of the teacher's soft classes, if there is a teacher.
        balance: how much more often images of rare classes are drawn: 0 draws each image once in an epoch, at 1 all
            classes are drawn alike.
        unlabelled_share: share of each batch that has no masks and is learnt from the teacher alone.
    """

    epochs: int = 100
    batch_size: int = 8
    optimizer: Optimizer = "adamw"
    learning_rate: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    schedule: Schedule = "one-cycle"
    warmup: float = 0.1
    class_weighting: ClassWeighting = "none"
    jaccard_weight: float = 0.0
    auxiliary_weight: float = 0.5
    average_decay: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    freeze: Frozen = "none"
    trunk_rate: float = 1.0
    frozen_norms: bool = False
    accumulate: int = 1
    patience: int = 0
    teacher_weight: float = 0.0
    balance: float = 0.0
    unlabelled_share: float = 0.0

    def __post_init__(self) -> None:
        for name, unit in (("epochs", "passes"), ("batch_size", "images"), ("accumulate", "batches")):
            if not 1 <= getattr(self, name) <= _MOST:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 1 to {_MOST} {unit}")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(
                f"the learning rate is {self.learning_rate}; expected more than 0, such as 0.001"
            )
        if not 0 <= self.patience <= _MOST:
            raise UsageError(f"patience is {self.patience}; expected 0 to {_MOST} measurements")
        if not 0 < self.trunk_rate <= 1:
            raise UsageError(
                f"trunk_rate is {self.trunk_rate}; expected more than 0, at most 1, such as 0.3; --freeze trunk is 0"
            )
        for name in ("weight_decay", "jaccard_weight", "auxiliary_weight", "teacher_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 0 or more, such as 0.01")
        for name in ("momentum", "warmup", "average_decay", "unlabelled_share"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 0 or more, below 1")
        if not 0 <= self.balance <= 1:
            raise UsageError(
                f"balance is {self.balance}; expected 0, each image once, to 1, all classes alike"
            )


# Long et al. 2015, section 4.3: SGD with momentum 0.9, weight decay 5e-4, whole images.
_FCN_PAPER = Recipe(
    epochs=50, batch_size=1, optimizer="sgd", learning_rate=1e-3, weight_decay=5e-4, schedule="poly",
    augmentation=Augmentation(crop_hw=None, colour=0.0),
)  # fmt: skip
# torchvision's reference recipe for its segmentation networks.
_TORCHVISION = Recipe(
    epochs=30, batch_size=8, optimizer="sgd", learning_rate=2e-2, weight_decay=1e-4, schedule="poly",
    augmentation=Augmentation(crop_hw=(480, 480), scale=(0.5, 2.0)),
)  # fmt: skip

PRESETS: Mapping[str, Recipe] = {
    "fcn-paper": _FCN_PAPER,
    "torchvision": _TORCHVISION,
    # Ronneberger et al. 2015, section 3: one image a step and momentum 0.99.
    "unet-paper": replace(_FCN_PAPER, learning_rate=1e-3, momentum=0.99, augmentation=Augmentation(colour=0.2)),
    "scratch": Recipe(
        batch_size=4, learning_rate=1.5e-3, class_weighting="sqrt", jaccard_weight=0.5, average_decay=0.998
    ),
    "scratch-aerial": Recipe(
        epochs=30, batch_size=4, learning_rate=1.5e-3, class_weighting="sqrt", jaccard_weight=0.5, average_decay=0.998,
        augmentation=Augmentation(crop_hw=(256, 256), scale=(0.7, 1.4), vertical=True, colour=0.3),
    ),
    # A trained trunk moves at a third of the head's rate, so that it keeps what it knows.
    "finetune": Recipe(
        epochs=70, batch_size=8, learning_rate=2e-3, trunk_rate=0.33, warmup=0.05, class_weighting="sqrt",
        jaccard_weight=0.5, average_decay=0.998,
        augmentation=Augmentation(crop_hw=(320, 320), scale=(0.6, 1.8), flip=0.5, colour=0.4),
    ),
}  # fmt: skip

DEFAULT_PRESET: Mapping[str, str] = {
    "lraspp": "scratch",
    "fcn32s": "fcn-paper",
    "fcn16s": "fcn-paper",
    "fcn8s": "fcn-paper",
    "fcn_resnet18": "scratch",
    "fcn_resnet50": "torchvision",
    "deeplabv3": "torchvision",
    "unet": "unet-paper",
    "segnet": "scratch",
}


_OWN_STAGES = ("fcn32s", "fcn16s", "fcn8s")
"""Networks whose paper starts each of them from the one before, by the paper's own recipe."""


def default_preset(architecture: str, *, from_weights: bool) -> str:
    """Returns the name of a network's preset.

    Args:
        architecture: as in the registry.
        from_weights: whether the network starts from trained weights.
    """
    if from_weights and architecture not in _OWN_STAGES:
        return "finetune"
    return DEFAULT_PRESET.get(architecture, "scratch")


def preset(name: str) -> Recipe:
    """Returns the preset of this name.

    Raises:
        UsageError: there is none of this name; the message lists the known ones.
    """
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
