"""The draw of images for each epoch: a pure function of (seed, epoch), the same in every process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Chances = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_MOST_REPEATS = 10
"""Limit on the draws of one image in an epoch: a class in a single image would else be learnt by heart."""

_UNLABELLED, _UNLABELLED_SEEDS = 1, 2
"""They keep these random numbers apart from those of the labelled images."""


@dataclass(frozen=True)
class Draw:
    """The images of each batch.

    An epoch is one pass over as many images as the split has. An incomplete last batch is left out.

    Attributes:
        count: labelled images in the split.
        batch_size: images in a batch, over all processes.
        seed: of the whole training.
        chances: float64 [count], the chance of each labelled image; None draws each once in an epoch.
        unlabelled: the number of images without masks.
        unlabelled_share: their share of a batch. A batch has at least one of them, and one that is labelled.
    """

    count: int
    batch_size: int
    seed: int
    chances: Chances | None = None
    unlabelled: int = 0
    unlabelled_share: float = 0.0

    @property
    def unlabelled_size(self) -> int:
        """Returns the images without masks in a batch."""
        if not self.unlabelled or not self.unlabelled_share:
            return 0
        return min(max(1, round(self.batch_size * self.unlabelled_share)), self.batch_size - 1)

    @property
    def labelled_size(self) -> int:
        """Returns the labelled images in a batch."""
        return min(self.batch_size - self.unlabelled_size, self.count)

    @property
    def size(self) -> int:
        """Returns the images in a batch, over all processes."""
        return self.labelled_size + self.unlabelled_size

    def __len__(self) -> int:
        """Returns the batches of an epoch."""
        return self.count // self.labelled_size

    def batches(self, epoch: int) -> list[list[tuple[int, int]]]:
        """Returns the batches of an epoch: the number of each image, and the seed of its augmentation.

        The images without masks have the numbers from ``count`` on.
        """
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        if self.chances is None:
            order = generator.permutation(self.count)
            seeds = generator.integers(2**31, size=self.count)[order]
        else:
            order = _systematic(generator, self.chances)
            seeds = generator.integers(2**31, size=self.count)  # an image that comes twice has two seeds
        others, other_seeds = self._others(epoch)
        known, free = self.labelled_size, self.unlabelled_size
        return [
            [
                *_pairs(order[turn * known : (turn + 1) * known], seeds[turn * known : (turn + 1) * known]),
                *_pairs(
                    others[turn * free : (turn + 1) * free], other_seeds[turn * free : (turn + 1) * free]
                ),
            ]
            for turn in range(len(self))
        ]

    def _others(self, epoch: int) -> tuple[Numbers, Numbers]:
        """Draws images without masks: one pass after another over all of them, however long an epoch is."""
        wanted = len(self) * self.unlabelled_size
        if not wanted:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first, end = epoch * wanted, (epoch + 1) * wanted
        passes = range(first // self.unlabelled, -(-end // self.unlabelled))
        order = np.concatenate(
            [
                np.random.Generator(np.random.PCG64([self.seed, turn, _UNLABELLED])).permutation(
                    self.unlabelled
                )
                for turn in passes
            ]
        )
        skipped = first - passes[0] * self.unlabelled
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch, _UNLABELLED_SEEDS]))
        return self.count + order[skipped : skipped + wanted], generator.integers(2**31, size=wanted)


def balanced_chances(by_image: Numbers, balance: float) -> Chances | None:
    """Returns the chance of each image, so that images which show rare classes are drawn more often.

    At 1 a class is drawn first, each with the same chance, and then an image, by its share of that class's pixels, each
    image weighing the same. In between, it is a mixture with equal chances. No image is drawn more than about ten times
    in an epoch.

    Args:
        by_image: int64 [N, C], pixels of each class in each image.
        balance: 0 to 1.

    Returns:
        float64 [N] with sum 1; None for equal chances.
    """
    if not balance:
        return None
    count = len(by_image)
    shares = by_image / np.maximum(1, by_image.sum(1, keepdims=True))  # [N, C]
    of_class = shares.sum(0)
    present = of_class > 0
    by_class = (shares[:, present] / of_class[present]).mean(1)
    chances = (1 - balance) / count + balance * by_class
    chances = np.minimum(chances, _MOST_REPEATS / count)
    return np.asarray(chances / chances.sum(), np.float64)


def _systematic(generator: np.random.Generator, chances: Chances) -> Numbers:
    """Draws as many numbers as there are chances. Each comes as often as expected, rounded down or up."""
    count = len(chances)
    shuffled = generator.permutation(count)
    ends = np.cumsum(chances[shuffled]) * count
    marks = generator.random() + np.arange(count)
    picked = np.minimum(np.searchsorted(ends, marks, side="right"), count - 1)
    return generator.permutation(shuffled[picked])


def _pairs(numbers: Numbers, seeds: Numbers) -> list[tuple[int, int]]:
    return list(zip(numbers.tolist(), seeds.tolist(), strict=True))
