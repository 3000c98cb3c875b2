"""The cost by the frame's size and by the number of classes, ours against the usual way.

``python -m edgeseg.benchmarks.scaling`` exports a network with random weights for each number of classes. The decode is
timed twice: on that network's logits, and on random logits. In random logits nearly every cell is mixed, which is the
worst case.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..core.arrays import Frame
from ..core.errors import UsageError
from ..runtime.bundle import Bundle
from ..runtime.preprocess import Preprocessor
from .contender import Contender
from .decoders import decoders, mixed_share
from .describe import describe_machine
from .frames import parse_frame, read_frames
from .peers import peer_class
from .peers.base import Setting
from .peers.graphs import write_graphs
from .plots import INK, LIMIT, SERIES, new_figure, plain_axes, png
from .program import Results, run_program, write_results
from .rounds import TimedRun, clocked, run_rounds
from .tables import Table, number

_FRAMES = "640x480,1280x720,1920x1080,2560x1440,3840x2160"
_CLASSES = "2,11,21,50,100,150"
_BASE_CLASSES = 21
_BASE_FRAME_HW = (720, 1280)
_OURS, _USUAL = "edgeseg-onnxruntime", ("onnxruntime-frame", "onnxruntime-frame-argmax")
_RESIZE = "onnxruntime Resize + ArgMax"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_program("scaling", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="lraspp", help="default: %(default)s")
    parser.add_argument(
        "--size", default="512x512", metavar="HxW", help="of the network's input; default: %(default)s"
    )
    parser.add_argument(
        "--sizes", default=_FRAMES, metavar="WxH,…", help="of the frames; default: %(default)s"
    )
    parser.add_argument("--classes", default=_CLASSES, metavar="N,…", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="default: %(default)s")


def _run(args: argparse.Namespace) -> None:
    from ..core.sizes import parse_size
    from ..export.dependencies import require_export_extra

    require_export_extra("measuring how the cost grows")
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: expected 1 or more")
    sizes_hw = [parse_frame(text) for text in args.sizes.split(",")]
    counts = _counts(args.classes)
    machine = describe_machine()
    view = read_frames(None, _BASE_FRAME_HW, 1)[0][0]
    with tempfile.TemporaryDirectory(prefix="edgeseg-benchmark-") as folder:
        bundles = {
            count: _bundle(Path(folder), args.model, count, parse_size(args.size))
            for count in sorted({*counts, _BASE_CLASSES})
        }
        by_size = [
            {"size_hw": list(size_hw), **_measure(bundles[_BASE_CLASSES], _scaled(view, size_hw), args)}
            for size_hw in sizes_hw
        ]
        by_classes = [{"classes": count, **_measure(bundles[count], view, args)} for count in counts]
    result = {
        "benchmark": "scaling",
        "machine": machine,
        "network": args.model,
        "threads": args.threads,
        "by_frame_size": by_size,
        "by_classes": by_classes,
    }
    title = f"How the cost grows: {args.model} at {args.size}"
    tables = [*_tables("frame", by_size), *_tables("classes", by_classes)]
    images = {"scaling.png": ("Milliseconds by frame size and by number of classes", lambda: plot(result))}
    write_results(args, Results("scaling", title, result, tables, read_out(by_size, by_classes), images))


def _counts(text: str) -> list[int]:
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--classes {text}: expected whole numbers with commas, such as {_CLASSES}"
        ) from error
    if not all(2 <= count <= 255 for count in counts):
        raise UsageError(f"--classes {text}: expected 2 to 255")
    return counts


def _bundle(folder: Path, model: str, classes: int, size_hw: tuple[int, int]) -> Bundle:
    from ..export.bundle_writer import write_bundle
    from ..export.graph.onnx_file import export_graph
    from ..export.graph.variants import variant_graphs
    from ..models.pretrained import resolve_weights

    checkpoint = resolve_weights(model, "random", classes, {})
    network = checkpoint.build()
    graphs = variant_graphs(export_graph(network, checkpoint.info, size_hw), ("fp32",))
    place = folder / f"{classes}-classes"
    place.mkdir()
    write_bundle(place, network, checkpoint.info, graphs, weights_name="random", size_hw=size_hw)
    return Bundle.load(place)


def _scaled(frame: Frame, size_hw: tuple[int, int]) -> Frame:
    return np.asarray(cv2.resize(frame, size_hw[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _measure(bundle: Bundle, frame: Frame, args: argparse.Namespace) -> dict[str, Any]:
    """Measures ours, the usual ways, the bare network, and the decode on real and random logits; in milliseconds."""
    size_hw = frame.shape[0], frame.shape[1]
    cpus = sorted(os.sched_getaffinity(0))[: args.threads]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-benchmark-")))
        write_graphs(bundle, size_hw, work)
        np.save(work / "frames.npy", frame[None])
        setting = Setting.of(bundle, None, size_hw, args.threads, work)
        contenders = {
            name: stack.enter_context(Contender(name, setting, work / "frames.npy", cpus))
            for name in (_OURS, *_USUAL)
            if not peer_class(name).why_unavailable(name)
        }
        takes: dict[str, TimedRun] = {name: each.frames_ms for name, each in contenders.items()}
        takes["bare"] = contenders[_OURS].bare_ms
        pipeline = run_rounds(takes, args.rounds)
        coarse = _coarse(bundle, frame, args.threads)
    noise = np.random.default_rng(0).standard_normal(coarse.shape, np.float32)
    ways = decoders(len(coarse), bundle.output_size_hw, size_hw, args.threads)
    decode: dict[str, TimedRun] = {}
    for kind, logits in (("network", coarse), ("random", noise)):
        for short, name in (("ours", "edgeseg"), ("resize", _RESIZE)):
            decode[f"{short} {kind}"] = clocked(lambda _, way=ways[name], x=logits: way(x))  # type: ignore[misc]
    decoded = run_rounds(decode, args.rounds, pause_s=0.005)
    return {
        "pipeline_ms": {name: timed.percentiles() for name, timed in pipeline.items()},
        "decode_ms": {name: timed.percentiles() for name, timed in decoded.items()},
        "mixed_cells": mixed_share(coarse),
        "mixed_cells_random": mixed_share(noise),
    }


def _coarse(bundle: Bundle, frame: Frame, threads: int) -> Any:
    from ..runtime.segmenter import Segmenter

    with Segmenter(bundle, threads=threads) as segmenter:
        return segmenter.backend.infer(Preprocessor(bundle.input_size_hw)(frame))[0].copy()


def _tables(head: str, rows: Sequence[dict[str, Any]]) -> list[Table]:
    """A table of the whole pipelines and one of the decode alone."""
    pipelines, decodes = [], []
    for row in rows:
        ms = {name: values["p50"] for name, values in row["pipeline_ms"].items()}
        decode = {key: value["p50"] for key, value in row["decode_ms"].items()}
        name = str(row["classes"]) if head == "classes" else "{1} x {0}".format(*row["size_hw"])
        usual = [number(ms[each]) for each in _USUAL]
        pipelines.append(
            [name, number(ms[_OURS]), number(ms["bare"]), *usual, number(_usual(row) / ms[_OURS], 2)]
        )
        decodes.append(
            [
                name, number(100 * row["mixed_cells"]), number(decode["ours network"], 2),
                number(decode["resize network"], 2), number(decode["ours random"], 2),
                number(decode["resize random"], 2),
            ]
        )  # fmt: skip
    whole = [head, "edgeseg ms", "bare", "usual, np.argmax", "usual, ArgMax", "times as fast"]
    alone = [head, "mixed %", "decode ms", "Resize + ArgMax", "decode, random", "Resize + ArgMax, random"]
    return [Table(whole, pipelines), Table(alone, decodes)]


def _usual(row: dict[str, Any]) -> float:
    """Returns the time of the faster usual way, in milliseconds."""
    return float(min(row["pipeline_ms"][name]["p50"] for name in _USUAL))


def read_out(by_size: Sequence[dict[str, Any]], by_classes: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the conclusions from the figures."""
    lines = []
    for what, rows in (("frames", by_size), ("numbers of classes", by_classes)):
        gains = [_usual(row) / row["pipeline_ms"][_OURS]["p50"] for row in rows]
        near = [row["pipeline_ms"][_OURS]["p50"] / row["pipeline_ms"]["bare"]["p50"] for row in rows]
        lines.append(
            f"Over these {what} edgeseg is {min(gains):.2f} to {max(gains):.2f} times as fast as the faster usual way,"
            f" and takes {min(near):.2f} to {max(near):.2f} times its bare network."
        )
    worst = [
        row["decode_ms"]["resize random"]["p50"] / row["decode_ms"]["ours random"]["p50"]
        for row in (*by_size, *by_classes)
    ]
    end = (
        ""
        if min(worst) >= 1
        else " Below 1 ONNX Runtime is faster: where every cell is mixed, nothing is saved."
    )
    lines.append(
        f"On random logits, the worst case, Resize + ArgMax takes {min(worst):.2f} to {max(worst):.2f} times as long as"
        f" the decode.{end}"
    )
    return lines


