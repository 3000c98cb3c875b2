"""Batches whose content depends only on (seed, epoch, image), not on workers, processes or a resumed run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ..core.errors import DataError
from ..core.labels import VOID
from .draw import Draw
from .images import TrainingImages


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """This process's share of every batch of an epoch.

    All processes draw the same, and a batch is divided among them, so that together they see the same batches as a
    single process.

    Args:
        draw: the images of each batch.
        rank, world_size: the number of this process, and the number of processes.
    """

    def __init__(self, draw: Draw, rank: int, world_size: int) -> None:
        self.draw = draw
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.draw)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.draw.batches(self.epoch):
            yield batch[self.rank :: self.world_size]


def training_batches(
    images: TrainingImages, batches: EpochBatches, workers: int
) -> DataLoader[tuple[Tensor, Tensor] | DataError]:
    """Returns a loader for :class:`EpochOf`."""
    return DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_stack,
        worker_init_fn=_one_thread if workers else None,
    )


class EpochOf:
    """The (uint8 [N, 3, h, w] RGB, int64 [N, h, w]) batches of one epoch.

    Args:
        loader: of :func:`training_batches`.

    Attributes:
        waited_seconds: how long the caller has waited for batches so far.

    Raises:
        DataError: an image or mask can no longer be read; the message names it.
    """

    def __init__(self, loader: DataLoader[tuple[Tensor, Tensor] | DataError]) -> None:
        self._loader = loader
        self.waited_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        started = time.monotonic()
        for batch in self._loader:
            self.waited_seconds += time.monotonic() - started
            if isinstance(batch, DataError):
                raise batch
            yield batch
            started = time.monotonic()


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
