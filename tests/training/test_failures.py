"""A training that fails says so, stops at once, and keeps what was good."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeseg.core.errors import DataError, TrainingError
from edgeseg.data.augment import Augmentation
from edgeseg.data.voc import Sample, VocDataset
from edgeseg.models import registry
from edgeseg.models.checkpoint import load_checkpoint
from edgeseg.training.batches import EpochBatches, EpochOf, training_batches
from edgeseg.training.draw import Draw
from edgeseg.training.evaluate import Predictor, evaluate, normalizer
from edgeseg.training.failures import check_loss, check_weights, explained_failures
from edgeseg.training.images import TrainingImages
from torch import nn

Train = Callable[..., int]


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes, as a full disk does: ``full_disk(1000)``."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda count: resource.setrlimit(resource.RLIMIT_FSIZE, (count, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_loss_that_is_no_number_ends_it_at_once(
    data: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "3", "--learning-rate", "1e30", "--amp", "off") == 1
    explained_failures = capsys.readouterr()
    assert (
        "the loss is nan in epoch 1, step 2: lower --learning-rate (now 1e+30); nothing was written"
        in explained_failures.err
    )
    assert explained_failures.err.count("\n") == 1
    assert "wrote" not in explained_failures.out
    assert not out.exists()


def test_the_last_good_epoch_is_kept_and_gone_on_from(
    data: Path, trained: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    out = trained
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    assert train(data, out, "--epochs", "3", "--resume", "--learning-rate", "1e30", "--amp", "bf16") == 1
    explained_failures = capsys.readouterr()
    assert "the loss is nan in epoch 2" in explained_failures.err
    assert "or train in full precision with --amp off (now bf16)" in explained_failures.err
    assert f"epoch 1 is kept in {out}: --resume goes on from there" in explained_failures.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert train(data, out, "--epochs", "2", "--resume") == 0
    assert "continuing after epoch 1 with epochs 2 instead of 1" in capsys.readouterr().out


def test_advice_names_what_was_chosen() -> None:
    check_loss(3.0, "in epoch 1", 0.1, "off")
    with pytest.raises(
        TrainingError, match=r"the loss is inf in epoch 1: lower --learning-rate \(now 0.1\)$"
    ):
        check_loss(float("inf"), "in epoch 1", 0.1, "off")


def test_weights_that_are_no_numbers_are_never_written() -> None:
    network = nn.BatchNorm2d(2)
    check_weights(network, "after epoch 1", 0.1, "off")
    network.running_var[1] = float("inf")
    with pytest.raises(TrainingError, match="running_var is not finite after epoch 1: lower --learning-rate"):
        check_weights(network, "after epoch 1", 0.1, "off")


def test_logits_that_are_no_numbers_are_not_measured() -> None:
    network = registry.build("unet", 2, {"width": 2, "depth": 1}).eval()
    with torch.no_grad():
        network.score.bias.fill_(float("nan"))
    samples = [Sample("first", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))]
    device = torch.device("cpu")
    with pytest.raises(TrainingError, match="the network's logits of first are not finite"):
        evaluate(Predictor(network, (8, 8), normalizer((0, 0, 0), (1, 1, 1), device), device), samples)


def test_crops_without_a_label_end_it(
    data: Path,
    tmp_path: Path,
    train: Train,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def void(self: Augmentation, sample: Sample, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(3, 24, 24, dtype=torch.uint8), torch.full((24, 24), 255)

    monkeypatch.setattr(Augmentation, "__call__", void)
    assert train(data, tmp_path / "run", "--epochs", "1") == 1
    assert "no crop of epoch 1 had a labelled pixel; use a larger --crop" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_goes_bad_in_an_epoch_is_named(data: Path, workers: int) -> None:
    dataset = VocDataset(data, "train")
    images = TrainingImages(dataset, Augmentation(crop_hw=(8, 8)))
    loader = training_batches(images, EpochBatches(Draw(4, 2, 0), 0, 1), workers)
    assert len(list(EpochOf(loader))) == 2
    (data / "JPEGImages/train_3.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match=r"train_3\.png") as caught:
        list(EpochOf(loader))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            "use fewer --workers, or --workers 0; kept",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:1] can't allocate memory: you\nmore"),
            "memory ran out; use a",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
            "use a smaller --batch-size or --crop",
        ),
        (MemoryError(), "memory ran out"),
    ],
)
def test_what_a_library_raises_is_one_line(error: Exception, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught, explained_failures(lambda: "kept"):
        raise error
    assert "\n" not in str(caught.value)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), explained_failures(lambda: "kept"):
        raise RuntimeError("shapes differ")


@pytest.mark.slow
def test_a_compiler_that_fails_is_one_line() -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no working C++ compiler found\nlong story")

    compiled = torch.compile(nn.Linear(2, 2), backend=broken)
    with (
        pytest.raises(TrainingError, match=r"torch.compile failed .*; leave --compile out") as caught,
        explained_failures(),
    ):
        compiled(torch.zeros(1, 2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("room", "left"), [(3000, []), (60_000, ["best.safetensors", "last.safetensors"])])
def test_a_full_disk_leaves_nothing_half_written(
    data: Path,
    tmp_path: Path,
    train: Train,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[int], None],
    room: int,
    left: list[str],
) -> None:
    full_disk(room)
    assert train(data, tmp_path / "run", "--epochs", "1") == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "cannot write " in line
    assert ("nothing was written" if not left else "there is no state to resume, only ") in line
    files = sorted(path.name for path in (tmp_path / "run").glob("*.safetensors"))
    assert files == left
    for name in files:
        load_checkpoint(tmp_path / "run" / name).build()
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        ("labels", (), "is of a run with other classes; start again in another --out"),
        ("classes", (), "is of a run with other classes"),
        ("list", (), "is of a run with other training images or masks"),
        ("state", (), "state.safetensors is truncated or not a safetensors file"),
        ("log", (), "log.jsonl is malformed"),
        ("", ("--option", "batch_norm=false"), "is of a run with other options of the network"),
        ("", ("--optimizer", "sgd"), "is of a run with other optimizer"),
        ("", ("--size", "16x16"), "is of a run with other input size"),
        ("", ("--val-split", "train"), "is of a run with other validation images or masks"),
    ],
)
def test_a_state_goes_on_with_its_own_data_and_network_alone(
    data: Path,
    trained: Path,
    train: Train,
    capsys: pytest.CaptureFixture[str],
    spoil: str,
    more: tuple[str, ...],
    message: str,
) -> None:
    out = trained
    labelmap, names = data / "labelmap.txt", data / "ImageSets/Segmentation/train.txt"
    if spoil == "labels":
        labelmap.write_text(labelmap.read_text().replace("road", "street"))
    elif spoil == "classes":
        labelmap.write_text(labelmap.read_text() + "tree:9,9,9::\n")
    elif spoil == "list":
        names.write_text("train_0\ntrain_1\n")
    elif spoil == "state":
        (out / "state.safetensors").write_bytes((out / "state.safetensors").read_bytes()[:500])
    elif spoil == "log":
        (out / "log.jsonl").write_text("{}\n")
    capsys.readouterr()
    assert train(data, out, "--epochs", "2", "--resume", *more) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


def test_a_run_that_is_done_says_so_and_names_no_file_as_written(
    data: Path, trained: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert train(data, trained, "--epochs", "1", "--resume") == 0
    assert capsys.readouterr().out == f"{trained} has 1 epochs already; give more --epochs to continue\n"


def test_a_best_that_is_gone_is_made_anew(
    data: Path, trained: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    (trained / "best.safetensors").unlink()
    capsys.readouterr()
    assert train(data, trained, "--epochs", "2", "--resume") == 0
    assert "the next measured epoch as best, because best.safetensors is gone" in capsys.readouterr().out
    assert (trained / "best.safetensors").is_file()
