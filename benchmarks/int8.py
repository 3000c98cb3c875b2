"""Plain INT8 against budgeted INT8, on a split that calibration never saw.

``python -m edgeseg.benchmarks.int8 --data DIR NETWORK=WEIGHTS …`` calibrates each network on the ``train`` split, and
on ``val`` measures three forms of each target: min-max ranges, the best ranges, and what the search chose. Latencies of
FP32 and INT8 on the CPU are taken in turn.

With ``--cross-fit K`` it says instead how often the budgets keep on images that the search did not see: K times, the
images of ``--split`` are split in two, searched on in one part and measured on in the other, and the other way round.
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

from ..calibration.calibrate import Calibration, calibrate
from ..calibration.graph import Graph
from ..calibration.images import CalibrationSet, survey
from ..calibration.judge import Judge, Score
from ..calibration.placement import TARGETS
from ..calibration.quantize import quantize
from ..calibration.request import CalibrationJob, CalibrationRequest
from ..calibration.trials import int8_macs
from ..core.errors import EdgesegError, UsageError
from ..data.images import VocImages
from ..export.bundle_writer import write_bundle
from ..export.graph.onnx_file import export_graph
from ..export.graph.variants import variant_graphs
from ..export.verification.latency import Latencies, latencies_in_turn
from ..models.pretrained import resolve_weights
from ..runtime.bundle import Bundle
from .int8_cross_fit import CrossFit, cross_fit, table

if TYPE_CHECKING:
    from ..models.checkpoint import Checkpoint


@dataclass(frozen=True)
class _Network:
    """A calibrated network, to be measured.

    Attributes:
        name: of the network.
        graph: in float32.
        classes: their names.
        val: the images that judge.
        calibration: of the network.
    """

    name: str
    graph: Graph
    classes: Sequence[str]
    val: CalibrationSet
    calibration: Calibration


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
    parser = argparse.ArgumentParser(prog="edgeseg.benchmarks.int8", description=__doc__, allow_abbrev=False)
    parser.add_argument("networks", nargs="+", metavar="NETWORK=WEIGHTS")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="a data set in VOC layout")
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--class-budget", type=float, default=1.0)
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps the searches, so that they can go on")
    parser.add_argument("--no-bias-correction", action="store_true", help="never correct biases")
    folds = parser.add_argument_group("how often the budgets keep on other images")
    folds.add_argument("--cross-fit", type=int, metavar="K", help="split the images K times")
    folds.add_argument("--split", metavar="NAME", help="the images that are split; default: val")
    folds.add_argument(
        "--group",
        metavar="GROUP",
        help="images of a group stay together: folder, prefix:N or a regular expression; default: runs of ten",
    )
    folds.add_argument("--target", choices=TARGETS, help="default: all")
    args = parser.parse_args(argv)
    try:
        request = _cross_fit_request(args)
        with ExitStack() as stack:
            work = args.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for text in args.networks:
                name, _, weights = text.partition("=")
                if not weights:
                    raise UsageError(f"{text}: expected NETWORK=WEIGHTS, such as lraspp=camvid")
                if request is None:
                    print(_measured(name, weights, args, work / name), flush=True)
                else:
                    print(_cross_fitted(name, weights, request, work / name), flush=True)
    except EdgesegError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _cross_fit_request(args: argparse.Namespace) -> CrossFit | None:
    if args.cross_fit is None:
        for name in ("split", "group", "target"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} is an option of --cross-fit; name that one too")
        return None
    request = CrossFit(
        data=args.data,
        split=args.split or "val",
        splits=args.cross_fit,
        group=args.group,
        budget=args.budget,
        class_budget=args.class_budget,
        correct_biases=not args.no_bias_correction,
        targets=TARGETS if args.target is None else (args.target,),
    )
    request.check()
    return request


def _cross_fitted(name: str, weights: str, request: CrossFit, work: Path) -> str:
    checkpoint = resolve_weights(name, weights)
    model = export_graph(checkpoint.build(), checkpoint.info, checkpoint.info.input_size_hw)
    last = ""

    def notify(text: str, done: int, total: int) -> None:
        nonlocal last
        if text != last:
            print(f"  {text}", file=sys.stderr, flush=True)
            last = text

    outcomes = cross_fit(Graph(model), checkpoint.info.labels, request, work, notify)
    return f"### {name}\n\n{table(outcomes, request.budget, request.class_budget)}\n"


def _measured(name: str, weights: str, args: argparse.Namespace, work: Path) -> str:
    checkpoint = resolve_weights(name, weights)
    model = export_graph(checkpoint.build(), checkpoint.info, checkpoint.info.input_size_hw)
    graph, labels = Graph(model), checkpoint.info.labels
    request = CalibrationRequest(
        source=str(args.data),
        budget=args.budget,
        class_budget=args.class_budget,
        correct_biases=not args.no_bias_correction,
    )
    calibration = calibrate(CalibrationJob(graph, labels, request, work))
    images = VocImages(args.data, "val")
    val = survey(images, labels, max(2, len(images)))
    # The whole split judges, because none of it was used for calibration.
    val = replace(val, held_out=tuple(val.hashes), for_ranges=())
    with tempfile.TemporaryDirectory() as folder:
        bundle = _bundle(Path(folder), checkpoint, calibration, graph)
        sizes = {v.name: v.path.stat().st_size / 1e6 for v in bundle.variants.values()}
        latencies = latencies_in_turn(model, bundle, rounds=40)
    network = _Network(name, graph, labels.names, val, calibration)
    rows = [row for target in TARGETS for row in _rows(network, target, sizes[f"int8-{target}"])]
    reference = Judge(graph, val, len(labels), "cpu").reference
    return _markdown(name, rows, reference, latencies, sizes["fp32"], len(val.held_out))


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


def _rows(network: _Network, target: str, megabytes: float) -> Iterator[Row]:
    graph, classes, calibration = network.graph, network.classes, network.calibration
    judge = Judge(graph, network.val, len(classes), target)
    plan, ranges = calibration.plans[target], calibration.record.ranges

    def row(form: str, score: Score, excluded: Sequence[str], size: float | None) -> Row:
        loss = score.points_lost(judge.reference)
        return Row(
            network=network.name,
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
