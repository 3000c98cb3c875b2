"""``edgeseg replay``: runs a recording again and reports the changes."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError
from ..core.printable import printable, printable_lines

if TYPE_CHECKING:
    from ..apps.console import StatusLine
    from ..apps.recording.reading import Recording
    from ..apps.recording.replay import ReplayReport
    from ..core.labels import LabelMap

_MOST_WORST = 1000
_MOST_THREADS = 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg replay``."""
    parser.add_argument("recording", type=Path, metavar="DIR", help="what `edgeseg run --record DIR` wrote")
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="the bundle to run; needed unless --bag is given"
    )
    parser.add_argument(
        "--bag",
        type=Path,
        metavar="DIR",
        help="write what was recorded as a bag of ROS 2 (MCAP), for Foxglove and `ros2 bag play`",
    )
    parser.add_argument(
        "--variant",
        metavar="V",
        help="precision to run; default: the recorded one, else the bundle's own choice",
    )
    parser.add_argument("--backend", metavar="B", help="library to run it with; default: the recorded one")
    parser.add_argument(
        "--device",
        metavar="D",
        help="default: the recorded one, if the backend is the same",
    )
    parser.add_argument(
        "--threads", metavar="N", help="CPU threads for inference; default: as recorded, else 1"
    )
    parser.add_argument("--take", type=int, metavar="N", help="only this take; default: all")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="compare with what this bundle gives; default: the recorded masks",
    )
    parser.add_argument(
        "--against-variant", metavar="V", help="precision of --against; default: the bundle's own"
    )
    parser.add_argument("--against-backend", metavar="B", help="backend of --against; default: as --backend")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write images of the frames that differ most")
    parser.add_argument(
        "--worst", type=int, default=8, metavar="N", help="how many such frames; default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")


