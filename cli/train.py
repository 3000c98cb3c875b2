"""``edgeseg train``: trains a network on a VOC-layout data set."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingDependencyError, UsageError
from ..core.printable import printable

if TYPE_CHECKING:
    import torch

    from ..data.augment import Augmentation
    from ..data.voc import VocDataset
    from ..training.recipe import Recipe
    from ..training.trainer import Progress, Trainer


_VAL = "val"
_MOST_WORKERS = 256
_TEACHER_WEIGHT = 0.5
_MOST_PIXELS = 64 << 20
_SCALES = (0.05, 20.0)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg train``."""
    parser.add_argument("--model", required=True, help="a network of `edgeseg models`")
    parser.add_argument("--data", required=True, type=Path, help="a data set in VOC layout")
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints, log and curves")
    parser.add_argument("--train-split", default="train", metavar="NAME")
    parser.add_argument(
        "--val-split", metavar="NAME", help=f"what to measure on (default: {_VAL}, where there is one)"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the network"
    )
    parser.add_argument(
        "--size",
        metavar="HxW",
        help="network input for evaluation and deployment (default: the first image's)",
    )
    parser.add_argument(
        "--init",
        metavar="imagenet|NAME|FILE",
        help="start from ImageNet's weights, from weights that ship, or from anybody's file of the same layers",
    )
    parser.add_argument("--resume", action="store_true", help="go on where OUT was left")
    parser.add_argument("--force", action="store_true", help="start afresh over an existing OUT")
    recipe = parser.add_argument_group("recipe (each overrides the preset)")
    recipe.add_argument("--preset", help="a named recipe; the default depends on the network")
    recipe.add_argument("--epochs", type=int, metavar="N")
    recipe.add_argument("--batch-size", type=int, metavar="N", help="images a step, over all processes")
    recipe.add_argument("--optimizer", choices=("sgd", "adamw"))
    recipe.add_argument("--schedule", choices=("poly", "one-cycle"))
    recipe.add_argument("--learning-rate", type=float, metavar="RATE")
    recipe.add_argument("--weight-decay", type=float, metavar="X")
    recipe.add_argument("--crop", metavar="HxW", help="random crop; `none` trains on whole images")
    recipe.add_argument("--scale", metavar="LOW,HIGH", help="range of random rescaling")
    recipe.add_argument("--class-weights", choices=("none", "sqrt", "log"))
    recipe.add_argument("--jaccard", type=float, metavar="W", help="weight of the soft-IoU loss")
    recipe.add_argument(
        "--average", type=float, metavar="DECAY", help="decay of the averaged weights; 0 averages none"
    )
    recipe.add_argument("--accumulate", type=int, metavar="N", help="batches whose gradients make one step")
    recipe.add_argument(
        "--patience", type=int, metavar="N", help="end after N measurements that were no better than the best"
    )
    known = parser.add_argument_group("what is known already")
    known.add_argument(
        "--freeze", choices=("none", "stem", "trunk"), help="what keeps its weights and statistics"
    )
    known.add_argument(
        "--trunk-rate", type=float, metavar="X", help="the trunk's share of the learning rate, such as 0.3"
    )
    known.add_argument(
        "--freeze-norms", action="store_true", default=None, help="keep the trunk's batch-norm statistics"
    )
    known.add_argument(
        "--teacher", metavar="CHECKPOINT", help="a trained network whose soft classes are learnt too"
    )
    known.add_argument(
        "--teacher-weight", type=float, metavar="W", help=f"how much they count; default: {_TEACHER_WEIGHT:g}"
    )
    machine = parser.add_argument_group("machine")
    machine.add_argument("--seed", type=int, default=0, metavar="N")
    machine.add_argument("--device", default="auto", help="cpu, cuda or auto")
    machine.add_argument("--amp", choices=("auto", "off", "bf16", "fp16"), default="auto")
    machine.add_argument(
        "--compile", action="store_true", help="fuse with torch.compile (needs a C++ compiler)"
    )
    machine.add_argument("--workers", type=int, default=1, metavar="N", help="processes that load images")
    machine.add_argument(
        "--evaluate-every", type=int, default=1, metavar="N", help="epochs between measurements"
    )


