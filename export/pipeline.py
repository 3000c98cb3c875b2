"""The export: from weights to a calibrated and verified bundle, or to no bundle at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..calibration.calibrate import Calibration, calibrate
from ..calibration.graph import Graph
from ..calibration.record import CalibrationRecord
from ..calibration.request import CalibrationJob, CalibrationRequest
from ..calibration.trials import Notify
from ..core.callbacks import OnMessage
from ..core.claims import claimed
from ..core.errors import UsageError, VerificationError
from ..core.labels import LabelMap
from ..core.outputs import check_output, write_atomically
from ..core.reads import Reads
from ..models.checkpoint import PICKLE_SUFFIXES
from ..models.pretrained import default_weights, resolve_weights, shipped_calibration
from ..runtime.bundle import Bundle
from .bundle_writer import add_verification, json_text, staged_folder, write_bundle
from .graph.onnx_file import export_graph
from .graph.variants import check_precision, variant_graphs
from .report.page import render
from .verification.frames import open_frames
from .verification.latency import Latencies, latencies_in_turn
from .verification.verify import Verification, verify

JSON_NAME = "verification.json"
PAGE_NAME = "verification.html"


@dataclass(frozen=True)
class ExportRequest:
    """A request for an export and its verification.

    Attributes:
        model: name of the network.
        out: the bundle's folder.
        weights: name or file, as ``models.pretrained`` resolves it; None for the default of the network.
        num_classes: for weights without a number of classes; None for that of the weights.
        arguments: the architecture's own options.
        precisions: the variants; the first is the default.
        size_hw: the input size, (H, W); None for that of the weights.
        data, split, source, frames: the arguments of ``export.verification.frames.open_frames``.
        calibration: how to calibrate; None if ``int8`` is not among the precisions.
        force: replace an existing bundle.
        labels: the classes of weights from elsewhere; None for weights that name their classes.
    """

    model: str
    out: Path
    weights: str | None = None
    num_classes: int | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    precisions: tuple[str, ...] = ("fp32",)
    size_hw: tuple[int, int] | None = None
    data: Path | None = None
    split: str = "val"
    source: str | None = None
    frames: int | None = None
    calibration: CalibrationRequest | None = None
    force: bool = False
    labels: LabelMap | None = None


@dataclass(frozen=True)
class Exported:
    """The outcome of an export.

    Attributes:
        verification: of every variant.
        calibration: None without INT8.
        latencies: of FP32 and INT8 on this CPU, measured in turn; None if no variant is made for it.
    """

    verification: Verification
    calibration: Calibration | None
    latencies: Latencies | None


def export_bundle(
    request: ExportRequest,
    on_step: OnMessage = lambda text: None,
    on_frame: Callable[[], None] = lambda: None,
    notify: Notify = lambda text, done, total: None,
) -> Exported:
    """Exports, calibrates and verifies, and only then moves the bundle to its place.

    The report, ``verification.json`` and ``verification.html``, is written next to it even if a gate refuses the
    bundle. So is the folder with the results of calibration, which a second run reuses.

    Args:
        request: what to export.
        on_step: called with the text of each step that begins.
        on_frame: called after each verified frame.
        notify: called with the progress of calibration.

    Raises:
        VerificationError: a variant does not pass its gates; no bundle is left.
        EdgesegError: the weights, the size, a precision, the frames or the output folder cannot be used.
    """
    for precision in request.precisions:
        check_precision(precision)
    if ("int8" in request.precisions) != (request.calibration is not None):
        raise UsageError("calibration is for int8: name it among the precisions, and how to calibrate")
    if request.calibration is not None:
        request.calibration.check()
    _check_outputs(request)
    weights = default_weights(request.model) if request.weights is None else request.weights
    checkpoint = resolve_weights(
        request.model, weights, request.num_classes, request.arguments, labels=request.labels
    )
    info = checkpoint.info
    size_hw = request.size_hw or info.input_size_hw
    frames = open_frames(request.data, request.split, request.source, request.frames, size_hw)
    with staged_folder(request.out, force=request.force) as folder:
        on_step(f"exporting {request.model}, {weights} weights, {', '.join(request.precisions)}")
        network = checkpoint.build()
        graph = export_graph(network, info, size_hw)
        calibration = None
        if request.calibration is not None:
            job = CalibrationJob(
                graph=Graph(graph),
                labels=info.labels,
                request=request.calibration,
                folder=calibration_folder(request.out),
                shipped=_shipped(request.model, weights),
                unseen=((frame.id, frame.frame_bgr) for frame in frames),
                notify=notify,
                on_message=on_step,
            )
            calibration = calibrate(job)
        variants = variant_graphs(graph, request.precisions, calibration)
        # A path means nothing on another machine, and may reveal too much.
        name = Path(weights).stem if weights.endswith((".safetensors", *PICKLE_SUFFIXES)) else weights
        write_bundle(folder, network, info, variants, weights_name=name, size_hw=size_hw)
        on_step(f"verifying on {len(frames)} frames of {frames.name}")
        verification = verify(Bundle.load(folder), frames, on_frame=on_frame)
        report = write_report(report_folder(request.out), verification)
        if not verification.passed:
            advice = _advice(verification)
            raise VerificationError(
                f"{request.model} is not exported: {verification.failures()}.{advice} Images: {report}"
            )
        measured = {variant.name: variant.manifest_parity() for variant in verification.variants}
        add_verification(folder, verification.as_json(), measured)
        bundle = Bundle.load(folder)  # the bundle that is moved is the one that was read back
        latencies = None
        if calibration is not None and "cpu" in calibration.plans:
            on_step("timing FP32 and INT8 in turn on this CPU")
            latencies = latencies_in_turn(graph, bundle)
    return Exported(verification, calibration, latencies)


def _check_outputs(request: ExportRequest) -> None:
    """Checks the outputs before anything is made.

    Raises:
        OutputError: one of the outputs may not be written.
    """
    asked = request.calibration
    reads = Reads().add_dataset(request.data)
    for role, name in (
        ("the weights", request.weights),
        ("the ranges", asked and asked.ranges),
        ("the exclusions", asked and asked.exclude),
    ):
        if name and Path(name).is_file():
            reads.add(f"{role} {name}", Path(name))
    if asked is not None and asked.source and Path(asked.source).is_dir():
        reads.add_dataset(Path(asked.source))
    check_output(request.out, folder=True, reads=reads, replaces_bundle=True)
    beside = [report_folder(request.out), *([calibration_folder(request.out)] if asked else [])]
    for folder in beside:
        check_output(folder, folder=True, reads=reads)


def _advice(verification: Verification) -> str:
    """Returns advice for an INT8 variant that exceeds its budget; empty if none does."""
    if all(variant.passed for variant in verification.variants if variant.precision == "int8"):
        return ""
    return (
        " INT8 keeps a budget better the more images with the network's own classes it is calibrated on,"
        " and the verdict is steadier the more frames it is verified on."
    )


def _shipped(model: str, weights: str) -> CalibrationRecord | None:
    """Returns the calibration that came with the weights, if one did."""
    path = shipped_calibration(model, weights)
    return CalibrationRecord.load(path) if path else None


def calibration_folder(bundle: Path) -> Path:
    """Returns the folder for ranges, exclusion lists and the search's plots, next to the bundle."""
    return bundle.parent / f"{bundle.resolve().name}-calibration"


def report_folder(bundle: Path) -> Path:
    """Returns the default folder of a bundle's report: next to it, because a bundle's content must not change."""
    return bundle.parent / f"{bundle.resolve().name}-verification"


def write_report(folder: Path, verification: Verification) -> Path:
    """Writes ``verification.json`` and the page, and replaces those of an earlier run.

    Returns:
        The path of the page.

    Raises:
        OutputError: the folder may not or cannot be written.
    """
    check_output(folder, folder=True)
    content = verification.as_json()
    page = render(content, verification.images)
    with claimed(folder / JSON_NAME, wait=True):  # so that both files come from one run
        write_atomically(folder / JSON_NAME, json_text(content).encode(), force=True)
        write_atomically(folder / PAGE_NAME, page.encode(), force=True)
    return folder / PAGE_NAME
