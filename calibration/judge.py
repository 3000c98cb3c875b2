"""The loss of a quantized graph: mean IoU and each class's IoU against the float graph, on the held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx

from ..data.metrics import ConfusionMatrix
from ..data.voc import Sample
from ..runtime.decode import decode
from ..runtime.preprocess import Preprocessor
from .graph import INPUT, LOGITS, Graph
from .images import CalibrationSet
from .session import open_session

Logits = npt.NDArray[np.float32]

MIN_CLASS_PIXELS = 2000
"""A class with fewer pixels is shown but not judged: one pixel would be more than 0.05 points."""


@dataclass(frozen=True)
class Score:
    """One graph's figures on the held-out images. Shares are of 1.

    Attributes:
        class_iou: by class; NaN for an absent class.
        pixels: by class, its number of pixels in the truth.
        logit_error: root mean square of the difference from the float graph's logits, as a share of theirs.
    """

    class_iou: tuple[float, ...]
    pixels: tuple[int, ...]
    logit_error: float

    @property
    def miou(self) -> float:
        """Mean over the classes that are present."""
        return float(np.nanmean(self.class_iou))

    def points_lost(self, reference: Score) -> Loss:
        """Returns the loss against a reference, in points of 100."""
        drops = 100 * (np.array(reference.class_iou) - np.array(self.class_iou))
        judged = (np.array(self.pixels) >= MIN_CLASS_PIXELS) & ~np.isnan(drops)
        worst = int(np.argmax(np.where(judged, drops, -np.inf)))
        return Loss(
            miou=100 * (reference.miou - self.miou),
            worst_class=float(drops[worst]) if judged.any() else 0.0,
            worst_class_id=worst if judged.any() else -1,
        )


@dataclass(frozen=True)
class Loss:
    """Points of 100 that a graph loses.

    Attributes:
        miou: of mean IoU.
        worst_class: of the judged class that loses most.
        worst_class_id: the id of that class; -1 if none has enough pixels.
    """

    miou: float
    worst_class: float
    worst_class_id: int

    def spent(self, budget: float, class_budget: float) -> float:
        """Returns the spent share of the tighter budget: up to 1 is within both."""
        return max(_share(self.miou, budget), _share(self.worst_class, class_budget))


def _share(lost: float, budget: float) -> float:
    if budget > 0:
        return lost / budget
    return 0.0 if lost <= 0 else float("inf")


class Judge:
    """Scores graphs on one set of held-out images.

    Args:
        graph: the float graph, as the reference.
        images: with masks in the network's classes.
        num_classes: C.
        target: decides the numerics: ``cpu`` runs the INT8 kernels, ``tensorrt`` computes in float between Q and DQ.
    """

    def __init__(self, graph: Graph, images: CalibrationSet, num_classes: int, target: str) -> None:
        self._graph, self._images, self._num_classes = graph, images, num_classes
        self._fuse = target == "cpu"
        self._reference = open_session(graph.model)
        self._preprocess = Preprocessor(graph.input_size_hw)

    @cached_property
    def reference(self) -> Score:
        """The score of the float graph."""
        return self.score(self._graph.model)

    def score(self, model: onnx.ModelProto, on_image: Callable[[], None] = lambda: None) -> Score:
        """Scores a graph on every held-out image.

        Args:
            model: ``frame`` to ``logits``, float32.
            on_image: called after each.
        """
        matrix = ConfusionMatrix(self._num_classes)
        error = _RelativeError()
        held_back = self._images.read(self._images.held_back)
        for sample, logits, reference in self._compared(model, held_back):
            error.add(logits, reference)
            height, width = sample.mask.shape
            matrix.update(sample.mask, decode(logits, (height, width)))
            on_image()
        counts = matrix.counts.sum(axis=1)
        return Score(
            class_iou=tuple(matrix.per_class_iou.tolist()),
            pixels=tuple(counts.tolist()),
            logit_error=error.value,
        )

    def logit_error(self, model: onnx.ModelProto, samples: Sequence[Sample]) -> float:
        """Returns the relative error of a graph's logits on a few images; needs no labels."""
        error = _RelativeError()
        for _, logits, reference in self._compared(model, samples):
            error.add(logits, reference)
        return error.value

    def _compared(
        self, model: onnx.ModelProto, samples: Iterable[Sample]
    ) -> Iterator[tuple[Sample, Logits, Logits]]:
        """Yields each sample with a graph's logits and the float graph's."""
        session = open_session(model, fuse_quantized=self._fuse)
        for sample in samples:
            feed = {INPUT: self._preprocess(sample.frame_bgr)}
            yield sample, session.run([LOGITS], feed)[0][0], self._reference.run([LOGITS], feed)[0][0]


class _RelativeError:
    """The root mean square of the logits' difference, as a share of the reference's, summed frame by frame."""

    def __init__(self) -> None:
        self._errors, self._squares = 0.0, 0.0

    def add(self, logits: Logits, reference: Logits) -> None:
        self._errors += float(np.square(logits - reference, dtype=np.float64).sum())
        self._squares += float(np.square(reference, dtype=np.float64).sum())

    @property
    def value(self) -> float:
        return float(np.sqrt(self._errors / (self._squares or 1.0)))
