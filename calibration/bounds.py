"""Upper bounds, by bootstrap, of what a graph loses on other images like the held-out ones.

What a graph loses on the held-out images is one draw of what it loses on images of their kind. A studentized bootstrap
(Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 12.5) says how far the two may be apart. Runs of
neighbouring images are resampled instead of single ones, because neighbours are often of one video and err alike (the
circular blocks of Politis and Romano 1992).

Each class, and mean IoU, is bounded by itself. A plan passes only if *every* bound is within its budget, so it can pass
wrongly only if the bound of a class that is past the budget fails, which has the probability of one bound (the
intersection-union test of Berger 1982). By the same reason the largest of the bounds holds for the largest loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..core.arrays import Doubles
from .judge import BOTH, MIN_CLASS_PIXELS, PREDICTED, TRUE, Loss, Score

CONFIDENCE = 0.95
RESAMPLES = 2000
MIN_IMAGES = 5
"""The fewest images that can prove a loss: of four, all are below the middle of their distribution in one draw of 16,
which is more often than one in 20; of five, in one of 32."""
_SEED = 20
_LEAST_ERROR = 0.25
"""The least standard error of a resample, as a share of that of the images. Where one image alone has lost something,
many resamples show no loss and no error. With this share the bound is then five times the loss; the Poisson
distribution puts it at 4.7 times."""


@dataclass(frozen=True)
class Proof:
    """The losses that a set of held-out images can bound.

    Attributes:
        images: their number.
        pixels: of each class, int64 [C].
        images_with: of each class, the number of images that show it, int64 [C].
        classes: bool [C]: whether there can be a bound for its loss.
        miou: whether there can be one for mean IoU.
    """

    images: int
    pixels: npt.NDArray[np.int64]
    images_with: npt.NDArray[np.int64]
    classes: npt.NDArray[np.bool_]
    miou: bool

    @classmethod
    def of(cls, reference: Score) -> Proof:
        """Reads the images' truth from the score of any graph."""
        true = reference.counts[:, TRUE]
        pixels, images_with = true.sum(axis=0), (true > 0).sum(axis=0)
        draws = _draws(len(true))
        missed = (draws @ _runs(true.astype(np.float64)) == 0).mean(axis=0)
        classes = (pixels >= MIN_CLASS_PIXELS) & (images_with >= MIN_IMAGES) & (missed < 1 - CONFIDENCE)
        return cls(len(true), pixels, images_with, classes, len(true) >= MIN_IMAGES)


def upper_bounds(reference: Score, score: Score) -> tuple[float, Doubles]:
    """Returns what a graph loses at most on images like these, with a confidence of ``CONFIDENCE`` for each figure.

    Args:
        reference: of the float graph.
        score: of the quantized graph, on the same images.

    Returns:
        Points of mean IoU, and of each class, float64 [C]. A bound is never below the measured loss. It means nothing
        where ``Proof`` has none; of a class that one of the graphs neither finds nor should find it is NaN.
    """
    draws = _draws(len(score.counts))
    # Of each run and class: the intersection and union of the reference, then those of the quantized graph.
    areas = _runs(np.concatenate([_areas(reference), _areas(score)], axis=1))  # [n, 4, C]
    total = areas.sum(axis=0) * (draws[0].sum() / len(areas))
    resampled = (draws @ areas.reshape(len(areas), -1)).reshape(-1, *total.shape)  # [resamples, 4, C]
    lost, slopes = _drops(total[None])
    others, other_slopes = _drops(resampled)
    of_classes = np.full(total.shape[1], np.nan)
    for index in np.flatnonzero(~np.isnan(lost[0])):
        of_classes[index] = _bound(
            draws, areas[..., index], (lost[:, index], slopes[..., index]),
            (others[:, index], other_slopes[..., index]),
        )  # fmt: skip
    flat = areas.reshape(len(areas), -1)
    of_mean = _bound(draws, flat, _mean(lost, slopes), _mean(others, other_slopes))
    return of_mean, of_classes


