"""The images of a training, read by worker processes: labelled ones, ones without masks, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..core.errors import DataError
from ..core.labels import VOID
from ..data.augment import Augmentation
from ..data.decoded import DecodedCache, Planes, key_of, stored_bytes
from ..data.lists import image_path, mask_path
from ..data.masks import read_frame
from ..data.voc import Sample, VocDataset

_LABELLED_PLANES, _UNLABELLED_PLANES = 4, 3


@dataclass(frozen=True)
class Keeping:
    """The place of decoded images.

    Attributes:
        memory_bytes: memory of each process that loads images, for those that the disk has no room for.
        disk: the cache on disk, or None.
        on_disk: the number of images, the first ones, that the disk has room for.
    """

    memory_bytes: int = 0
    disk: DecodedCache | None = None
    on_disk: int = 0


class TrainingImages(Dataset["tuple[Tensor, Tensor] | DataError"]):
    """Augmented images by (number, seed).

    For an image that cannot be read, the error is returned. An error that is raised in a loading process would arrive
    wrapped in that process's traceback.

    Args:
        dataset: the labelled images, which have the first numbers.
        augmentation: of every image.
        keeping: the place of decoded images.
        unlabelled: images without masks. Their masks are void.
    """

    def __init__(
        self,
        dataset: VocDataset,
        augmentation: Augmentation,
        keeping: Keeping | None = None,
        unlabelled: Sequence[Path] = (),
    ) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        self.unlabelled = unlabelled
        self.in_memory: dict[int, Sample] = {}
        self.keep(keeping or Keeping())
        self._full = torch.zeros(1, dtype=torch.int32).share_memory_()  # type: ignore[no-untyped-call]
        self._meaning = (
            [[*labels.rgb] for labels in dataset.labels.labels],
            [[*line.label.rgb] for line in dataset.labels.void],
        )

    def keep(self, keeping: Keeping) -> None:
        """Decides where images are kept, before the first one is read."""
        self.keeping, self.room_bytes = keeping, keeping.memory_bytes

    @property
    def disk_is_full(self) -> bool:
        """Returns True if a process could not keep an image on disk. None of them tries again."""
        return bool(self._full[0])

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor] | DataError:
        number, seed = key
        sample = self.in_memory.get(number)
        if sample is None:
            try:
                sample = self._from_disk(number)
            except DataError as error:
                return DataError(str(error))
            size = sample.frame_bgr.nbytes + sample.mask.nbytes
            if number >= self.keeping.on_disk and size <= self.room_bytes:
                self.room_bytes -= size
                self.in_memory[number] = sample
        return self.augmentation(sample, seed)

    def key(self, number: int) -> str:
        """Returns an image's key in the cache on disk.

        Raises:
            DataError: a file is missing.
        """
        try:
            if number >= len(self.dataset):
                return key_of([self.unlabelled[number - len(self.dataset)]])
            root, name = self.dataset.root, self.dataset.ids[number]
            return key_of([image_path(root, name), mask_path(root, name)], self._meaning)
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from error

    def _from_disk(self, number: int) -> Sample:
        disk = self.keeping.disk
        if disk is None or number >= self.keeping.on_disk:
            return self._read(number)
        key = self.key(number)
        planes = disk.read(key)
        wanted = _UNLABELLED_PLANES if number >= len(self.dataset) else _LABELLED_PLANES
        if planes is not None and len(planes) == wanted:
            return _sample_of(self._name(number), planes)
        sample = self._read(number)
        if not self.disk_is_full and not disk.write(key, _planes_of(sample, wanted)):
            self._full[0] = 1
        return sample

    def _read(self, number: int) -> Sample:
        if number < len(self.dataset):
            return self.dataset.read(number)
        frame_bgr = read_frame(self.unlabelled[number - len(self.dataset)])
        return Sample(self._name(number), frame_bgr, np.full(frame_bgr.shape[:2], VOID, np.uint8))

    def _name(self, number: int) -> str:
        if number < len(self.dataset):
            return self.dataset.ids[number]
        return self.unlabelled[number - len(self.dataset)].stem


def plan(
    images: TrainingImages,
    sizes_hw: Sequence[tuple[int, int]],
    memory_bytes: int,
    folder: Path | None,
    most_bytes: int,
) -> tuple[Keeping, str]:
    """Decides where decoded images are kept: in memory if all fit, else on disk if there is a folder.

    Args:
        images: of the training.
        sizes_hw: height and width of each.
        memory_bytes: of each process that loads images.
        folder: for the cache on disk, or None.
        most_bytes: of the cache on disk.

    Returns:
        The decision, and a note on it for the user; an empty note if the disk is not needed or not wanted.

    Raises:
        OutputError: the folder cannot be used.
    """
    count = len(images.dataset)
    sizes = [
        stored_bytes(size_hw, _LABELLED_PLANES if number < count else _UNLABELLED_PLANES)
        for number, size_hw in enumerate(sizes_hw)
    ]
    # In memory an image without a mask has a void one.
    if folder is None or sum(height * width * _LABELLED_PLANES for height, width in sizes_hw) <= memory_bytes:
        return Keeping(memory_bytes), ""
    ends = np.cumsum(sizes)
    on_disk = int(np.searchsorted(ends, most_bytes, side="right"))
    if not on_disk:
        return Keeping(memory_bytes), f"no image fits into a --cache-size of {most_bytes / 1e9:.3g} GB"
    disk, needed = DecodedCache(folder), int(ends[on_disk - 1])
    problem = disk.make_room((images.key(number) for number in range(on_disk)), needed, most_bytes)
    if problem:
        return Keeping(
            memory_bytes
        ), f"decoded images are not kept: {problem}; --cache DIR names another disk"
    part = "" if on_disk == len(sizes) else f"{on_disk} of {len(sizes)} "
    return Keeping(memory_bytes, disk, on_disk), (
        f"{part or 'all '}decoded images are kept in {folder}, {needed / 1e9:.2g} GB; --cache none keeps none"
    )


def memory_share(total_bytes: int, workers: int) -> int:
    """Returns the memory for each process that loads images, so that all on this machine together have ``total_bytes``.

    Args:
        total_bytes: of the machine.
        workers: of each training process; at 0 the training process itself loads.
    """
    return total_bytes // (max(1, workers) * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _sample_of(name: str, planes: Planes) -> Sample:
    """Returns a sample whose arrays are views of the file's memory."""
    frame_bgr = planes[:3].transpose(1, 2, 0)
    mask = planes[3] if len(planes) == _LABELLED_PLANES else np.full(planes.shape[1:], VOID, np.uint8)
    return Sample(name, frame_bgr, mask)


def _planes_of(sample: Sample, planes: int) -> Planes:
    stored = np.empty((planes, *sample.mask.shape), np.uint8)
    stored[:3] = sample.frame_bgr.transpose(2, 0, 1)
    if planes == _LABELLED_PLANES:
        stored[3] = sample.mask
    return stored
