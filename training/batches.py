"""Batches whose content depends only on (seed, epoch, image), not on workers, processes or a resumed run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..core.errors import DataError
from ..core.labels import VOID
from ..data.augment import Augmentation
from ..data.voc import Sample, VocDataset


class _TrainingImages(Dataset["tuple[Tensor, Tensor] | DataError"]):
    """Augmented images by (index, seed); images that were read stay in memory, up to ``cache_bytes``.

    For an image that cannot be read, the error is returned. An error that is raised in a loading process would arrive
    wrapped in that process's traceback.
    """

    def __init__(self, dataset: VocDataset, augmentation: Augmentation, cache_bytes: int) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        self.room_bytes = cache_bytes
        self.cache: dict[int, Sample] = {}

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor] | DataError:
        index, seed = key
        sample = self.cache.get(index)
        if sample is None:
            try:
                sample = self.dataset.read(index)
            except DataError as error:
                return DataError(str(error))
            size = sample.frame_bgr.nbytes + sample.mask.nbytes
            if size <= self.room_bytes:
                self.room_bytes -= size
                self.cache[index] = sample
        return self.augmentation(sample, seed)


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """This process's share of every batch of an epoch.

    All processes draw the same permutation, and a batch is divided among them, so that together they see the same
    batches as a single process. An incomplete last batch is left out.

    Args:
        count: images in the split.
        batch_size: images in a batch, over all processes.
        seed: of the whole training.
        rank, world_size: the number of this process, and the number of processes.
    """

    def __init__(self, count: int, batch_size: int, seed: int, rank: int, world_size: int) -> None:
        self.count, self.batch_size, self.seed = count, min(batch_size, count), seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = np.random.Generator(np.random.PCG64([self.seed, self.epoch]))
        order = generator.permutation(self.count)
        seeds = generator.integers(2**31, size=self.count)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            batch = order[start : start + self.batch_size][self.rank :: self.world_size]
            yield [(int(index), int(seeds[index])) for index in batch]


def training_batches(
    dataset: VocDataset, augmentation: Augmentation, batches: EpochBatches, workers: int, cache_bytes: int
) -> DataLoader[tuple[Tensor, Tensor] | DataError]:
    """Returns a loader for :func:`epoch_of`."""
    return DataLoader(
        _TrainingImages(dataset, augmentation, cache_bytes // max(1, workers)),
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_stack,
        worker_init_fn=_one_thread if workers else None,
    )


def epoch_of(loader: DataLoader[tuple[Tensor, Tensor] | DataError]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the (uint8 [N, 3, h, w] RGB, int64 [N, h, w]) batches of one epoch.

    Raises:
        DataError: an image or mask can no longer be read; the message names it.
    """
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _stack(items: Sequence[tuple[Tensor, Tensor] | DataError]) -> tuple[Tensor, Tensor] | DataError:
    """Stacks images; smaller ones are padded to the largest with void. An error replaces the whole batch."""
    images = [item for item in items if not isinstance(item, DataError)]
    if len(images) < len(items):
        return next(item for item in items if isinstance(item, DataError))
    height = max(mask.shape[0] for _, mask in images)
    width = max(mask.shape[1] for _, mask in images)

    def pad(tensor: Tensor, value: int) -> Tensor:
        return F.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]), value=value)

    stacked = torch.stack([pad(image, 0) for image, _ in images])
    return stacked, torch.stack([pad(mask, VOID) for _, mask in images])
