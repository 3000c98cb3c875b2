"""A variant's engine compared with PyTorch on the same frames, class by class, with the gates of every bundle."""

from __future__ import annotations

from typing import Any

from ...export.verification.gates import Gates, failures, note_of
from ...export.verification.parity import Parity, ParitySummary
from ...runtime.segmenter import Segmenter
from .networks import obtained_engine, refuse_int8
from .opened import Subject
from .order import Note, NotRunError, StepOrder, check


def verified(order: StepOrder, note: Note) -> None:
    """Measures FP16, decoded on the GPU as in deployment."""
    _verify(order, note, "fp16")


def verified_int8(order: StepOrder, note: Note) -> None:
    """Measures INT8 in the same way, if it is faster here and the bundle has it."""
    refuse_int8(order)
    _verify(order, note, "int8")


def _verify(order: StepOrder, note: Note, precision: str) -> None:
    try:
        from ...export.verification.reference import reference_masks
    except ModuleNotFoundError as error:
        raise NotRunError(f"the reference is decoded by PyTorch: {error}") from error

    subject = Subject(order)
    bundle = subject.bundle
    name = subject.variant(precision).name
    has_truth = subject.prepared.truth_names == bundle.labels.names
    masks = subject.prepared.masks() if has_truth else [None] * len(subject.frames)
    references = [
        reference_masks(logits[None], subject.frame_size_hw) for logits in subject.network.reference_logits()
    ]
    check(
        len(references) == len(subject.frames), "the reference is of other frames; prepare the folder again"
    )
    gates = Gates.for_precision(precision, bundle.manifest["variants"][name]["calibration"])
    parity = Parity(
        bundle.labels,
        tie_margin=gates.tie_margin,
        min_class_pixels=gates.min_class_pixels,
        has_truth=has_truth,
    )
    obtained_engine(subject, precision, subject.options(), lambda line: None)
    with Segmenter(bundle, name, order.backend) as segmenter:
        decodes = segmenter.backend.classes_size_hw == subject.frame_size_hw
        for number, (frame, reference) in enumerate(zip(subject.frames, references, strict=True)):
            inference = segmenter.infer(segmenter.prepare(frame), logits=True)
            assert inference.logits is not None
            classes = segmenter.decode(inference).classes
            parity.update(f"{number:03}", reference, classes, inference.logits, masks[number])
    summary = parity.summary()
    verdicts = gates.judge(summary)
    note(
        precision=precision,
        decoded_on_the_gpu=decodes,
        gates=[
            {"gate": v.gate, "passed": v.passed, "measured": v.measured, "limit": v.limit} for v in verdicts
        ],
        remark=note_of(summary),
        **_figures(summary),
    )
    check(decodes, "the engine does not decode to the frame's size")
    check(all(verdict.passed for verdict in verdicts), failures(verdicts))


def _figures(summary: ParitySummary) -> dict[str, Any]:
    return {
        "frames": summary.frames,
        "truth": summary.has_truth,
        "pixel_agreement": summary.pixel_agreement,
        "tie_share": summary.tie_share,
        "real_disagreement": summary.real_disagreement,
        "relative_logit_error": summary.relative_logit_error,
        "classes": {
            row.name: {"pixels": row.pixels, "drop": row.drop, "judged": row.judged}
            for row in summary.classes
        },
    }
