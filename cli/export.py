"""``edgeseg export`` and ``python export.py``: from PyTorch through ONNX to a verified bundle."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError
from ..core.labels import LabelMap
from ..core.printable import printable
from ..core.sizes import parse_size
from ..export.dependencies import require_export_extra

if TYPE_CHECKING:
    from ..calibration.request import CalibrationRequest

_DEFAULT_FRAMES = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add = parser.add_argument
    add("--model", required=True, metavar="NAME", help="the network; `edgeseg models` lists them")
    add(
        "--weights",
        metavar="NAME|FILE",
        help="aerial, camvid, voc, random, a .safetensors checkpoint, or with --labels a .pth, .pt, .ckpt or "
        ".safetensors; default: the network's own",
    )
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="labelmap.txt with the classes of weights that name none, in the order of their logits",
    )
    add("--classes", type=int, metavar="N", help="number of classes, for random weights")
    add(
        "--precision",
        default="fp32",
        metavar="P[,P]",
        help="fp32, fp16, int8, or several; the first runs by default",
    )
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
    _add_int8_options(parser)
    add_frame_options(parser, f"how many frames to verify on; default: {_DEFAULT_FRAMES}")


def _add_int8_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("INT8")
    add = group.add_argument
    add(
        "--calibrate",
        metavar="DIR|aerial:SEED",
        help="labelled images to calibrate on: a data set's train split, or views of an aerial world; "
        "default: the ranges that came with the weights",
    )
    add("--budget", type=float, metavar="POINTS", help="mean IoU that INT8 may lose; default: 0.5")
    add("--class-budget", type=float, metavar="POINTS", help="IoU that any class may lose; default: 1.0")
    add("--target", metavar="T[,T]", help="tensorrt, cpu; default: both")
    add(
        "--method", metavar="M", help="minmax, percentile, entropy or auto, which measures all; default: auto"
    )
    add(
        "--no-bias-correction",
        action="store_false",
        default=None,
        dest="correct_biases",
        help="let the search leave convolutions in float without trying to correct biases first",
    )
    add(
        "--calibration-images",
        type=int,
        metavar="N",
        help="how many images to calibrate on, half of them held out; default: 160",
    )
    add("--ranges", type=Path, metavar="FILE", help="a calibration.json to take the ranges from")
    add(
        "--exclude",
        type=Path,
        metavar="FILE",
        help="convolutions that stay in float, one a line, in place of the search",
    )


def add_frame_options(
    parser: argparse.ArgumentParser,
    count_help: str,
    source: str = "aerial:SEED",
    source_help: str = "the aerial world; default: aerial:7",
) -> None:
    """Declares the options for the frames to verify on."""
    group = parser.add_argument_group("frames to verify on")
    group.add_argument("--data", type=Path, metavar="DIR", help="a labelled data set in VOC layout")
    group.add_argument("--split", default="val", metavar="NAME", help="the split of --data; default: val")
    group.add_argument("--source", metavar=source, help=source_help)
    group.add_argument("--frames", type=int, metavar="N", help=count_help)


def run(args: argparse.Namespace) -> int:
    """Exports a bundle. A bundle that does not pass its gates is not kept."""
    require_export_extra("exporting")
    from rich.text import Text

    from ..export.pipeline import PAGE_NAME, ExportRequest, export_bundle, report_folder
    from ..export.report.console import (
        PlainConsole,
        calibration_progress,
        frame_progress,
        show_export,
        show_verification,
    )
    from .network_options import parse_options

    out = args.out or Path("bundle") / args.model
    frames = _DEFAULT_FRAMES if args.frames is None else args.frames
    request = ExportRequest(
        model=args.model,
        out=out,
        weights=args.weights,
        num_classes=args.classes,
        arguments=parse_options(args.option),
        precisions=parse_names("--precision", args.precision),
        size_hw=None if args.size is None else parse_size(args.size),
        data=args.data,
        split=args.split,
        source=args.source,
        frames=frames,
        calibration=_calibration(args),
        force=args.force,
        labels=_labels(args),
    )
    console = PlainConsole()

    def on_step(text: str) -> None:
        console.print(f"… {text}", soft_wrap=True)

    with calibration_progress(console) as notify, frame_progress(console, frames) as advance:
        exported = export_bundle(request, on_step, advance, notify)
    verification = exported.verification
    show_verification(console, verification)
    show_export(console, exported, out)
    height, width = verification.bundle.input_size_hw
    console.print(f"\n{out} is ready: {len(verification.bundle.labels)} classes, input {height} x {width}.")
    console.print(f"Report: {report_folder(out) / PAGE_NAME}", soft_wrap=True)
    command = f"python run_camera.py --bundle {shlex.quote(str(out))}"
    console.print(Text.assemble("Run it: ", (printable(command), "bold")), soft_wrap=True)
    return 0


def _labels(args: argparse.Namespace) -> LabelMap | None:
    """The classes of weights from elsewhere, which hold neither their classes nor their input size."""
    if args.labels is None:
        return None
    if args.weights is None or args.size is None:
        raise UsageError(
            "--labels is for weights of another program, which name no classes and no size:"
            " add --weights FILE and --size HxW"
        )
    return LabelMap.read(args.labels)


def _calibration(args: argparse.Namespace) -> CalibrationRequest | None:
    """The request to calibrate; None if INT8 is not requested: then its options are refused."""
    from ..calibration.request import CalibrationRequest

    given = {
        "source": args.calibrate,
        "budget": args.budget,
        "class_budget": args.class_budget,
        "targets": None if args.target is None else parse_names("--target", args.target),
        "method": args.method,
        "images": args.calibration_images,
        "ranges": args.ranges,
        "exclude": args.exclude,
        "correct_biases": args.correct_biases,
    }
    choices: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if "int8" in parse_names("--precision", args.precision):
        return CalibrationRequest(**choices)
    if choices:
        raise UsageError("INT8 options were given without an int8 variant; add --precision fp32,int8")
    return None


def parse_names(option: str, text: str) -> tuple[str, ...]:
    """Reads ``fp32,fp16``.

    Args:
        option: for the message.
        text: names, separated by commas.

    Raises:
        UsageError: a name is empty or repeated.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise UsageError(f"{option} {text!r}: expected different names, separated by commas")
    return names
