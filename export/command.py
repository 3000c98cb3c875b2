"""``edgeseg export`` and ``python export.py``: PyTorch to ONNX to a verified bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..runtime.errors import UsageError
from ..runtime.sizes import parse_size
from .dependencies import require_export_extra

_DEFAULT_FRAMES = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add = parser.add_argument
    add("--model", required=True, metavar="NAME", help="the network; `edgeseg models` lists them")
    add(
        "--weights",
        metavar="NAME|FILE",
        help="aerial, camvid, voc, random, or a .safetensors checkpoint; default: the network's own",
    )
    add("--classes", type=int, metavar="N", help="number of classes, for weights that do not say")
    add("--precision", default="fp32", metavar="P[,P]", help="fp32, fp16, or both; the first runs by default")
    add("--size", metavar="HxW", help="input size, height first; default: the weights' own")
    add("--out", type=Path, metavar="DIR", help="the bundle's folder; default: bundle/NAME")
    add(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the network, such as width=32; may be repeated",
    )
    add("--force", action="store_true", help="replace a bundle that is there")
    add_frame_options(parser, f"how many frames to verify on; default: {_DEFAULT_FRAMES}")


def add_frame_options(parser: argparse.ArgumentParser, count_help: str) -> None:
    """Declares the options that name the frames to verify on."""
    group = parser.add_argument_group("frames to verify on")
    group.add_argument("--data", type=Path, metavar="DIR", help="a labelled data set in VOC layout")
    group.add_argument("--split", default="val", metavar="NAME", help="its split; default: val")
    group.add_argument("--source", metavar="aerial:SEED", help="the aerial world; default: aerial:7")
    group.add_argument("--frames", type=int, metavar="N", help=count_help)


def run(args: argparse.Namespace) -> int:
    """Exports; a bundle that its gates refuse is not left in place."""
    require_export_extra("exporting")
    from rich.console import Console

    from ..models.options import parse_options
    from .console import frame_progress, show_verification
    from .pipeline import PAGE_NAME, ExportRequest, export_bundle, report_folder

    out = args.out or Path("bundle") / args.model
    frames = _DEFAULT_FRAMES if args.frames is None else args.frames
    request = ExportRequest(
        model=args.model,
        out=out,
        weights=args.weights,
        num_classes=args.classes,
        arguments=parse_options(args.option),
        precisions=parse_precisions(args.precision),
        size_hw=parse_size(args.size) if args.size else None,
        data=args.data,
        split=args.split,
        source=args.source,
        frames=frames,
        force=args.force,
    )
    console = Console(highlight=False)
    with frame_progress(console, frames) as advance:
        verification = export_bundle(request, lambda text: console.print(f"… {text}"), advance)
    show_verification(console, verification)
    height, width = verification.bundle.input_size_hw
    console.print(
        f"\n[bold]{out}[/] is ready: {len(verification.bundle.labels)} classes, input {height} x {width}."
    )
    console.print(f"Report: {report_folder(out) / PAGE_NAME}", soft_wrap=True)
    console.print(f"Run it: [bold]python run_camera.py --bundle {out}[/]", soft_wrap=True)
    return 0


def parse_precisions(text: str) -> tuple[str, ...]:
    """Reads ``fp32,fp16``.

    Raises:
        UsageError: nothing is named, or one twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise UsageError(
            f"--precision {text!r}: expected names with a comma between, each once, such as fp32,fp16"
        )
    return names
