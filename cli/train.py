"""``edgeseg train``: trains a network on a VOC-layout data set."""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import MissingDependencyError, UsageError
from .train_options import VAL, add_options, check_numbers

if TYPE_CHECKING:
    from ..core.reads import Reads
    from ..data.voc import VocDataset

_SHEET_EVERY = 10
_NO_CACHE = "none"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg train``."""
    add_options(parser)


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
    from ..training import board, distributed, folder, known
    from ..training.failures import explained_failures
    from ..training.job import Job
    from ..training.trainer import Trainer
    from .network_options import parse_options
    from .train_device import choose_amp, choose_device
    from .train_display import Display, print_after, print_before
    from .train_recipe import bounded, check_combination, files_read, preset_of, recipe_of
    from .train_unlabelled import unlabelled_images

    check_numbers(args)
    device = choose_device(args.device, args.gpu)
    preset, chosen = preset_of(args)
    recipe = recipe_of(args, preset)
    if args.tensorboard:
        board.check_installed()
    train = VocDataset(args.data, args.train_split)
    val, unmeasured = _validation(args, train)
    size_hw = bounded("--size", parse_size(args.size)) if args.size is not None else train.read(0).mask.shape
    check_combination(args, recipe, measured=val is not None)
    arguments = parse_options(args.option)
    initial = None if args.init is None else initial_weights(args.model, arguments, args.init)
    writer = distributed.is_writer()
    needed, reads = files_read(args), Reads().add_dataset(args.data)
    disk_cache = _disk_cache(args.cache, reads)
    keep = folder.held(args.out, resume=args.resume, force=args.force, needed=needed, reads=reads)
    with keep if writer else nullcontext():
        if device.type == "cpu":
            keep_freed_blocks()
        initialize = None
        if initial is not None:
            initialize = known.initializer(initial, args.model, arguments, train.labels)
        splits = [train] if val is None else [train, val]
        with (
            distributed.process_group(device),
            unlabelled_images(args.unlabelled, args.unlabelled_every, args.out, splits) as (images, free),
        ):
            display = Display(args.model, recipe.epochs, quiet=not writer)
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
                amp=choose_amp(args.amp, device),
                compile=args.compile,
                workers=args.workers,
                disk_cache=disk_cache,
                disk_bytes=round(args.cache_size * 1e9),
                evaluate_every=args.evaluate_every,
                sheet_every=_sheet_every(args, val),
                tensorboard=args.tensorboard,
                resume=args.resume,
                teacher=None if args.teacher is None else known.teacher(args.teacher, train.labels, device),
                unlabelled=images,
                initialize=initialize,
                note={
                    "command": f"edgeseg train {shlex.join(sys.argv[2:])}",
                    "seed": args.seed,
                    "torch": torch.__version__,
                    **({} if initial is None else {"started_from": known.origin(initial, args.init)}),
                    **({} if args.teacher is None else {"teacher": Path(args.teacher).name}),
                    **({} if args.unlabelled is None else {"unlabelled": len(images)}),
                },
            )
            with explained_failures():
                trainer = Trainer(job, display)
            if writer:
                print_before(trainer, [unmeasured, chosen, free])
                folder.clear(args.out, resume=args.resume, keep=[folder.FRAMES] if args.unlabelled else [])
            with display:
                trainer.run()
            if writer:
                print_after(trainer)
            # It holds the group of processes, whose threads have to end before the interpreter does.
            del trainer
    return 0


def _disk_cache(name: str | None, reads: Reads) -> Path | None:
    """The folder for decoded images; None for none."""
    from ..core.outputs import check_output
    from ..runtime.cache import default_folder

    if name == _NO_CACHE:
        return None
    if not name:
        if name is not None:
            raise UsageError("--cache '': expected a folder, or none")
        return default_folder() / "images"
    check_output(Path(name), folder=True, reads=reads)
    return Path(name)


def _sheet_every(args: argparse.Namespace, val: VocDataset | None) -> int:
    if val is not None:
        return _SHEET_EVERY if args.sheet_every is None else int(args.sheet_every)
    if args.sheet_every:
        raise UsageError(
            "--sheet-every draws validation images, and there is no split to measure on: add --val-split NAME"
        )
    return 0


def _validation(args: argparse.Namespace, train: VocDataset) -> tuple[VocDataset | None, str]:
    """The split to measure on, and a note on it to print before the start."""
    from ..data.lists import find_split, split_names
    from ..data.voc import VocDataset

    name = VAL if args.val_split is None else args.val_split
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
