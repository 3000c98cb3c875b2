"""A training job, its progress, and its identity in a saved state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch

from ..data.voc import VocDataset
from ..models import registry
from ..models.base import SegmentationNetwork
from .checks import Splits
from .distill import Teacher
from .recipe import Recipe

Amp = Literal["off", "bf16", "fp16"]


@dataclass(frozen=True)
class Job:
    """A training job: the network, the data, and the folder of the results.

    Attributes:
        architecture, arguments: the network, as in the registry.
        recipe: the choices of the training.
        train, val: the two splits; if ``val`` is None nothing is measured, and the best checkpoint is the last.
        input_size_hw: (H, W) for evaluation and deployment.
        out: folder for checkpoints, log and curves.
        seed: of all random numbers.
        amp: autocast precision.
        compile: let torch.compile fuse the network's steps.
        workers: processes that load and augment images.
        cache_bytes: memory for decoded images, of all processes on this machine together.
        disk_cache: folder for decoded images if memory does not hold them; None for none.
        disk_bytes: the most that folder may hold.
        evaluate_every: epochs between two measurements; the last epoch is always measured.
        sheet_every: epochs between two sheets of validation images; 0 draws none. The last epoch always has one.
        tensorboard: also write files for TensorBoard.
        resume: continue from the state in ``out``, if there is one.
        initialize: called with the fresh network, to load initial weights.
        teacher: gives the soft classes, weighted by the recipe's ``teacher_weight``.
        unlabelled: images without masks, of which the recipe's ``unlabelled_share`` of each batch consists.
        note: further facts for the checkpoint's recipe, such as the command.
    """

    architecture: str
    recipe: Recipe
    train: VocDataset
    val: VocDataset | None
    input_size_hw: tuple[int, int]
    out: Path
    arguments: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    amp: Amp = "off"
    compile: bool = False
    workers: int = 1
    cache_bytes: int = 2 << 30
    disk_cache: Path | None = None
    disk_bytes: int = 20 * 10**9
    evaluate_every: int = 1
    sheet_every: int = 0
    tensorboard: bool = False
    resume: bool = False
    initialize: Callable[[SegmentationNetwork], None] | None = None
    teacher: Teacher | None = None
    unlabelled: Sequence[Path] = ()
    note: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a training, for display.

    Attributes:
        epoch, step, steps: whole epochs done, and steps of the current one; step 0 ends an epoch.
        loss: the mean over the epoch so far.
        val_miou: the last measured one, or None.
        data_share: of an ended epoch, the share of its time in which the training waited for images, 0 to 1.
        note: a message for the user; then the figures are not new.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    val_miou: float | None
    data_share: float | None = None
    note: str = ""


def identity_of(job: Job, splits: Splits) -> dict[str, object]:
    """Returns the job of a saved state, for later comparison."""
    recipe = job.recipe
    # The optimizer's state depends on the position of each parameter.
    has_parts = recipe.freeze != "none" or recipe.trunk_rate != 1
    parts = {"parts": [recipe.freeze, recipe.trunk_rate != 1]} if has_parts else {}
    return {
        **parts,
        "architecture": job.architecture,
        "arguments": registry.check_options(job.architecture, job.arguments),
        "labels": [[label.name, label.rgb] for label in job.train.labels.labels],
        "input_size_hw": job.input_size_hw,
        "train": splits.train.digest,
        "val": None if splits.val is None else splits.val.digest,
        "unlabelled": len(job.unlabelled),
        "optimizer": job.recipe.optimizer,
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "amp": job.amp,
    }
