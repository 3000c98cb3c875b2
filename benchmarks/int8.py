"""Plain INT8 against budgeted INT8, on a split that calibration never saw.

``python -m edgeseg.benchmarks.int8 --data DIR NETWORK=WEIGHTS …`` calibrates each network on the ``train`` split, and
on ``val`` measures three forms of each target: min-max ranges, the best ranges, and what the search chose. Latencies of
FP32 and INT8 on the CPU are taken in turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..calibration.calibrate import Calibration, CalibrationRequest, calibrate
from ..calibration.graph import Graph
from ..calibration.images import CalibrationSet, survey
from ..calibration.judge import Judge, Score
from ..calibration.placement import TARGETS
from ..calibration.quantize import quantize
from ..calibration.search import int8_macs
from ..core.errors import EdgesegError, UsageError
from ..data.images import VocImages
from ..export.bundle_writer import write_bundle
from ..export.graph.onnx_file import export_graph
from ..export.graph.variants import variant_graphs
from ..export.verification.latency import Latencies, latencies_in_turn
from ..models.pretrained import resolve_weights
from ..runtime.bundle import Bundle

if TYPE_CHECKING:
    from ..models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Row:
    """One form of one network.

    Attributes:
        network, target, form: identify it.
        miou: on the split, 0 to 1; in ``reference`` that of the float graph.
        miou_lost, worst_class_lost: points of 100 against the float graph.
        worst_class: the class that loses most.
        in_float: convolutions that stay in float.
        corrected: whether biases were corrected.
        int8_macs: share of the work in INT8.
        megabytes: of the ONNX file; none for the two forms that are not written.
    """

    network: str
    target: str
    form: str
    miou: float
    miou_lost: float
    worst_class_lost: float
    worst_class: str
    in_float: int
    corrected: bool
    int8_macs: float
    megabytes: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints Markdown; returns the exit status."""
    parser = argparse.ArgumentParser(prog="edgeseg.benchmarks.int8", description=__doc__)
    parser.add_argument("networks", nargs="+", metavar="NETWORK=WEIGHTS")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="a data set in VOC layout")
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--class-budget", type=float, default=1.0)
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps the searches, so that they can go on")
    args = parser.parse_args(argv)
    try:
        with ExitStack() as stack:
            work = args.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for text in args.networks:
                name, _, weights = text.partition("=")
                if not weights:
                    raise UsageError(f"{text}: expected NETWORK=WEIGHTS, such as lraspp=camvid")
                print(_measured(name, weights, args, work / name), flush=True)
    except EdgesegError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _measured(name: str, weights: str, args: argparse.Namespace, work: Path) -> str:
    checkpoint = resolve_weights(name, weights)
    model = export_graph(checkpoint.build(), checkpoint.info, checkpoint.info.input_size_hw)
    graph, labels = Graph(model), checkpoint.info.labels
    request = CalibrationRequest(source=str(args.data), budget=args.budget, class_budget=args.class_budget)
    calibration = calibrate(graph, labels, request, work)
    images = VocImages(args.data, "val")
    val = survey(images, labels, max(2, len(images)))
    # The whole split judges, because none of it was used for calibration.
    val = replace(val, held_back=tuple(val.hashes), for_ranges=())
    with tempfile.TemporaryDirectory() as folder:
        bundle = _bundle(Path(folder), checkpoint, calibration, graph)
        sizes = {v.name: v.path.stat().st_size / 1e6 for v in bundle.variants.values()}
        latencies = latencies_in_turn(model, bundle, rounds=40)
    rows = [
        row
        for target in TARGETS
        for row in _rows(name, graph, labels.names, val, calibration, target, sizes[f"int8-{target}"])
    ]
    reference = Judge(graph, val, len(labels), "cpu").reference
    return _markdown(name, rows, reference, latencies, sizes["fp32"], len(val.held_back))


def _bundle(folder: Path, checkpoint: Checkpoint, calibration: Calibration, graph: Graph) -> Bundle:
    variants = variant_graphs(graph.model, ("fp32", "int8"), calibration)
    write_bundle(
        folder,
        checkpoint.build(),
        checkpoint.info,
        variants,
        weights_name="measured",
        size_hw=graph.input_size_hw,
    )
    return Bundle.load(folder)


def _rows(
    name: str,
    graph: Graph,
    classes: Sequence[str],
    val: CalibrationSet,
    calibration: Calibration,
    target: str,
    megabytes: float,
) -> Iterator[Row]:
    judge = Judge(graph, val, len(classes), target)
    plan, ranges = calibration.plans[target], calibration.record.ranges

    def row(form: str, score: Score, excluded: Sequence[str], size: float | None) -> Row:
        loss = score.points_lost(judge.reference)
        return Row(
            network=name,
            target=target,
            form=form,
            miou=score.miou,
            miou_lost=loss.miou,
            worst_class_lost=loss.worst_class,
            worst_class=classes[loss.worst_class_id] if loss.worst_class_id >= 0 else "–",
            in_float=len(excluded),
            corrected=size is not None and bool(plan.shifts),
            int8_macs=int8_macs(graph, target, excluded),
            megabytes=size,
        )

    for method in dict.fromkeys(("minmax", plan.method)):
        yield row(f"plain PTQ, {method}", judge.score(quantize(graph, ranges[method], target)), (), None)
    yield row(
        "within the budget", judge.score(calibration.quantized(graph, target)), plan.excluded, megabytes
    )


def _markdown(
    name: str, rows: Sequence[Row], reference: Score, latencies: Latencies, megabytes: float, frames: int
) -> str:
    lines = [
        f"### {name}",
        "",
        f"FP32: mIoU {100 * reference.miou:.2f} on {frames} frames, {megabytes:.1f} MB.",
        "",
        "| target | form | mIoU | mIoU lost | worst class | in float | biases | INT8 work | MB |",
        "|---|---|---:|---:|---|---:|---|---:|---:|",
    ]
    lines += [
        f"| {row.target} | {row.form} | {100 * row.miou:.2f} | {round(row.miou_lost, 2) + 0:.2f} |"
        f" {row.worst_class} {round(row.worst_class_lost, 2) + 0:.2f} | {row.in_float} |"
        f" {'corrected' if row.corrected else 'as they are'} |"
        f" {100 * row.int8_macs:.1f} % | {'' if row.megabytes is None else f'{row.megabytes:.1f}'} |"
        for row in rows
    ]
    fp32, int8 = (latencies.milliseconds[key] for key in ("fp32", "int8-cpu"))
    lines += [
        "",
        f"CPU, network alone, in turn: FP32 {fp32:.1f} ms, int8-cpu {int8:.1f} ms, "
        f"{latencies.speed_up:.2f} times as fast.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
