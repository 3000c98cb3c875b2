"""The options of ``edgeseg train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.errors import UsageError

VAL = "val"
_MOST_WORKERS = 256
_MOST = 1_000_000
_LIMITS = {
    "seed": (0, 2**31 - 1),
    "workers": (0, _MOST_WORKERS),
    "evaluate_every": (1, _MOST),
    "sheet_every": (0, _MOST),
    "unlabelled_every": (1, _MOST),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg train``."""
    parser.add_argument("-m", "--model", required=True, help="a network of `edgeseg models`")
    parser.add_argument("--data", required=True, type=Path, help="a data set in VOC layout")
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints, log and curves")
    parser.add_argument(
        "--train-split", default="train", metavar="NAME", help="the split to train on; default: %(default)s"
    )
    parser.add_argument(
        "--val-split", metavar="NAME", help=f"the split to measure on; default: {VAL}, if there is one"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the network"
    )
    parser.add_argument(
        "--size",
        metavar="HxW",
        help="input of the network for evaluation and deployment; default: the first image's size",
    )
    parser.add_argument(
        "--init",
        metavar="imagenet|NAME|FILE",
        help="start from ImageNet's weights, from weights that ship, or from a file with the same layers",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue the training in OUT after its last whole epoch"
    )
    parser.add_argument("--force", action="store_true", help="start again, and replace the training in OUT")
    _add_recipe(parser.add_argument_group("recipe (each overrides the preset)"))
    _add_known(parser.add_argument_group("start from trained weights"))
    _add_records(parser.add_argument_group("progress"))
    _add_machine(parser.add_argument_group("machine"))


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--preset", help="a named recipe; the default depends on the network and on --init")
    group.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    group.add_argument("--batch-size", type=int, metavar="N", help="images in a step, over all processes")
    group.add_argument("--optimizer", choices=("sgd", "adamw"))
    group.add_argument("--schedule", choices=("poly", "one-cycle"))
    group.add_argument(
        "--warmup", type=float, metavar="X", help="share of the training in which one-cycle rises"
    )
    group.add_argument("--learning-rate", type=float, metavar="RATE", help="the highest of the schedule")
    group.add_argument("--weight-decay", type=float, metavar="X")
    group.add_argument("--crop", metavar="HxW", help="random crop; `none` trains on whole images")
    group.add_argument("--scale", metavar="LOW,HIGH", help="range of random rescaling")
    group.add_argument(
        "--class-weights", choices=("none", "sqrt", "log"), help="how much more rare classes count"
    )
    group.add_argument(
        "--balance",
        type=float,
        metavar="X",
        help="draw images of rare classes more often: 0 draws each image once an epoch, 1 all classes alike",
    )
    group.add_argument("--jaccard", type=float, metavar="W", help="weight of the soft-IoU loss")
    group.add_argument(
        "--average", type=float, metavar="DECAY", help="decay of the averaged weights; 0 averages none"
    )
    group.add_argument("--accumulate", type=int, metavar="N", help="batches whose gradients make one step")
    group.add_argument(
        "--patience", type=int, metavar="N", help="end after N measurements that were no better than the best"
    )


def _add_known(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--freeze",
        choices=("none", "stem", "trunk"),
        help="the part that keeps its weights and batch-norm statistics",
    )
    group.add_argument(
        "--trunk-rate", type=float, metavar="X", help="the trunk's share of the learning rate, such as 0.3"
    )
    group.add_argument(
        "--freeze-norms", action="store_true", default=None, help="keep the trunk's batch-norm statistics"
    )
    group.add_argument(
        "--teacher",
        metavar="NAME|FILE",
        help="weights that ship, or a checkpoint, whose class probabilities are learnt too",
    )
    group.add_argument("--teacher-weight", type=float, metavar="W", help="how much they count; default: 0.5")
    group.add_argument(
        "--unlabelled",
        metavar="DIR|GLOB|VIDEO",
        help="images without masks, on which the network learns from the teacher alone",
    )
    group.add_argument(
        "--unlabelled-share", type=float, metavar="X", help="their share of each batch; default: 0.5"
    )
    group.add_argument(
        "--unlabelled-every", type=int, default=15, metavar="N",
        help="every Nth frame of a video; default: %(default)s",
    )  # fmt: skip


def _add_records(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--evaluate-every",
        type=int,
        default=1,
        metavar="N",
        help="epochs between measurements; default: %(default)s",
    )
    group.add_argument(
        "--sheet-every",
        type=int,
        metavar="N",
        help="epochs between sheets of validation images; 0 draws none; default: 10, if there is a --val-split",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="also write curves and sheets for TensorBoard"
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all random choices; default: %(default)s"
    )
    group.add_argument("--device", help="cpu, cuda, cuda:N or auto (the default)")
    group.add_argument("-g", "--gpu", type=int, metavar="N", help="train on this GPU, as --device cuda:N")
    group.add_argument(
        "--amp",
        choices=("auto", "off", "bf16", "fp16"),
        default="auto",
        help="mixed precision; default: %(default)s",
    )
    group.add_argument(
        "--compile", action="store_true", help="fuse with torch.compile (needs a C++ compiler)"
    )
    group.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that load images; default: 1"
    )
    group.add_argument(
        "--cache",
        metavar="DIR|none",
        help="where decoded images are kept if memory does not hold them; default: the user's cache folder",
    )
    group.add_argument(
        "--cache-size", type=float, default=20.0, metavar="GB", help="its largest size; default: %(default)g"
    )


def check_numbers(args: argparse.Namespace) -> None:
    """Refuses invalid numbers, except those of the recipe, which checks its own.

    Raises:
        UsageError: a number is out of its range.
    """
    for name, (low, high) in _LIMITS.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise UsageError(
                f"--{name.replace('_', '-')} {value}: expected a whole number from {low} to {high}"
            )
    if not 0 < args.cache_size <= _MOST:
        raise UsageError(
            f"--cache-size {args.cache_size:g}: expected more than 0 GB, at most {_MOST}, such as 20"
        )
