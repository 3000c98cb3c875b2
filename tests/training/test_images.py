"""The place of decoded images: memory, the disk, or none."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeseg.core.labels import VOID
from edgeseg.data import decoded
from edgeseg.data.augment import Augmentation
from edgeseg.data.decoded import DecodedCache
from edgeseg.data.voc import VocDataset
from edgeseg.training.batches import EpochBatches, EpochOf, training_batches
from edgeseg.training.draw import Draw
from edgeseg.training.images import Keeping, TrainingImages, memory_share, plan
from edgeseg.training.job import Job, TrainingProgress
from edgeseg.training.recipe import Recipe
from edgeseg.training.trainer import Trainer

SIZES = [(24, 32)] * 4
IMAGE_BYTES = 24 * 32 * 4
Train = Callable[..., int]


@pytest.fixture
def images(data: Path) -> TrainingImages:
    return TrainingImages(VocDataset(data, "train"), Augmentation(crop_hw=(16, 16)))


def everything(images: TrainingImages, count: int = 4) -> list[tuple[torch.Tensor, torch.Tensor]]:
    found = [images[number, 7] for number in range(count)]
    assert not any(isinstance(each, Exception) for each in found)
    return found  # type: ignore[return-value]


def same(
    one: list[tuple[torch.Tensor, torch.Tensor]], other: list[tuple[torch.Tensor, torch.Tensor]]
) -> bool:
    return all(
        torch.equal(a, b)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def no_decoding(*_: object) -> None:
    raise AssertionError("it was decoded again")


def test_memory_is_taken_where_all_fits(images: TrainingImages, tmp_path: Path) -> None:
    keeping, note = plan(images, SIZES, 4 * IMAGE_BYTES, tmp_path / "cache", 10**9)
    assert (keeping.disk, note) == (None, "")
    assert not (tmp_path / "cache").exists()


def test_the_disk_is_taken_where_memory_is_short_and_decodes_each_image_once(
    images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = everything(images)
    keeping, note = plan(images, SIZES, 4 * IMAGE_BYTES - 1, tmp_path / "cache", 10**9)
    assert note.startswith(f"all decoded images are kept in {tmp_path / 'cache'}, ")
    assert note.endswith("--cache none keeps none")
    images.keep(keeping)
    first = everything(images)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 4
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) == 4 * (IMAGE_BYTES + 128)
    monkeypatch.setattr(VocDataset, "read", no_decoding)
    assert same(plain, first)
    assert same(plain, everything(images))


def test_a_bound_keeps_the_first_images(images: TrainingImages, tmp_path: Path) -> None:
    keeping, note = plan(images, SIZES, 0, tmp_path / "cache", 2 * (IMAGE_BYTES + 128))
    assert keeping.on_disk == 2
    assert note.startswith("2 of 4 decoded images are kept in ")
    images.keep(keeping)
    everything(images)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    assert (
        "no image fits into a --cache-size of 1e-06 GB" in plan(images, SIZES, 0, tmp_path / "cache", 1000)[1]
    )


def test_a_changed_file_is_decoded_again(images: TrainingImages, tmp_path: Path) -> None:
    images.keep(Keeping(0, DecodedCache(tmp_path / "cache"), 4))
    key, mask = images.key(0), images.dataset.root / "SegmentationClass/train_0.png"
    os.utime(mask, ns=(1, 1))
    assert images.key(0) != key
    assert images.key(1) == TrainingImages(images.dataset, images.augmentation).key(1)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"nonsense" * 100])
def test_a_damaged_file_is_decoded_again(images: TrainingImages, tmp_path: Path, damage: bytes) -> None:
    plain = everything(images)
    cache = DecodedCache(tmp_path / "cache")
    images.keep(Keeping(0, cache, 4))
    everything(images)
    path = cache.folder / f"{images.key(0)}.npy"
    whole = path.read_bytes()
    path.write_bytes(damage or whole[:-5])
    assert same(plain, everything(images))
    assert path.read_bytes() == whole


def test_several_processes_share_the_disk(images: TrainingImages, tmp_path: Path) -> None:
    images.keep(Keeping(0, DecodedCache(tmp_path / "cache"), 4))
    for workers in (2, 0):
        batches = EpochBatches(Draw(4, 2, 0), 0, 1)
        found = list(EpochOf(training_batches(images, batches, workers)))
        assert [image.shape for image, _ in found] == [(2, 3, 16, 16)] * 2
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_an_unlabelled_image_is_void_also_from_disk(data: Path, tmp_path: Path) -> None:
    free = sorted((data / "JPEGImages").glob("val_*"))
    images = TrainingImages(VocDataset(data, "train"), Augmentation(crop_hw=(16, 16)), unlabelled=free)
    plain = everything(images, 6)
    images.keep(Keeping(0, DecodedCache(tmp_path / "cache"), 6))
    for _ in range(2):
        found = everything(images, 6)
        assert same(plain, found)
        assert all((mask == VOID).all() for _, mask in found[4:])
        assert not any((mask == VOID).all() for _, mask in found[:4])


def test_a_missing_file_is_named(images: TrainingImages, tmp_path: Path) -> None:
    images.keep(Keeping(0, DecodedCache(tmp_path / "cache"), 4))
    (images.dataset.root / "JPEGImages/train_2.png").unlink()
    assert "train_2.jpg is missing" in str(images[2, 0])


class TestAFullDisk:
    def test_it_is_seen_before_the_start(
        self, images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple("usage", "free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(decoded.RESERVE_BYTES + 1000))
        keeping, note = plan(images, SIZES, 5, tmp_path / "cache", 10**9)
        assert keeping == Keeping(5)
        assert note.startswith("decoded images are not kept: the images take 0.0 GB more in ")
        assert note.endswith("where 2.1 GB are free and 2.1 GB stay so; --cache DIR names another disk")

    def test_the_training_goes_on_without_and_says_so_once(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(DecodedCache, "write", lambda *_: False)
        told: list[TrainingProgress] = []
        recipe = Recipe(epochs=3, batch_size=2, augmentation=Augmentation(crop_hw=(16, 16)))
        train = VocDataset(data, "train")
        job = Job(
            "unet", recipe, train, None, (24, 32), tmp_path / "run", {"width": 4, "depth": 2}, workers=0
        )
        job.out.mkdir()
        trainer = Trainer(replace(job, cache_bytes=0, disk_cache=tmp_path / "cache"), told.append)
        trainer.run()
        notes = [progress.note for progress in told if progress.note]
        assert notes == ["the disk has no room for more decoded images; the rest is decoded each time"]
        assert trainer.epochs_done == 3

    def test_nothing_half_written_is_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = DecodedCache(tmp_path / "cache")

        def fails(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "save", fails)
        assert not cache.write("key", np.zeros((4, 2, 2), np.uint8))
        assert not list(cache.folder.iterdir())


def test_other_trainings_lose_their_oldest_images_first(tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path / "cache")
    planes = np.zeros((4, 10, 10), np.uint8)
    for age, key in enumerate(("new", "old", "oldest")):
        assert cache.write(key, planes)
        os.utime(cache.folder / f"{key}.npy", (1000 - age, 1000 - age))
    for name, at in ((".a.partial-1-ff", 0), (".b.partial-2-ff", time.time())):
        (cache.folder / name).touch()
        os.utime(cache.folder / name, (at, at))
    size = (cache.folder / "new.npy").stat().st_size
    assert cache.make_room(["mine"], size, 3 * size) == ""
    (cache.folder / ".b.partial-2-ff").unlink()  # of a process that may still write it
    assert sorted(path.stem for path in cache.folder.iterdir()) == ["new", "old"]
    assert cache.make_room(["old"], size, size) == ""
    assert [path.stem for path in cache.folder.iterdir()] == ["old"]


def test_the_processes_of_a_machine_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory_share(1200, 0) == memory_share(1200, 1) == 1200
    assert memory_share(1200, 3) == 400
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert memory_share(1200, 3) == 200


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--cache-size", "0"), "--cache-size 0: expected more than 0 GB, at most 1000000, such as 20"),
        (("--cache-size", "nan"), "--cache-size nan: expected more than 0 GB"),
        (("--cache", ""), "--cache '': expected a folder, or none"),
        (("--balance", "1.5"), "balance is 1.5; expected 0, each image once, to 1, all classes alike"),
    ],
)
def test_nonsense_is_refused(refusal: Callable[..., str], more: tuple[str, ...], message: str) -> None:
    assert message in refusal(*more)


def test_a_cache_in_the_data_set_is_refused(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "1", "--cache", str(data / "JPEGImages")) == 2
    assert "would replace the data set" in capsys.readouterr().err
