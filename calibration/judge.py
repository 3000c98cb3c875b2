"""The loss of a quantized graph: mean IoU and each class's IoU against the float graph, on the held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx

from ..core.arrays import Logits
from ..data.metrics import ConfusionMatrix
from ..data.voc import Sample
from ..runtime.decode import decode
from ..runtime.preprocess import Preprocessor
from .graph import INPUT, LOGITS, Graph
from .images import CalibrationSet
from .session import open_session

MIN_CLASS_PIXELS = 2000
"""A class with fewer pixels is shown but not judged: one pixel would be more than 0.05 points."""

TRUE, PREDICTED, BOTH = range(3)
"""The rows of an image's counts."""


@dataclass(frozen=True, eq=False)
class Score:
    """One graph's figures on the held-out images, kept by image, so that any part of the images can be judged.

    Attributes:
        counts: int64 [images, 3, C]: of each class, the pixels in the truth, in the prediction and in both. They are
            all of the confusion matrix that IoU depends on.
        squares: float64 [images, 2]: sums of the squares of the difference from the float graph's logits, and of
            those logits.
    """

    counts: npt.NDArray[np.int64]
    squares: npt.NDArray[np.float64]

    @cached_property
    def class_iou(self) -> npt.NDArray[np.float64]:
        """The IoU of each class, float64 [C], 0 to 1; NaN for an absent class."""
        true, predicted, both = self.counts.sum(axis=0)
        union = true + predicted - both
        iou = np.full(union.shape, np.nan)
        np.divide(both, union, out=iou, where=union > 0)
        return iou

    @property
    def pixels(self) -> npt.NDArray[np.int64]:
        """The pixels of each class in the truth, int64 [C]."""
        pixels: npt.NDArray[np.int64] = self.counts[:, TRUE].sum(axis=0)
        return pixels

    @property
    def logit_error(self) -> float:
        """The root mean square of the difference from the float graph's logits, as a share of theirs."""
        return _relative(self.squares)

    @property
    def miou(self) -> float:
        """The mean over the classes that are present, 0 to 1."""
        return float(np.nanmean(self.class_iou))

    def of(self, images: Sequence[int] | npt.NDArray[np.integer]) -> Score:
        """Returns the score on some of the images, by their positions in ``counts``."""
        return Score(self.counts[np.asarray(images)], self.squares[np.asarray(images)])

    def points_lost(self, reference: Score) -> Loss:
        """Returns the loss against a reference, in points of 100."""
        drops = 100 * (reference.class_iou - self.class_iou)
        judged = (self.pixels >= MIN_CLASS_PIXELS) & ~np.isnan(drops)
        return Loss.worst(100 * (reference.miou - self.miou), drops, judged)


@dataclass(frozen=True)
class Loss:
    """Points of 100 that a graph loses, or may lose at most.

    Attributes:
        miou: of mean IoU.
        worst_class: of the judged class that loses most.
        worst_class_id: the id of that class; -1 if none is judged.
    """

    miou: float
    worst_class: float
    worst_class_id: int

    @classmethod
    def worst(cls, miou: float, points: npt.NDArray[np.float64], judged: npt.NDArray[np.bool_]) -> Loss:
        """Returns the loss with the worst of the judged classes.

        Args:
            miou: points of mean IoU.
            points: of each class, float64 [C].
            judged: bool [C].
        """
        if not judged.any():
            return cls(miou, 0.0, -1)
        worst = int(np.argmax(np.where(judged, points, -np.inf)))
        return cls(miou, float(points[worst]), worst)

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
        counts, squares = [], []
        held_out = self._images.read(self._images.held_out)
        for sample, logits, reference in self._compared(model, held_out):
            squares.append(_squares(logits, reference))
            matrix = ConfusionMatrix(self._num_classes)
            height, width = sample.mask.shape
            matrix.update(sample.mask, decode(logits, (height, width)))
            counts.append([matrix.counts.sum(axis=1), matrix.counts.sum(axis=0), np.diag(matrix.counts)])
            on_image()
        return Score(np.array(counts, np.int64), np.array(squares, np.float64))

    def logit_error(self, model: onnx.ModelProto, samples: Sequence[Sample]) -> float:
        """Returns the relative error of a graph's logits on a few images; needs no labels."""
        found = [_squares(logits, reference) for _, logits, reference in self._compared(model, samples)]
        return _relative(np.array(found, np.float64))

    def _compared(
        self, model: onnx.ModelProto, samples: Iterable[Sample]
    ) -> Iterator[tuple[Sample, Logits, Logits]]:
        """Yields each sample with a graph's logits and the float graph's."""
        session = open_session(model, fuse_quantized=self._fuse)
        for sample in samples:
            feed = {INPUT: self._preprocess(sample.frame_bgr)}
            yield sample, session.run([LOGITS], feed)[0][0], self._reference.run([LOGITS], feed)[0][0]


def _squares(logits: Logits, reference: Logits) -> tuple[float, float]:
    """Returns the sums of the squares of the logits' difference, and of the reference's logits."""
    return (
        float(np.square(logits - reference, dtype=np.float64).sum()),
        float(np.square(reference, dtype=np.float64).sum()),
    )


def _relative(squares: npt.NDArray[np.float64]) -> float:
    """Returns the relative error of the logits from the sums of every image, float64 [images, 2]."""
    errors, reference = squares.sum(axis=0)
    return float(np.sqrt(errors / (reference or 1.0)))