def run(args: argparse.Namespace) -> int:
    """Trains, and prints the checkpoint's path and its measurements."""
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", "export", "training") from error
    from ..core.memory import keep_freed_blocks
    from ..core.reads import Reads
    from ..core.sizes import parse_size
    from ..data.voc import VocDataset
    from ..models.initial import initial_weights
    from ..training import distributed, folder, known
    from ..training.failures import explained_failures
    from ..training.trainer import Job, Trainer
    from .network_options import parse_options

    _check_numbers(args)
    device = _device(args.device)
    recipe = _recipe(args)
    train = VocDataset(args.data, args.train_split)
    val, unmeasured = _validation(args, train)
    size_hw = _bounded("--size", parse_size(args.size)) if args.size is not None else train.read(0).mask.shape
    known.check_known(args, recipe, measured=val is not None)
    arguments = parse_options(args.option)
    initial = None if args.init is None else initial_weights(args.model, arguments, args.init)
    writer = distributed.is_writer()
    needed, reads = known.files_read(args), Reads().add_dataset(args.data)
    keep = folder.held(args.out, resume=args.resume, force=args.force, needed=needed, reads=reads)
    with keep if writer else nullcontext():
        if device.type == "cpu":
            keep_freed_blocks()
        initialize = None
        if initial is not None:
            initialize = known.initializer(initial, args.model, arguments, train.labels)
        with distributed.process_group(device):
            display = _Display(args.model, recipe.epochs, quiet=not writer)
            job = Job(
                architecture=args.model,
                arguments=arguments,
                recipe=recipe,
                train=train,
                val=val,
                input_size_hw=(size_hw[0], size_hw[1]),
                out=args.out,
                seed=args.seed,
                device=device,
                amp=_amp(args.amp, device),
                compile=args.compile,
                workers=args.workers,
                evaluate_every=args.evaluate_every,
                resume=args.resume,
                teacher=None if args.teacher is None else known.teacher(args.teacher, train.labels, device),
                initialize=initialize,
                note={
                    "command": f"edgeseg train {shlex.join(sys.argv[2:])}",
                    "seed": args.seed,
                    "torch": torch.__version__,
                    **({} if initial is None else {"started_from": known.origin(initial, args.init)}),
                    **({} if args.teacher is None else {"teacher": Path(args.teacher).name}),
                },
            )
            with explained_failures():
                trainer = Trainer(job, display)
            if writer:
                _print_before(trainer, unmeasured)
                folder.clear(args.out, resume=args.resume)
            with display:
                trainer.run()
            if writer:
                _print_after(trainer)
    return 0


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuses invalid numbers, except those of the recipe, which checks its own."""
    limits = {"seed": (0, 2**31 - 1), "workers": (0, _MOST_WORKERS), "evaluate_every": (1, 1_000_000)}
    for name, (low, high) in limits.items():
        if not low <= getattr(args, name) <= high:
            raise UsageError(
                f"--{name.replace('_', '-')} {getattr(args, name)}: expected a whole number from {low} to {high}"
            )


def _bounded(option: str, size_hw: tuple[int, int]) -> tuple[int, int]:
    if size_hw[0] * size_hw[1] > _MOST_PIXELS:
        raise UsageError(
            f"{option} {size_hw[0]}x{size_hw[1]}: expected at most {_MOST_PIXELS >> 20} million pixels"
        )
    return size_hw


def _validation(args: argparse.Namespace, train: VocDataset) -> tuple[VocDataset | None, str]:
    """The split to measure on, and a note on it to print before the start."""
    from ..data.lists import find_split, split_names
    from ..data.voc import VocDataset

    name = _VAL if args.val_split is None else args.val_split
    known = split_names(train.root)
    if args.val_split is None and find_split(train.root, name) is None:
        return None, (
            f"no split {name!r} in {train.root} (there are {', '.join(known)}): nothing is measured, and best is last; "
            "--val-split NAME names another"
        )
    note = ""
    if find_split(train.root, name) == find_split(train.root, train.split):
        note = "the network is measured on the images it is trained on: the figures say nothing of others"
    return VocDataset(train.root, name), note


def _print_before(trainer: Trainer, unmeasured: str) -> None:
    """Prints notes for the user before a training that may take hours."""
    if unmeasured:
        print(printable(unmeasured), flush=True)
    if trainer.changed:
        changed = printable(", ".join(trainer.changed))
        print(f"going on after epoch {trainer.epochs_done} with {changed}", flush=True)


def _print_after(trainer: Trainer) -> None:
    """Prints the measurements and the names of the written files."""
    if trainer.ran_out_of_patience and trainer.epochs_done < trainer.job.recipe.epochs:
        print(
            f"ended after epoch {trainer.epochs_done}: {trainer.since_best} measurements were no better than the best; "
            "more --patience goes on"
        )
        if not trainer.written:
            return
    elif not trainer.written:
        out = printable(str(trainer.job.out))
        print(f"{out} has {trainer.epochs_done} epochs already; give more --epochs to go on")
        return
    if trainer.job.val is not None and trainer.best_miou >= 0:
        print(f"best mIoU on {printable(trainer.job.val.split)}: {trainer.best_miou:.4f}")
    written = printable(", ".join(str(path) for path in trainer.written))
    print(f"wrote {written}; log.jsonl and curves.png beside it")


def _recipe(args: argparse.Namespace) -> Recipe:
    from ..models import registry
    from ..training.recipe import DEFAULT_PRESET, preset

    registry.spec(args.model)
    base = preset(DEFAULT_PRESET.get(args.model, "scratch") if args.preset is None else args.preset)
    given = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "schedule": args.schedule,
        "learning_rate": args.learning_rate,
        "weight_decay": args.weight_decay,
        "class_weighting": args.class_weights,
        "jaccard_weight": args.jaccard,
        "average_decay": args.average,
        "freeze": args.freeze,
        "trunk_rate": args.trunk_rate,
        "frozen_norms": args.freeze_norms,
        "accumulate": args.accumulate,
        "patience": args.patience,
        "teacher_weight": _teacher_weight(args),
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return replace(base, augmentation=_augmentation(args, base.augmentation), **changes)


def _teacher_weight(args: argparse.Namespace) -> float | None:
    if args.teacher is not None and args.teacher_weight is None:
        return _TEACHER_WEIGHT
    return args.teacher_weight  # type: ignore[no-any-return]


def _augmentation(args: argparse.Namespace, base: Augmentation) -> Augmentation:
    from ..core.sizes import parse_size

    if args.crop is not None:
        base = replace(
            base, crop_hw=None if args.crop == "none" else _bounded("--crop", parse_size(args.crop))
        )
    if args.scale is not None:
        try:
            low, high = (float(part) for part in args.scale.split(","))
        except ValueError as error:
            raise UsageError(f"--scale {args.scale}: expected LOW,HIGH such as 0.75,1.75") from error
        if not _SCALES[0] <= low <= high <= _SCALES[1]:
            raise UsageError(
                f"--scale {args.scale}: expected LOW <= HIGH, both from {_SCALES[0]} to {_SCALES[1]:g}"
            )
        base = replace(base, scale=(low, high))
    return base


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (number.isascii() and number.isdecimal())):
        raise UsageError(f"--device {name}: expected cpu, cuda, cuda:N or auto")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError(
            f"--device {name}: torch finds no CUDA device here; use --device cpu, or install the GPU's driver"
        )
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: torch finds {torch.cuda.device_count()} CUDA devices, numbered from 0"
        )
    return torch.device(name)


def _amp(choice: str, device: torch.device) -> Any:
    """``auto`` is bf16 if the hardware multiplies it; emulation would be slower than float32."""
    import torch

    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capable = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16" if capable else "off"


class _Display:
    """A progress bar on a terminal; elsewhere one line for each epoch."""

    def __init__(self, title: str, epochs: int, *, quiet: bool) -> None:
        self.title, self.epochs, self.quiet = title, epochs, quiet
        self.bar: Any = None
        self.task: Any = None
        self.started = time.monotonic()
        self.first_epoch: int | None = None

    def __enter__(self) -> _Display:
        if not self.quiet and sys.stdout.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TaskProgressColumn(),
                progress.TextColumn("{task.fields[figures]}"), progress.TimeRemainingColumn(),
            )  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=None, figures="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, progress: Progress) -> None:
        miou = "–" if progress.val_miou is None else f"{progress.val_miou:.4f}"
        figures = f"loss {progress.loss:.4f}  mIoU {miou}"
        if self.first_epoch is None:
            self.first_epoch = progress.epoch
        if self.bar is not None:
            done = progress.epoch * progress.steps + progress.step
            self.bar.update(self.task, completed=done, total=self.epochs * progress.steps, figures=figures)
        elif progress.step == 0:
            done = progress.epoch - self.first_epoch
            left_s = (time.monotonic() - self.started) / max(1, done) * (self.epochs - progress.epoch)
            print(f"epoch {progress.epoch}/{self.epochs}  {figures}  {left_s / 60:.1f} min left", flush=True)
