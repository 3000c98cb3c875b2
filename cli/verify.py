"""``edgeseg verify``: compares a bundle with PyTorch, and refuses it if a gate does not pass."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.printable import printable
from ..export.dependencies import require_export_extra
from .export import add_frame_options

_BACKEND = "onnxruntime"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="only this variant; may be repeated; default: all",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the report; default: BUNDLE-verification"
    )
    parser.add_argument(
        "--contact-sheet",
        type=Path,
        metavar="FILE.png",
        help="also draw a few frames side by side: frame, truth, mask, overlay",
    )
    parser.add_argument("--backend", metavar="NAME", help="what runs the variants; default: onnxruntime")
    parser.add_argument(
        "--device", metavar="D", help="one that the backend knows, such as cuda; default: the backend's own"
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="instead of the usual report, find the first operator that differs from fp32 by more than its rounding",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a report or a contact sheet that exists"
    )
    add_frame_options(
        parser,
        "how many frames; default: the whole split, or 50 of the aerial world or a video",
        source="aerial:SEED|FILE",
        source_help="the aerial world, or a video, whose frames in a row also show how much masks flicker;"
        " default: aerial:7",
    )


def run(args: argparse.Namespace) -> int:
    """Verifies; raises ``VerificationError``, whose exit status is 1, if a gate does not pass."""
    require_export_extra("verifying")
    if args.layers:
        return _run_layers(args)
    from ..core.errors import VerificationError
    from ..core.outputs import check_new, check_output
    from ..core.reads import Reads
    from ..export.pipeline import JSON_NAME, PAGE_NAME, report_folder, write_report
    from ..export.report.console import PlainConsole, frame_progress, show_verification
    from ..export.verification.film_frames import FilmFrames, is_film
    from ..export.verification.frames import LabelledFrames, open_frames
    from ..export.verification.verify import VerifyRequest, verify
    from ..runtime.bundle import Bundle
    from ..runtime.sources.files import add_sources

    bundle = Bundle.load(args.bundle)
    out = args.out or report_folder(args.bundle)
    reads = Reads().add(f"the bundle {args.bundle}", args.bundle).add_dataset(args.data)
    if is_film(args.source):
        add_sources(reads, [args.source])
    check_output(out, folder=True, reads=reads)
    if args.out is not None:  # the report beside the bundle is edgeseg's own, and always the newest
        check_new(out / JSON_NAME, args.force)
        check_new(out / PAGE_NAME, args.force)
    if args.contact_sheet is not None:
        check_output(args.contact_sheet, reads=reads)
        check_new(args.contact_sheet, args.force)
    if args.data is None and is_film(args.source):
        frames: LabelledFrames = FilmFrames(args.source, args.frames)
    else:
        frames = open_frames(args.data, args.split, args.source, args.frames, bundle.input_size_hw)
    console = PlainConsole()
    console.print(f"… verifying {printable(bundle.name)} on {len(frames)} frames of {frames.name}")
    with frame_progress(console, len(frames)) as advance:
        request = VerifyRequest(args.variant, backend=args.backend or _BACKEND, device=args.device)
        verification = verify(bundle, frames, request, on_frame=advance)
    show_verification(console, verification)
    page = write_report(out, verification)
    console.print(f"\nReport: {page}", soft_wrap=True)
    if args.contact_sheet is not None:
        from ..export.report.contact_sheet import write_contact_sheet

        write_contact_sheet(args.contact_sheet, bundle, frames)
        console.print(f"Contact sheet: {args.contact_sheet}", soft_wrap=True)
    if not verification.passed:
        raise VerificationError(f"{args.bundle} does not pass its gates: {verification.failures()}")
    return 0


def _run_layers(args: argparse.Namespace) -> int:
    """Compares operators; raises ``VerificationError``, whose exit status is 1, if one departs."""
    from ..core.errors import UsageError, VerificationError
    from ..export.report.console import PlainConsole, frame_progress
    from ..export.report.layers import FRAMES, chosen_variants, compare_bundle, show_layers
    from ..export.verification.frames import open_frames
    from ..runtime.bundle import Bundle

    idle = [name for name in ("out", "contact_sheet", "backend", "device") if getattr(args, name) is not None]
    if idle:
        option = "--" + idle[0].replace("_", "-")
        raise UsageError(
            f"{option} has no effect with --layers, which runs each operator on the CPU; leave it out"
        )
    bundle = Bundle.load(args.bundle)
    variants = chosen_variants(bundle, args.variant)
    count = FRAMES if args.frames is None else args.frames
    frames = open_frames(args.data, args.split, args.source, count, bundle.input_size_hw)
    console = PlainConsole()
    console.print(
        f"… comparing the operators of {printable(bundle.name)} on {len(frames)} frames of {frames.name}"
    )
    comparisons = []
    with frame_progress(console, len(frames) * len(variants)) as advance:
        for comparison in compare_bundle(bundle, frames, variants, advance):
            show_layers(console, comparison)
            comparisons.append(comparison)
    found = [f"{c.variant}: {c.verdict()}" for c in comparisons if c.first is not None]
    if found:
        raise VerificationError("; ".join(found))
    return 0
