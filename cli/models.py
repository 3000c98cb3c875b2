"""``edgeseg models``: the networks as a table or as JSON, and a checkpoint's card."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import MissingDependencyError, UsageError
from ..core.printable import printable_lines
from ..core.sizes import parse_size

if TYPE_CHECKING:
    from ..models.survey import NetworkFacts


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's options."""
    parser.add_argument(
        "--size",
        default="512x512",
        metavar="HxW",
        help="input size for the GFLOPs; default: %(default)s",
    )
    parser.add_argument(
        "--classes", type=int, default=21, metavar="N", help="number of classes; default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--card", metavar="NAME|FILE", help="print a checkpoint's card instead, such as lraspp-aerial"
    )
    parser.add_argument(
        "--curves", default="", metavar="PNG", help="an image of the curves for the card to show"
    )


def run(args: argparse.Namespace) -> int:
    """Prints every network's parameters, GFLOPs, stride, weights and options."""
    if args.card:
        print(printable_lines(_card(args.card, args.curves)), end="")
        return 0
    size_hw = parse_size(args.size)
    if not 1 <= args.classes <= 255:
        raise UsageError(f"--classes {args.classes}: expected 1 to 255")
    try:
        from ..models.survey import survey
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export", "listing the networks") from error
    facts = survey(size_hw, args.classes)
    if args.json:
        print(json.dumps(_as_json(facts, size_hw, args.classes), indent=2))
    else:
        _print_table(facts, size_hw, args.classes)
    return 0


def _card(name: str, curves: str) -> str:
    try:
        from ..models.card import render_card
        from ..models.checkpoint import load_checkpoint
        from ..models.pretrained import shipped_path
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export", "reading a checkpoint") from error
    path = shipped_path(name) or Path(name)
    return render_card(load_checkpoint(path).info, path.stem, curves)


def _as_json(facts: list[NetworkFacts], size_hw: tuple[int, int], num_classes: int) -> dict[str, object]:
    from dataclasses import asdict

    return {"size_hw": list(size_hw), "classes": num_classes, "networks": [asdict(row) for row in facts]}


def _print_table(facts: list[NetworkFacts], size_hw: tuple[int, int], num_classes: int) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ModuleNotFoundError as error:
        raise MissingDependencyError("rich", "export", "the table of networks") from error
    height, width = size_hw
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("network", "M params", "GFLOPs", "stride"):
        table.add_column(heading, justify="left" if heading == "network" else "right", no_wrap=True)
    for heading in ("weights", "what it is"):
        table.add_column(heading)
    for row in facts:
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.2f}",
            "-" if row.gflops is None else f"{row.gflops:.1f}",
            str(row.stride),
            " ".join(row.weights),
            row.summary,
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"\nGFLOPs: the coarse logits of one {height}x{width} image with {num_classes} classes, "
        "a multiply-add counted as two.\nOptions and their defaults:",
        markup=False,
    )
    for row in facts:
        values = (
            f"{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in row.options.items()
        )
        console.print(f"  {row.name}: {' '.join(values)}", markup=False)
    for row in facts:
        if row.refusal:
            console.print(row.refusal, markup=False)
