"""The training loop: in one process or under torchrun, resumable after any epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.errors import TrainingError
from ..core.labels import VOID
from ..data.metrics import ConfusionMatrix
from ..data.unlabelled import measure
from ..data.voc import VocDataset
from ..models import registry
from ..models.checkpoint import CheckpointInfo, save_checkpoint
from . import distributed, folder, log, state
from .batches import EpochBatches, EpochOf, training_batches
from .board import TensorBoardLog
from .checks import Splits, check_splits
from .distill import distillation
from .draw import Draw, balanced_chances
from .evaluate import Predictor, evaluate, normalizer
from .failures import check_loss, check_weights, explained_failures
from .images import TrainingImages, memory_share, plan
from .job import Job, TrainingProgress, identity_of
from .losses import SegmentationLoss, class_weights
from .optim import AveragedWeights, make_optimizer, rate_factor
from .resume import check_belongs
from .sheet import draw_validation, sheet_path, write_sheet
from .tuning import freeze, training_mode
from .view import TrainingView


class Trainer:
    """Trains one network.

    Writes into ``job.out``: ``best.safetensors`` and ``last.safetensors`` (averaged weights, for deployment),
    ``state.safetensors`` (for ``resume``), ``log.jsonl``, ``curves.png``, sheets and files for TensorBoard.

    Args:
        job: the training to run.
        report: called after every step and every epoch, on the process that writes.

    Attributes:
        written: the checkpoints that this run wrote.
        changed: the differences of a resumed run, such as ``learning_rate 0.001 instead of 0.01``.
        notes: for the user, before the start: where images are kept.

    Raises:
        DataError: an image or mask is missing or malformed, or the data do not allow training or measuring.
        UsageError: the network cannot be trained on such batches.
        CheckpointError: the state to resume has other data, classes or network.
    """

    def __init__(self, job: Job, report: Callable[[TrainingProgress], None]) -> None:
        self.job = job
        self.report = report
        recipe = job.recipe
        self.written: list[Path] = []
        self.changed: list[str] = []
        self.notes: list[str] = []
        splits = check_splits(job.architecture, job.arguments, recipe, job.train, job.val, job.input_size_hw)
        self.identity = identity_of(job, splits)
        torch.manual_seed(job.seed)
        network = registry.build(job.architecture, len(job.train.labels), job.arguments)
        if job.initialize is not None:
            job.initialize(network)
        network = network.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        distributed.synchronize_batch_norm(network, job.device)
        freeze(network, recipe)
        self.network = network
        self.average = AveragedWeights(self.network, recipe.average_decay)
        self.optimizer = make_optimizer(self.network, recipe)
        draw = Draw(
            len(job.train),
            recipe.batch_size,
            job.seed,
            balanced_chances(splits.train.by_image, recipe.balance),
            len(job.unlabelled),
            recipe.unlabelled_share,
        )
        self.batches = EpochBatches(draw, distributed.rank(), distributed.world_size())
        self.images = self._images(splits)
        self.loader = training_batches(self.images, self.batches, job.workers)
        self.steps_per_epoch = -(-len(self.batches) // recipe.accumulate)
        self.total_steps = recipe.epochs * self.steps_per_epoch
        self.rate_factor = rate_factor(recipe, self.total_steps)
        frequency = torch.from_numpy(splits.train.frequency[: len(job.train.labels)])
        weights = class_weights(frequency, recipe.class_weighting)
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
            network.mean,
            network.std,
            recipe={**asdict(recipe), **job.note},
        )
        self.normalize = normalizer(self.info.mean, self.info.std, job.device)
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.amp == "fp16")
        self.epochs_done = self.epochs_saved = 0
        self.best_miou = -1.0
        self.since_best = 0
        self.val_miou: float | None = None
        if job.resume and self._state_path.exists():
            self._resume()
        view: nn.Module = TrainingView(self.network, with_coarse=job.teacher is not None)
        if distributed.world_size() > 1:
            view = nn.parallel.DistributedDataParallel(view)
        self.forward = torch.compile(view) if job.compile else view

    def _images(self, splits: Splits) -> TrainingImages:
        """Returns the images, and notes where they are kept."""
        job = self.job
        images = TrainingImages(job.train, job.recipe.augmentation, unlabelled=job.unlabelled)
        sizes_hw = [*splits.train.sizes_hw, *measure(job.unlabelled)]
        share = memory_share(job.cache_bytes, job.workers)
        keeping, note = plan(images, sizes_hw, share, job.disk_cache, job.disk_bytes)
        images.keep(keeping)
        self.notes += [note] if note else []
        return images

    @property
    def _state_path(self) -> Path:
        return self.job.out / "state.safetensors"

    def run(self) -> dict[str, object]:
        """Trains to the recipe's end, and returns the last log entry."""
        entry: dict[str, object] = {}
        with explained_failures(self._kept), self._open_board() as board:
            told_full = False
            for epoch in range(self.epochs_done, self.job.recipe.epochs):
                if self.ran_out_of_patience:
                    break
                started = time.monotonic()
                loss, waited = self._train_epoch(epoch)
                for network in (self.network, self.average.network):
                    check_weights(network, f"after epoch {epoch + 1}", self._rate, self.job.amp)
                self.epochs_done = epoch + 1
                # The averaged weights are the same on every process, so only one measures and writes.
                if distributed.is_writer():
                    seconds = time.monotonic() - started
                    entry = self._finish_epoch(loss, seconds, waited / max(seconds, 1e-9), board)
                    if self.images.disk_is_full and not told_full:
                        told_full = True
                        self._tell(
                            "the disk has no room for more decoded images; the rest is decoded each time"
                        )
                # Only one process knows the figures, but all must stop together.
                since = torch.tensor(
                    float(self.since_best if distributed.is_writer() else 0), device=self.job.device
                )
                self.since_best = int(distributed.sum_over_processes(since))
        return entry

    @property
    def ran_out_of_patience(self) -> bool:
        """Returns True if too many measurements in a row were no better than the best."""
        return 0 < self.job.recipe.patience <= self.since_best

    @property
    def _rate(self) -> float:
        return self.job.recipe.learning_rate

    def _open_board(self) -> closing[TensorBoardLog] | nullcontext[None]:
        if not self.job.tensorboard or not distributed.is_writer():
            return nullcontext()
        return closing(TensorBoardLog(self.job.out / folder.BOARD, self.epochs_done))

    def _tell(self, note: str) -> None:
        self.report(TrainingProgress(self.epochs_done, 0, len(self.batches), 0.0, self.val_miou, note=note))

    def _kept(self) -> str:
        if self.epochs_saved:
            return f"epoch {self.epochs_saved} is kept in {self.job.out}: --resume goes on from there"
        if self.written:
            return f"there is no state to resume, only {', '.join(str(path) for path in self.written)}"
        return "nothing was written"

    def _train_epoch(self, epoch: int) -> tuple[float, float]:
        """Trains one epoch. Returns the mean loss, and the seconds in which it waited for images."""
        training_mode(self.network, self.job.recipe)
        self.batches.epoch = epoch
        torch.manual_seed(self.job.seed * 1_000_003 + epoch)  # for dropout
        total = 0.0
        labelled = False
        count, group = len(self.batches), self.job.recipe.accumulate
        batches = EpochOf(self.loader)
        for index, (image, truth) in enumerate(batches):
            turn, place = divmod(index, group)
            labelled = labelled or bool((truth != VOID).any())
            if place == 0:
                self.optimizer.zero_grad(set_to_none=True)
            # The last group of an epoch may have fewer batches.
            loss = self._add_gradients(
                image.to(self.job.device),
                truth.to(self.job.device),
                share=1 / min(group, count - turn * group),
            )
            if place == group - 1 or index == count - 1:
                self._step(epoch * self.steps_per_epoch + turn)
            check_loss(loss, f"in epoch {epoch + 1}, step {index + 1}", self._rate, self.job.amp)
            total += loss
            if distributed.is_writer():
                self.report(
                    TrainingProgress(epoch, index + 1, len(self.batches), total / (index + 1), self.val_miou)
                )
        if not distributed.sum_over_processes(torch.tensor(float(labelled), device=self.job.device)):
            raise TrainingError(
                f"no crop of epoch {epoch + 1} had a labelled pixel; use a larger --crop, or label more"
            )
        return total / max(1, len(self.batches)), batches.waited_seconds

    def _add_gradients(self, image: Tensor, truth: Tensor, share: float) -> float:
        """Adds a batch's share to the gradients, and returns the loss of the joint batch."""
        x = self.normalize(image).contiguous(memory_format=torch.channels_last)
        dtype = torch.float16 if self.job.amp == "fp16" else torch.bfloat16
        with torch.autocast(self.job.device.type, dtype, enabled=self.job.amp != "off"):
            outputs = self.forward(x)
            taught = None if self.job.teacher is None else self.job.teacher.coarse(image)
        loss = self.loss(outputs, truth)
        if taught is not None:
            loss = loss + self.job.recipe.teacher_weight * distillation(outputs["coarse"], taught)
        self.scaler.scale(share * loss).backward()  # type: ignore[no-untyped-call]
        # Each process's loss has a factor of world_size over the joint mass, so the mean is the joint loss.
        return float(distributed.sum_over_processes(loss)) / distributed.world_size()

    def _step(self, step: int) -> None:
        """Updates the weights by the gradients, at the schedule's rate."""
        rate = self.job.recipe.learning_rate * self.rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.network, step)

    def _finish_epoch(
        self, loss: float, seconds: float, data_share: float, board: TensorBoardLog | None
    ) -> dict[str, object]:
        job, recipe = self.job, self.job.recipe
        entry: dict[str, object] = {
            "epoch": self.epochs_done,
            "loss": round(loss, 6),
            "learning_rate": round(self.optimizer.param_groups[0]["lr"], 8),
            "train_seconds": round(seconds, 1),
            "data_share": round(data_share, 3),
        }
        last = self.epochs_done == recipe.epochs
        due = self.epochs_done % job.evaluate_every == 0 or last
        improved = job.val is None
        if job.val is not None and due:
            confusion = self.measure(job.val)
            entry["val"] = log.figures(confusion, job.train.labels)
            self.val_miou = confusion.miou
            improved = confusion.miou > self.best_miou
            self.since_best = 0 if improved else self.since_best + 1
            self.best_miou = max(self.best_miou, confusion.miou)
        info = self._info_with(entry)
        for name in ("best", "last") if improved else ("last",):
            path = job.out / f"{name}.safetensors"
            save_checkpoint(path, self.average.network, info, half=True)
            self.written = sorted({*self.written, path})
        progress = {
            "epochs_done": self.epochs_done,
            "best_miou": self.best_miou,
            "val_miou": self.val_miou,
            "since_best": self.since_best,
            "mean": self.info.mean,
            "std": self.info.std,
            "job": self.identity,
        }
        log.append(job.out / "log.jsonl", entry)
        state.save_state(self._state_path, self.network, self.average.network, self.optimizer, progress)
        self.epochs_saved = self.epochs_done
        sheet_rgb = None
        if job.val is not None and job.sheet_every and (self.epochs_done % job.sheet_every == 0 or last):
            note = (
                f"epoch {self.epochs_done} of {recipe.epochs}, split {job.val.split} of {job.val.root.name}"
            )
            sheet_rgb = draw_validation(self._predictor, job.val, job.architecture, note)
            write_sheet(sheet_path(job.out, self.epochs_done), sheet_rgb)
        if board is not None:
            board.add(entry, sheet_rgb)
        log.draw_curves(
            log.read(job.out / "log.jsonl"),
            job.out / "curves.png",
            f"{job.architecture}, {job.train.root.name}",
        )
        self.report(TrainingProgress(self.epochs_done, 0, len(self.batches), loss, self.val_miou, data_share))
        return entry

    def measure(self, dataset: VocDataset) -> ConfusionMatrix:
        """Returns the figures of the averaged weights on a split."""
        return evaluate(self._predictor, (dataset.read(index) for index in range(len(dataset))))

    @property
    def _predictor(self) -> Predictor:
        return Predictor(self.average.network, self.job.input_size_hw, self.normalize, self.job.device)

    def _info_with(self, entry: Mapping[str, object]) -> CheckpointInfo:
        metrics = (
            {f"{self.job.val.root.name}/{self.job.val.split}": entry["val"]}
            if self.job.val and "val" in entry
            else {}
        )
        recipe = {**self.info.recipe, "epochs_done": self.epochs_done}
        return replace(self.info, recipe=recipe, metrics=metrics)

    def _resume(self) -> None:
        saved = state.read_state(self._state_path)
        self.changed = check_belongs(saved.path, saved.progress.get("job"), self.identity)
        saved.load_into(self.network, self.average.network, self.optimizer)
        self.epochs_done = self.epochs_saved = int(saved.progress["epochs_done"])
        if "mean" in saved.progress:  # older states have ImageNet's
            mean, std = tuple(saved.progress["mean"]), tuple(saved.progress["std"])
            self.info = replace(self.info, mean=mean, std=std)
            self.normalize = normalizer(mean, std, self.job.device)
        self.since_best = int(saved.progress.get("since_best", 0))
        miou = saved.progress["val_miou"]
        self.val_miou = None if miou is None else float(miou)
        if (self.job.out / "best.safetensors").exists():
            self.best_miou = float(saved.progress["best_miou"])
        elif self.job.val is not None:
            self.changed.append("the next measured epoch as best, because best.safetensors is gone")
        if distributed.is_writer():
            log.truncate(self.job.out / "log.jsonl", self.epochs_done)
