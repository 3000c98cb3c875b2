"""The training loop: one process or torchrun, resumable after any epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..data.metrics import ConfusionMatrix
from ..data.voc import VocDataset
from ..models import registry
from ..models.base import SegmentationNetwork
from ..models.checkpoint import CheckpointInfo, save_checkpoint
from . import distributed, log, state
from .batches import EpochBatches, training_batches
from .evaluate import evaluate, normalizer
from .losses import SegmentationLoss, class_weights
from .optim import AveragedWeights, make_optimizer, rate_factor
from .recipe import Recipe

Amp = Literal["off", "bf16", "fp16"]


@dataclass(frozen=True)
class Job:
    """What to train, on what, and where the results go.

    Attributes:
        architecture, arguments: the network, as the registry knows it.
        recipe: how.
        train, val: the two splits; with ``val`` None nothing is measured, and best is last.
        input_size_hw: (H, W) for evaluation and deployment.
        out: folder for checkpoints, log and curves.
        seed: of everything random.
        amp: autocast precision.
        compile: let torch.compile fuse the network's steps.
        workers: processes that load and augment pictures.
        cache_bytes: memory for decoded pictures.
        evaluate_every: epochs between two measurements; the last epoch is always measured.
        resume: go on from ``out`` where there is a state.
        initialize: called with the fresh network, to load weights to start from.
        note: what else the checkpoint should remember of the run, such as the command.
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
    evaluate_every: int = 1
    resume: bool = False
    initialize: Callable[[SegmentationNetwork], None] | None = None
    note: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Where the training stands, for whoever shows it. ``val_miou`` is the last one measured."""

    epoch: int
    step: int
    steps: int
    loss: float
    val_miou: float | None


class Trainer:
    """Trains one network.

    Writes into ``job.out``: ``best.safetensors`` and ``last.safetensors`` (averaged weights, as they deploy),
    ``state.safetensors`` (what ``resume`` needs), ``log.jsonl`` and ``curves.png``.

    Args:
        job: what to do.
        report: called after every step and every epoch, on the process that writes.
    """

    def __init__(self, job: Job, report: Callable[[Progress], None]) -> None:
        self.job = job
        self.report = report
        recipe = job.recipe
        torch.manual_seed(job.seed)
        network = registry.build(job.architecture, len(job.train.labels), job.arguments)
        if job.initialize is not None:
            job.initialize(network)
        network = network.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        distributed.synchronize_batch_norm(network, job.device)
        self.network = network
        self.average = AveragedWeights(self.network, recipe.average_decay)
        self.optimizer = make_optimizer(self.network, recipe)
        self.batches = EpochBatches(
            len(job.train), recipe.batch_size, job.seed, distributed.rank(), distributed.world_size()
        )
        self.loader = training_batches(
            job.train, recipe.augmentation, self.batches, job.workers, job.cache_bytes
        )
        self.total_steps = recipe.epochs * len(self.batches)
        self.rate_factor = rate_factor(recipe, self.total_steps)
        weights = class_weights(_frequency(job.train), recipe.class_weighting)
        self.loss = SegmentationLoss(
            None if weights is None else weights.to(job.device),
            recipe.jaccard_weight,
            recipe.auxiliary_weight,
        )
        self.info = CheckpointInfo(
            job.architecture,
            job.train.labels,
            job.input_size_hw,
            job.arguments,
            recipe={**asdict(recipe), **job.note},
        )
        self.normalize = normalizer(self.info.mean, self.info.std, job.device)
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.amp == "fp16")
        self.epochs_done = 0
        self.best_miou = -1.0
        self.val_miou: float | None = None
        if job.resume and self._state_path.exists():
            self._resume()
        view: nn.Module = _TrainingView(self.network)
        if distributed.world_size() > 1:
            view = nn.parallel.DistributedDataParallel(view)
        self.forward = torch.compile(view) if job.compile else view

    @property
    def _state_path(self) -> Path:
        return self.job.out / "state.safetensors"

    def run(self) -> dict[str, object]:
        """Trains to the recipe's end, and returns the last log entry."""
        entry: dict[str, object] = {}
        for epoch in range(self.epochs_done, self.job.recipe.epochs):
            started = time.monotonic()
            loss = self._train_epoch(epoch)
            self.epochs_done = epoch + 1
            # The averaged weights are the same on every process, so one measures and writes.
            if distributed.is_writer():
                entry = self._finish_epoch(loss, time.monotonic() - started)
            distributed.barrier()
        return entry

    def _train_epoch(self, epoch: int) -> float:
        self.network.train()
        self.batches.epoch = epoch
        torch.manual_seed(self.job.seed * 1_000_003 + epoch)  # for dropout
        total = 0.0
        for index, (image, truth) in enumerate(self.loader):
            step = epoch * len(self.batches) + index
            total += self._step(step, image.to(self.job.device), truth.to(self.job.device))
            if distributed.is_writer():
                self.report(Progress(epoch, index + 1, len(self.batches), total / (index + 1), self.val_miou))
        return total / max(1, len(self.batches))

    def _step(self, step: int, image: Tensor, truth: Tensor) -> float:
        """One step; returns the loss of the joint batch."""
        rate = self.job.recipe.learning_rate * self.rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        x = self.normalize(image).contiguous(memory_format=torch.channels_last)
        dtype = torch.float16 if self.job.amp == "fp16" else torch.bfloat16
        with torch.autocast(self.job.device.type, dtype, enabled=self.job.amp != "off"):
            outputs = self.forward(x)
        loss = self.loss(outputs, truth)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.network, step)
        # Each process's loss carries a factor of world_size over the joint mass: the mean is the joint loss.
        return float(distributed.sum_over_processes(loss)) / distributed.world_size()

    def _finish_epoch(self, loss: float, seconds: float) -> dict[str, object]:
        job, recipe = self.job, self.job.recipe
        entry: dict[str, object] = {
            "epoch": self.epochs_done,
            "loss": round(loss, 6),
            "learning_rate": round(self.optimizer.param_groups[0]["lr"], 8),
            "train_seconds": round(seconds, 1),
        }
        due = self.epochs_done % job.evaluate_every == 0 or self.epochs_done == recipe.epochs
        improved = job.val is None
        if job.val is not None and due:
            confusion = self.measure(job.val)
            entry["val"] = log.figures(confusion, job.train.labels)
            self.val_miou = confusion.miou
            improved = confusion.miou > self.best_miou
            self.best_miou = max(self.best_miou, confusion.miou)
        info = self._info_with(entry)
        save_checkpoint(job.out / "last.safetensors", self.average.network, info, half=True)
        if improved:
            save_checkpoint(job.out / "best.safetensors", self.average.network, info, half=True)
        progress = {"epochs_done": self.epochs_done, "best_miou": self.best_miou, "val_miou": self.val_miou}
        log.append(job.out / "log.jsonl", entry)
        state.save_state(self._state_path, self.network, self.average.network, self.optimizer, progress)
        log.draw_curves(
            log.read(job.out / "log.jsonl"),
            job.out / "curves.png",
            f"{job.architecture}, {job.train.root.name}",
        )
        self.report(Progress(self.epochs_done, 0, len(self.batches), loss, self.val_miou))
        return entry

    def measure(self, dataset: VocDataset) -> ConfusionMatrix:
        """The averaged weights' figures on a split."""
        samples = (dataset.read(index) for index in range(len(dataset)))
        return evaluate(
            self.average.network, samples, self.job.input_size_hw, self.normalize, self.job.device
        )

    def _info_with(self, entry: Mapping[str, object]) -> CheckpointInfo:
        metrics = (
            {f"{self.job.val.root.name}/{self.job.val.split}": entry["val"]}
            if self.job.val and "val" in entry
            else {}
        )
        recipe = {**self.info.recipe, "epochs_done": self.epochs_done}
        return CheckpointInfo(
            self.info.architecture, self.info.labels, self.info.input_size_hw, self.info.arguments,
            recipe=recipe, metrics=metrics,
        )  # fmt: skip

    def _resume(self) -> None:
        progress = state.load_state_into(self._state_path, self.network, self.average.network, self.optimizer)
        self.epochs_done = int(str(progress["epochs_done"]))
        self.best_miou = float(str(progress["best_miou"]))
        miou = progress["val_miou"]
        self.val_miou = None if miou is None else float(str(miou))
        if distributed.is_writer():
            log.truncate(self.job.out / "log.jsonl", self.epochs_done)


class _TrainingView(nn.Module):
    """The network as the loss sees it, so that DDP and torch.compile wrap auxiliary heads too."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.network.training_outputs(x)


def _frequency(dataset: VocDataset) -> Tensor:
    """Each class's share of the labelled pixels of a split, float64 [C]. Reads every pair: bad ones show at once."""
    counts = np.zeros(256, np.int64)
    for index in range(len(dataset)):
        counts += np.bincount(dataset.read(index).mask.ravel(), minlength=256)
    known = counts[: len(dataset.labels)]
    return torch.from_numpy(known / max(1, known.sum()))
