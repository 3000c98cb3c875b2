"""From weights to a bundle that has been verified, or to no bundle at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..models.checkpoint import Checkpoint
from ..models.pretrained import default_weights, resolve_weights
from ..runtime.bundle import Bundle
from ..runtime.errors import OutputError, VerificationError
from .bundle_writer import add_verification, staged_folder, write_bundle, write_json, write_text
from .frames import open_frames
from .graph import check_precision
from .report import render
from .verify import Verification, verify

JSON_NAME = "verification.json"
PAGE_NAME = "verification.html"


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and what to verify it on.

    Attributes:
        model: name of the network.
        out: the bundle's folder.
        weights: name or file, as ``models.pretrained`` resolves it; None for the network's default.
        num_classes: for weights that do not say; None for theirs.
        arguments: the architecture's own options.
        precisions: the variants; the first is the default one.
        size_hw: the input size, (H, W); None for the weights' own.
        data, split, source, frames: as ``export.frames.open_frames`` takes them.
        force: replace a bundle that is there.
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
    force: bool = False


def export_bundle(
    request: ExportRequest,
    on_step: Callable[[str], None] = lambda text: None,
    on_frame: Callable[[], None] = lambda: None,
) -> Verification:
    """Exports, verifies, and only then puts the bundle in its place.

    The report, ``verification.json`` and ``verification.html``, goes next to it also where a gate refuses the bundle.

    Args:
        request: what to do.
        on_step: told what begins.
        on_frame: called after each verified frame.

    Raises:
        VerificationError: a variant does not pass its gates; no bundle is left.
        EdgesegError: the weights, the size, a precision, the frames or the output folder cannot be used.
    """
    for precision in request.precisions:
        check_precision(precision)
    weights = request.weights or default_weights(request.model)
    checkpoint = resolve_weights(request.model, weights, request.num_classes, request.arguments)
    size_hw = request.size_hw or checkpoint.info.input_size_hw
    frames = open_frames(request.data, request.split, request.source, request.frames, size_hw)
    with staged_folder(request.out, force=request.force) as folder:
        on_step(f"exporting {request.model}, {weights} weights, {', '.join(request.precisions)}")
        _write(folder, checkpoint, weights, size_hw, request.precisions)
        on_step(f"verifying on {len(frames)} frames of {frames.name}")
        verification = verify(Bundle.load(folder), frames, on_frame=on_frame)
        report = write_report(report_folder(request.out), verification)
        if not verification.passed:
            raise VerificationError(
                f"{request.model} is not exported: {verification.failures()}. Pictures: {report}"
            )
        measured = {variant.name: variant.manifest_parity() for variant in verification.variants}
        add_verification(folder, verification.as_json(), measured)
        Bundle.load(folder)  # what is put in place is what was read back
    return verification


def report_folder(bundle: Path) -> Path:
    """Where a bundle's report goes by default: next to it, because nothing may change inside."""
    return bundle.parent / f"{bundle.resolve().name}-verification"


def write_report(folder: Path, verification: Verification) -> Path:
    """Writes ``verification.json`` and the page, over those of an earlier run.

    Returns:
        The page's path.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    content = verification.as_json()
    write_json(folder / JSON_NAME, content)
    write_text(folder / PAGE_NAME, render(content, verification.pictures))
    return folder / PAGE_NAME


def _write(
    folder: Path, checkpoint: Checkpoint, weights: str, size_hw: tuple[int, int], precisions: tuple[str, ...]
) -> None:
    # A file's path says nothing on another machine, and may say too much.
    name = Path(weights).stem if weights.endswith(".safetensors") else weights
    write_bundle(
        folder,
        checkpoint.build(),
        checkpoint.info,
        weights_name=name,
        size_hw=size_hw,
        precisions=precisions,
    )