def loss_at_most(reference: Score, score: Score) -> Loss:
    """Returns the bounds of mean IoU and of the class with the largest bound, among the classes with a bound.

    Where the images are too few for mean IoU, its bound is infinite.
    """
    miou, classes = upper_bounds(reference, score)
    proof = Proof.of(reference)
    # The measured means are over other classes than the bound's where one graph alone finds a class that is not there.
    miou = max(miou, score.points_lost(reference).miou) if proof.miou else float("inf")
    return Loss.worst(miou, classes, proof.classes & ~np.isnan(classes))


def _areas(score: Score) -> Doubles:
    """Returns the intersection and union of each image and class, float64 [images, 2, C]."""
    counts = score.counts.astype(np.float64)
    return np.stack([counts[:, BOTH], counts[:, TRUE] + counts[:, PREDICTED] - counts[:, BOTH]], axis=1)


def _run_length(images: int) -> int:
    """Returns the cube root, which is the order of the best length (Künsch 1989)."""
    return max(1, round(float(np.cbrt(images))))


@lru_cache(maxsize=8)
def _draws(images: int) -> Doubles:
    """Returns how often each resample has the run that begins at each image, float64 [resamples, images]."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    runs = -(-images // _run_length(images))
    draws = random.multinomial(runs, np.full(images, 1 / images), size=RESAMPLES).astype(np.float64)
    draws.flags.writeable = False
    return draws


def _runs(values: Doubles) -> Doubles:
    """Sums each image's values with those of the next ones in its run; the last images go on with the first."""
    found: Doubles = values.copy()
    for step in range(1, _run_length(len(values))):
        found += np.roll(values, -step, axis=0)
    return found


def _drops(areas: Doubles) -> tuple[Doubles, Doubles]:
    """Returns the loss of each class in points, float64 [..., C], and its derivatives by the areas, [..., 4, C].

    Where a union is empty, the loss is NaN and the derivatives are 0.
    """
    both, union, other_both, other_union = np.moveaxis(areas, -2, 0)
    there = (union > 0) & (other_union > 0)
    union, other_union = np.where(there, union, 1.0), np.where(there, other_union, 1.0)
    lost = np.where(there, 100 * (both / union - other_both / other_union), np.nan)
    slopes = np.stack([1 / union, -both / union**2, -1 / other_union, other_both / other_union**2], axis=-2)
    return lost, 100 * slopes * there[..., None, :]


def _mean(lost: Doubles, slopes: Doubles) -> tuple[Doubles, Doubles]:
    """Returns the same as ``_drops``, of the mean over the classes that are there: [...], and [..., 4 * C]."""
    there = ~np.isnan(lost)
    count = np.maximum(there.sum(axis=-1), 1)
    slopes = slopes / count[..., None, None]
    return np.where(there, lost, 0).sum(axis=-1) / count, slopes.reshape(*lost.shape[:-1], -1)


def _bound(
    draws: Doubles, areas: Doubles, found: tuple[Doubles, Doubles], others: tuple[Doubles, Doubles]
) -> float:
    """Returns the upper bound of one loss.

    Args:
        draws: float64 [resamples, n].
        areas: of each run, float64 [n, A].
        found: the loss and its derivatives on the images, float64 [1] and [1, A].
        others: the same of every resample, float64 [resamples] and [resamples, A].
    """
    (lost,), slopes = found
    # The loss does not change with the areas' scale, so that each resample's influences have a mean of 0.
    error = float(np.sqrt(np.square(slopes @ areas.T).mean() * draws[0].sum()))
    if error == 0:
        return float(lost)
    errors = np.sqrt((draws * np.square(others[1] @ areas.T)).sum(axis=1))
    away = (others[0] - lost) / np.maximum(errors, _LEAST_ERROR * error)
    away[np.isnan(away)] = -np.inf  # a resample without the class says nothing for it
    return max(float(lost), float(lost - np.quantile(away, 1 - CONFIDENCE, method="lower") * error))