def run(args: argparse.Namespace) -> int:
    """Replays a recording; returns 0, even if results changed.

    Raises:
        EdgesegError: the recording, a bundle, an option or an output cannot work.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    _check(args)

    from ..apps.console import StatusLine, head_line
    from ..apps.recording.reading import Recording
    from ..apps.recording.replay import check_labels, replay
    from ..core.outputs import check_output, prepare_output, write_atomically
    from ..core.reads import Reads
    from ..runtime.bundle import Bundle
    from ..runtime.segmenter import Segmenter

    reads = Reads().add(f"the recording {args.recording}", args.recording)
    reads.add(f"the bundle {args.bundle}", args.bundle).add(f"the bundle {args.against}", args.against)
    for output, folder in ((args.out, True), (args.json, False), (args.bag, True)):
        if output is not None:
            check_output(output, folder=folder, reads=reads)
            prepare_output(output, args.force, folder=folder)
    status = StatusLine(paced=True)
    recording = Recording(args.recording, args.take)
    if args.bag is not None:
        _write_bag(args, recording, status)
    if args.bundle is None:
        return 0
    recorded = {key: value for key, value in recording.run.items() if isinstance(value, str)}
    threads = int(args.threads or 0) or _recorded_threads(recording.run) or 1
    bundle = Bundle.load(args.bundle)
    check_labels(recording, bundle.labels, bundle.name)
    backend = args.backend or recorded.get("backend") or "onnxruntime"
    device = args.device or (recorded.get("device") if backend == recorded.get("backend") else None)
    variant = args.variant
    if variant is None and recorded.get("variant") in bundle.variants:
        variant = recorded["variant"]
    with ExitStack() as stack:
        segmenter = stack.enter_context(
            Segmenter(bundle, variant, backend, device, threads, status.write_line)
        )
        segmenter.warmup()
        against = None
        if args.against is not None:
            other = Bundle.load(args.against)
            check_labels(recording, other.labels, other.name)
            its_backend = args.against_backend or backend
            its_device = device if its_backend == backend else None
            against = stack.enter_context(
                Segmenter(other, args.against_variant, its_backend, its_device, threads, status.write_line)
            )
            against.warmup()
        try:
            report = replay(
                recording,
                segmenter,
                against,
                args.worst,
                on_frame=lambda frames: status.show(lambda: f"{frames} frames replayed"),
            )
        finally:
            status.clear()
        head = head_line(segmenter)
    summary = {
        "schema": "edgeseg.replay/1",
        "recording": str(args.recording),
        "threads": threads,
        **report.summary,
    }
    for problem in recording.problems:
        status.write_line(problem)
    print(head)
    print(printable_lines(table(summary)))
    if args.out is not None:
        _write_images(args, recording.labels, report, summary)
    if args.json is not None:
        write_atomically(args.json, (json.dumps(summary, indent=2) + "\n").encode(), args.force)
        print(f"wrote {printable(str(args.json))}")
    return 0


def _recorded_threads(recorded: Mapping[str, Any]) -> int | None:
    threads = recorded.get("threads")
    return threads if isinstance(threads, int) and 1 <= threads <= _MOST_THREADS else None


def table(summary: Mapping[str, Any]) -> str:
    """The changes as a table."""
    before = _label(summary["before"])
    invalid = summary["recorded_invalid"]
    rows = {
        "recording": f"{summary['recording']}, {summary['frames']} frames of {', '.join(summary['takes'])}",
        "recorded by": _label(summary["recorded_run"]),
        "compared with": before,
        "changed pixels": f"{summary['changed_pixels']} of {summary['pixels']}, {summary['changed_share']:.4%}",
        "changed frames": f"{summary['changed_frames']} of {summary['compared_frames']}",
    }
    if invalid:
        rows["recorded invalid"] = ", ".join(f"{count} {reason}" for reason, count in sorted(invalid.items()))
    if len(summary["recorded_variants"]) > 1:
        variants = summary["recorded_variants"].items()
        rows["recorded variants"] = ", ".join(f"{count} {name}" for name, count in variants)
    if summary["after_not_finite"]:
        rows["not finite"] = f"{summary['after_not_finite']} frames"
    lines = [f"{name:18}{text}" for name, text in rows.items()]
    present = {name: each for name, each in summary["classes"].items() if each["iou"] is not None}
    if present:
        width = max(18, *(len(name) + 2 for name in present))
        lines += ["", f"{'class':{width}}{'IoU':>9}{'before':>9}{'after':>9}"]
        lines += [
            f"{name:{width}}{each['iou']:9.4f}{each['share_before']:9.2%}{each['share_after']:9.2%}"
            for name, each in present.items()
        ]
    lines += ["", f"{'milliseconds':18}{'before p50':>12}{'p99':>9}{'after p50':>12}{'p99':>9}"]
    for stage, after in summary["after_ms"].items():
        ms = summary["before_ms"].get(stage)
        old = f"{ms['p50']:12.2f}{ms['p99']:9.2f}" if ms else f"{'-':>12}{'-':>9}"
        lines.append(f"{stage:18}{old}{after['p50']:12.2f}{after['p99']:9.2f}")
    if summary["worst"]:
        lines += ["", f"{'worst frames':18}{'changed':>9}"]
        lines += [
            f"{each['take'] + ' ' + format(each['frame_id'], '06d'):18}{each['changed_share']:9.2%}"
            for each in summary["worst"]
        ]
    return "\n".join(lines)


def _write_bag(args: argparse.Namespace, recording: Recording, status: StatusLine) -> None:
    from ..apps.recording.bag import write_bag

    try:
        frames = write_bag(
            recording, args.bag, args.force, lambda frames: status.show(lambda: f"{frames} frames written")
        )
    finally:
        status.clear()
    if args.bundle is None:
        for problem in recording.problems:
            status.write_line(problem)
    print(f"wrote {frames} frames to {printable(str(args.bag))}")


def _check(args: argparse.Namespace) -> None:
    if args.bundle is None and args.bag is None:
        raise UsageError("the following arguments are required: --bundle; see edgeseg replay --help")
    if args.bundle is None:
        for name in ("variant", "backend", "device", "threads", "against", "out", "json"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} goes with --bundle alone; give --bundle too, or leave it out")
    if args.against is None and (args.against_variant or args.against_backend):
        raise UsageError(
            "--against-variant and --against-backend go with --against alone; give --against too"
        )
    if not 0 <= args.worst <= _MOST_WORST:
        raise UsageError(f"--worst {args.worst}: expected 0 to {_MOST_WORST}")
    threads = args.threads
    if threads is not None and not (threads.isascii() and threads.isdigit() and int(threads) > 0):
        raise UsageError(f"--threads {threads}: expected a number of 1 or more")
    if threads is not None and int(threads) > _MOST_THREADS:
        raise UsageError(f"--threads {threads}: expected {_MOST_THREADS} at most")


def _write_images(
    args: argparse.Namespace, labels: LabelMap, report: ReplayReport, summary: dict[str, Any]
) -> None:
    """Writes the images to a folder that gets its name once it is whole, and adds their names to the summary."""
    from ..apps.recording.images import DifferenceImages
    from ..core.errors import OutputError
    from ..core.outputs import discard, prepare_output, put_in_place

    partial = prepare_output(args.out, args.force, folder=True)
    images = DifferenceImages(labels, _label(summary["before"]), _label(summary["after"]))
    try:
        partial.mkdir()
        for number, (difference, facts) in enumerate(zip(report.worst, summary["worst"], strict=True), 1):
            name = f"{number:02d}-{difference.take}-{difference.frame_id:06d}.png"
            images.write(difference, partial / name)
            facts["picture"] = name
        put_in_place(partial, args.out)
    except OSError as error:
        raise OutputError(f"cannot write {args.out}: {error.strerror}") from error
    finally:
        discard(partial)
    print(f"\nwrote {len(report.worst)} images to {printable(str(args.out))}")


def _label(head: Mapping[str, Any]) -> str:
    if "variant" not in head:
        return "the recorded masks"
    return f"{head.get('bundle')} {head.get('variant')}, {head.get('backend')} on {head.get('device')}"