def plot(result: dict[str, Any]) -> bytes:
    """Draws two plots side by side: over the frame's megapixels, and over the classes."""
    figure = new_figure(10.4, 4.4)
    left, right = figure.subplots(1, 2)
    sides = (
        (left, result["by_frame_size"], "megapixels a frame"),
        (right, result["by_classes"], "classes"),
    )
    for axes, rows, label in sides:
        places = [row["classes"] if label == "classes" else np.prod(row["size_hw"]) / 1e6 for row in rows]
        for index, name in enumerate((_OURS, *_USUAL)):
            axes.plot(
                places, [row["pipeline_ms"][name]["p50"] for row in rows], marker="o",
                markersize=4, color=SERIES[index], linewidth=1.8, label=name,
            )  # fmt: skip
        bare = [row["pipeline_ms"]["bare"]["p50"] for row in rows]
        axes.plot(
            places,
            bare,
            color=LIMIT,
            linewidth=1.4,
            linestyle="--",
            label="bare network",
        )
        plain_axes(axes, grid="both")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(label, fontsize=9, color=INK)
    left.set_ylabel("milliseconds from frame to class map", fontsize=9, color=INK)
    left.legend(fontsize=8, frameon=False)
    return png(figure)


if __name__ == "__main__":
    sys.exit(main())
