"""Parity: a variant's masks and logits compared with the PyTorch reference on the same frames.

Everything is counted frame by frame; memory does not grow with the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import ClassMap, Floats
from ...core.errors import VerificationError
from ...core.labels import VOID, LabelMap
from ...data.metrics import ConfusionMatrix
from .boundary import BoundaryIou

AGREES, TIE, REAL = 0, 1, 2
"""The kinds of a pixel: same class; different and the reference is a tie; different and it is no tie."""


@dataclass(frozen=True)
class ReferenceMasks:
    """PyTorch's results for one frame.

    Attributes:
        logits: float32 [C, h, w], before the last upsampling.
        classes: uint8 [H, W], at the frame's size.
        margin: float32 [H, W], best minus second-best upsampled logit; infinite with a single class.
    """

    logits: Floats
    classes: ClassMap
    margin: Floats


@dataclass(frozen=True)
class ClassParity:
    """One class over all frames. Shares are of 1; None if there was nothing to measure.

    Attributes:
        name: of the class.
        pixels: its number of pixels in the truth; without truth, in the reference's masks.
        iou_reference, iou_variant: against the truth; without truth None and the variant against the reference,
            ties left out.
        drop: the variant's loss; without truth, 1 minus ``iou_variant``.
        boundary_iou: of the variant against the reference.
        boundary_iou_reference, boundary_iou_variant: against the truth.
        judged: whether it has enough pixels for the class gate.
    """

    name: str
    pixels: int
    iou_reference: float | None
    iou_variant: float | None
    drop: float | None
    boundary_iou: float | None
    boundary_iou_reference: float | None
    boundary_iou_variant: float | None
    judged: bool


@dataclass(frozen=True)
class ParitySummary:
    """A variant compared with the reference over all frames. Shares are of 1.

    Attributes:
        frames: the number of compared frames.
        has_truth: whether they had labels in the network's classes.
        pixel_agreement: share of pixels of the same class; the sum with ``tie_share`` and ``real_disagreement`` is 1.
        tie_share: share of pixels that differ and where the reference is a tie.
        real_disagreement: share of pixels that differ and where it is no tie.
        worst_frame: id of the frame with most real disagreement; without any, with most ties.
        max_logit_error: largest difference of a coarse logit.
        relative_logit_error: the same as a share of the frame's logits' root mean square, at its largest.
        worst_logit_class: the class of that difference.
        only_class: the class of every pixel of every frame, if the variant has several classes but uses only one; else
            None.
        non_finite_frames: frames whose logits were not all finite; their pixels count as real disagreement.
        miou_reference, miou_variant: against the truth, or None.
        pixel_accuracy_reference, pixel_accuracy_variant: against the truth, or None.
        boundary_iou: mean over classes, of the variant against the reference.
        boundary_iou_reference, boundary_iou_variant: mean over classes, against the truth, or None.
        classes: each class, in order of its id.
    """

    frames: int
    has_truth: bool
    pixel_agreement: float
    tie_share: float
    real_disagreement: float
    worst_frame: str
    max_logit_error: float
    relative_logit_error: float
    worst_logit_class: str
    only_class: str | None
    non_finite_frames: int
    miou_reference: float | None
    miou_variant: float | None
    pixel_accuracy_reference: float | None
    pixel_accuracy_variant: float | None
    boundary_iou: float | None
    boundary_iou_reference: float | None
    boundary_iou_variant: float | None
    classes: tuple[ClassParity, ...]

    @property
    def worst_class(self) -> ClassParity | None:
        """The judged class that loses most; None if no class had enough pixels."""
        judged = [row for row in self.classes if row.judged and row.drop is not None]
        return max(judged, key=lambda row: row.drop or 0.0, default=None)


class Parity:
    """Compares one variant with the reference, frame by frame.

    Args:
        labels: the classes.
        tie_margin: as in ``Gates``.
        min_class_pixels: as in ``Gates``.
        has_truth: whether every frame has a mask.
    """

    def __init__(
        self, labels: LabelMap, *, tie_margin: float, min_class_pixels: int, has_truth: bool
    ) -> None:
        count = len(labels)
        self._labels = labels
        self._tie_margin = tie_margin
        self._min_class_pixels = min_class_pixels
        self._has_truth = has_truth
        self._pixels = np.zeros(3, np.int64)  # by kind
        self._frames = 0
        self._non_finite = 0
        self._worst_frame = ("", (-1.0, -1.0))
        self._max_error = 0.0
        self._relative_error = (0.0, 0)
        self._predicted = np.zeros(count, np.int64)  # by class
        self._agreement = ConfusionMatrix(count)
        self._boundary = BoundaryIou(count)
        self._truth = {side: ConfusionMatrix(count) for side in ("reference", "variant")}
        self._truth_boundary = {side: BoundaryIou(count) for side in ("reference", "variant")}

    def update(
        self,
        frame_id: str,
        reference: ReferenceMasks,
        classes: ClassMap,
        logits: Floats,
        truth: ClassMap | None,
    ) -> ClassMap:
        """Adds one frame.

        Args:
            frame_id: its name, for the report.
            reference: PyTorch's results for it.
            classes: the variant's class map, uint8 [H, W].
            logits: the variant's coarse logits, float32 [C, h, w].
            truth: the label mask, uint8 [H, W], 255 is void; given for every frame or for none.

        Returns:
            uint8 [H, W], the kind of each pixel: ``AGREES``, ``TIE`` or ``REAL``.

        Raises:
            VerificationError: the reference's own logits are not finite, or the variant's are of another shape.
        """
        self._frames += 1
        if not np.isfinite(reference.logits).all():
            raise VerificationError(f"PyTorch itself gives logits that are not finite on frame {frame_id}")
        if logits.shape != reference.logits.shape:
            raise VerificationError(
                f"the variant gives logits {list(logits.shape)} where PyTorch gives {list(reference.logits.shape)}"
            )
        # A network of zeros has no scale.
        scale = float(np.sqrt(np.mean(np.square(reference.logits, dtype=np.float64)))) or 1.0
        differs = classes != reference.classes
        kinds: ClassMap = np.where(differs, np.uint8(REAL), np.uint8(AGREES))
        if not np.isfinite(logits).all():
            self._non_finite += 1
            kinds[:] = REAL
        else:
            kinds[differs & (reference.margin <= self._tie_margin * scale)] = TIE
            self._count_logits(reference.logits, logits, scale)
            self._count_masks(reference.classes, classes, kinds, truth)
        counts = np.bincount(kinds.ravel(), minlength=3)
        self._pixels += counts
        badness = (float(counts[REAL] / kinds.size), float(counts[TIE] / kinds.size))
        if badness > self._worst_frame[1]:
            self._worst_frame = (frame_id, badness)
        return kinds

    def _count_logits(self, reference: Floats, logits: Floats, scale: float) -> None:
        per_class = np.abs(logits - reference).max(axis=(1, 2))
        worst = int(per_class.argmax())
        error = float(per_class[worst])
        self._max_error = max(self._max_error, error)
        self._relative_error = max(self._relative_error, (error / scale, worst))

    def _count_masks(
        self, reference: ClassMap, classes: ClassMap, kinds: ClassMap, truth: ClassMap | None
    ) -> None:
        self._predicted += np.bincount(classes.ravel(), minlength=len(self._labels))
        self._agreement.update(np.where(kinds == TIE, np.uint8(VOID), reference), classes)
        self._boundary.update(reference, classes)
        if truth is not None:
            for side, mask in (("reference", reference), ("variant", classes)):
                self._truth[side].update(truth, mask)
                self._truth_boundary[side].update(truth, mask)

    def summary(self) -> ParitySummary:
        """Returns the figures of the frames so far.

        Raises:
            VerificationError: no frame was compared.
        """
        if self._frames == 0:
            raise VerificationError("no frame was compared; parity needs at least one")
        total = float(self._pixels.sum())
        truth = self._truth if self._has_truth else None
        boundary = self._truth_boundary if self._has_truth else None
        return ParitySummary(
            frames=self._frames,
            has_truth=self._has_truth,
            pixel_agreement=float(self._pixels[AGREES] / total),
            tie_share=float(self._pixels[TIE] / total),
            real_disagreement=float(self._pixels[REAL] / total),
            worst_frame=self._worst_frame[0],
            max_logit_error=self._max_error,
            relative_logit_error=self._relative_error[0],
            worst_logit_class=self._labels.names[self._relative_error[1]],
            only_class=self._only_class(),
            non_finite_frames=self._non_finite,
            miou_reference=_finite(truth["reference"].miou) if truth else None,
            miou_variant=_finite(truth["variant"].miou) if truth else None,
            pixel_accuracy_reference=_finite(truth["reference"].pixel_accuracy) if truth else None,
            pixel_accuracy_variant=_finite(truth["variant"].pixel_accuracy) if truth else None,
            boundary_iou=_finite(self._boundary.mean),
            boundary_iou_reference=_finite(boundary["reference"].mean) if boundary else None,
            boundary_iou_variant=_finite(boundary["variant"].mean) if boundary else None,
            classes=tuple(self._class_parity(index) for index in range(len(self._labels))),
        )

    def _only_class(self) -> str | None:
        predicted = np.flatnonzero(self._predicted)
        return self._labels.names[predicted[0]] if len(predicted) == 1 < len(self._labels) else None

    def _class_parity(self, index: int) -> ClassParity:
        if self._has_truth:
            pixels = int(self._truth["reference"].counts[index].sum())
            iou_reference = _finite(self._truth["reference"].per_class_iou[index])
            iou_variant = _finite(self._truth["variant"].per_class_iou[index])
            # The variant predicts a class that truth and reference do not have: there is nothing to lose.
            drop = None if iou_reference is None or iou_variant is None else iou_reference - iou_variant
        else:
            pixels = int(self._agreement.counts[index].sum())
            iou_reference = None
            iou_variant = _finite(self._agreement.per_class_iou[index])
            drop = None if iou_variant is None else 1 - iou_variant
        return ClassParity(
            name=self._labels.names[index],
            pixels=pixels,
            iou_reference=iou_reference,
            iou_variant=iou_variant,
            drop=drop,
            boundary_iou=_finite(self._boundary.per_class[index]),
            boundary_iou_reference=self._boundary_against_truth("reference", index),
            boundary_iou_variant=self._boundary_against_truth("variant", index),
            judged=pixels >= self._min_class_pixels,
        )

    def _boundary_against_truth(self, side: str, index: int) -> float | None:
        return _finite(self._truth_boundary[side].per_class[index]) if self._has_truth else None


def _finite(value: float) -> float | None:
    """Returns a number for JSON, which has no NaN: None if there was nothing to measure."""
    return float(value) if np.isfinite(value) else None
