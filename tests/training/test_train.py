"""Training end to end on a tiny data set: it learns, resumes to the same result, and refuses nonsense."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from edgeseg.cli.main import main
from edgeseg.core.claims import claimed
from edgeseg.models.checkpoint import load_checkpoint

MakeDataset = Callable[..., Path]
NETWORK = (
    "--model",
    "unet",
    "--option",
    "width=4",
    "--option",
    "depth=2",
    "--device",
    "cpu",
    "--workers",
    "0",
)
RECIPE = (
    "--preset", "scratch", "--crop", "24x24", "--scale", "0.8,1.2", "--batch-size", "2", "--learning-rate", "0.01",
)  # fmt: skip


def train(data: Path, out: Path, *more: str) -> int:
    return main(["train", *NETWORK, *RECIPE, "--data", str(data), "--out", str(out), *more])


def log(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def data(make_dataset: MakeDataset) -> Path:
    return make_dataset(train=6, val=2)


def test_it_learns_and_leaves_what_it_says(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "12", "--seed", "3", "--average", "0.9") == 0
    entries = log(out)
    assert len(entries) == 12
    assert float(str(entries[-1]["loss"])) < 0.7 * float(str(entries[0]["loss"]))
    assert {"miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "per_class_iou"} == set(
        entries[-1]["val"]
    )  # type: ignore[call-overload]
    best = load_checkpoint(out / "best.safetensors")
    assert best.info.architecture == "unet"
    assert best.info.labels.names == ("ground", "road", "car")
    assert best.info.recipe["seed"] == 3
    assert best.info.metrics["set/val"]["miou"] == max(e["val"]["miou"] for e in entries)  # type: ignore[index]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (out / "sheets").iterdir()) == ["epoch-010.jpg", "epoch-012.jpg"]
    assert all(0 <= entry["data_share"] <= 1 for entry in entries)  # type: ignore[operator]
    shown = capsys.readouterr().out
    assert "best mIoU on val" in shown
    assert re.search(
        r"^epoch 12/12  loss [\d.]+  mIoU [\d.]+  \d+% waiting for images  0\.0 min left$", shown, re.M
    )


def test_a_killed_run_resumes_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "whole", "--epochs", "4") == 0
    # A run of the same schedule that dies in its third epoch: the log has a line that the state does not know.
    script = (
        "import sys, edgeseg.training.state as s, edgeseg.cli.main as c\n"
        "save = s.save_state\n"
        "def dying(path, network, average, optimizer, progress):\n"
        "    import os\n"
        "    if progress['epochs_done'] == 3: os._exit(9)\n"
        "    save(path, network, average, optimizer, progress)\n"
        "s.save_state = dying\n"
        "sys.exit(c.main(sys.argv[1:]))\n"
    )
    arguments = [
        "train",
        *NETWORK,
        *RECIPE,
        "--data",
        str(data),
        "--out",
        str(tmp_path / "cut"),
        "--epochs",
        "4",
    ]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, timeout=200)
    assert killed.returncode == 9, killed.stderr.decode()
    assert len(log(tmp_path / "cut")) == 3
    assert train(data, tmp_path / "cut", "--epochs", "4", "--resume") == 0
    whole, cut = (load_checkpoint(tmp_path / name / "last.safetensors").state for name in ("whole", "cut"))
    # The same arithmetic in the same order; another process may split sums over threads differently.
    assert all(torch.allclose(whole[key], cut[key], atol=1e-5) for key in whole)
    assert [entry["epoch"] for entry in log(tmp_path / "cut")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_two_processes_give_the_loss_of_one(data: Path, tmp_path: Path) -> None:
    arguments = [
        *NETWORK,
        *RECIPE,
        "--data",
        str(data),
        "--epochs",
        "2",
        "--batch-size",
        "4",
        "--average",
        "0",
    ]
    assert main(["train", *arguments, "--out", str(tmp_path / "one")]) == 0
    # A thread of the group that outlives it may abort the process when the interpreter ends.
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys\n"
        "from edgeseg.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "threads = {open(f'/proc/self/task/{each}/comm').read() for each in os.listdir('/proc/self/task')}\n"
        "assert not any('gloo' in each for each in threads), threads\n"
        "sys.exit(status)\n"
    )
    together = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script),
         "train", *arguments, "--out", str(tmp_path / "two")],
        capture_output=True, timeout=250, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert together.returncode == 0, together.stderr.decode()
    one, two = log(tmp_path / "one"), log(tmp_path / "two")
    # The same batches, dealt out: sums run in another order, and batch norm's variance is a difference of two.
    assert [e["loss"] for e in two] == pytest.approx([e["loss"] for e in one], rel=1e-4)
    first, second = (load_checkpoint(tmp_path / name / "last.safetensors").state for name in ("one", "two"))
    # Adam's first steps are the gradient's sign times the learning rate: where a gradient is rounding alone, single
    # weights differ by whole steps, differently on each CPU. All together they stay close.
    apart = sum(float((first[key].double() - second[key].double()).square().sum()) for key in first)
    size = sum(float(first[key].double().square().sum()) for key in first)
    assert apart <= 0.02**2 * size


def test_fine_tuning_starts_from_a_checkpoint(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "first", "--epochs", "1") == 0
    init = str(tmp_path / "first/last.safetensors")
    assert train(data, tmp_path / "second", "--epochs", "1", "--init", init) == 0
    with (data / "labelmap.txt").open("a") as file:
        file.write("tree:9,9,9::\n")
    assert train(data, tmp_path / "third", "--epochs", "1", "--init", init) == 0
    assert "classes taken over by name: ground, road, car; fresh: tree" in capsys.readouterr().out
    other = [
        "train",
        "--model",
        "lraspp",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "fourth"),
        "--init",
        init,
    ]
    assert main(other) == 2
    assert "is a unet checkpoint; lraspp starts from lraspp" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--model", "resnet"), "unknown network 'resnet'; known: lraspp"),
        (("--preset", "magic"), "unknown preset 'magic'"),
        (("--size", "12"), "'12' is not a size; expected HEIGHTxWIDTH"),
        (("--scale", "2"), "--scale 2: expected LOW,HIGH"),
        (("--train-split", "tests"), "has no split 'tests'"),
        (("--option", "width"), "--option width: expected KEY=VALUE"),
        (("--init", ""), "cannot read the checkpoint"),
        (("--size", ""), "'' is not a size"),
        (("--option", "colour=3"), "has no option colour"),
        (("--resume",), "there is nothing to resume"),
        (("--init", "nowhere.safetensors"), "cannot read the checkpoint nowhere.safetensors"),
        (("--val-split", "vall"), "has no split 'vall': there is no such list in ImageSets/Segmentation"),
        (("--train-split", "a" * 300), "splits there: train, val"),
        (("--learning-rate", "inf"), "the learning rate is inf; expected more than 0"),
        (("--learning-rate", "nan"), "the learning rate is nan"),
        (("--weight-decay=-1",), "weight_decay is -1.0; expected 0 or more"),
        (("--jaccard", "nan"), "jaccard_weight is nan"),
        (("--average", "1"), "average_decay is 1.0; expected 0 or more, below 1"),
        (("--scale", "1,1e9"), "--scale 1,1e9: expected LOW <= HIGH, both from 0.05 to 20"),
        (("--crop", "20000x20000"), "--crop 20000x20000: expected at most 64 million pixels"),
        (("--size", "99999x99999"), "--size 99999x99999: expected at most 64 million pixels"),
        (("--seed=-1",), "--seed -1: expected a whole number from 0 to 2147483647"),
        (("--workers=-1",), "--workers -1: expected a whole number from 0 to 256"),
        (("--evaluate-every", "0"), "--evaluate-every 0: expected a whole number from 1"),
        (("--epochs", "0"), "epochs is 0; expected 1 to 1000000 passes"),
        (("--device", "meta"), "--device meta: expected cpu, cuda, cuda:N or auto"),
        (("--device", "xpu"), "--device xpu: expected cpu, cuda, cuda:N or auto"),
        (("--init", "/"), "cannot read the checkpoint /: it is a folder"),
        (("--out", "/dev/null"), "/dev/null is a file; name a folder"),
        (("--out", "/proc/x"), "cannot write /proc/x"),
        (("--out", "a" * 300), "File name too long"),
        (("--option", "padding=valid", "--size", "25x25"), "each pooling needs an even side"),
        (("--data", "a" * 300), "there is no data set folder"),
    ],
)
def test_bad_input_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "1", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_nothing_is_written_over_the_data(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.relative_to(data) for path in data.rglob("*"))
    for out in (data, data / "JPEGImages", data / "SegmentationClass/run"):
        assert train(data, out, "--epochs", "1", "--force") == 2
        error = capsys.readouterr().err
        assert "would replace the data set" in error
        assert error.count("\n") == 1
    assert sorted(path.relative_to(data) for path in data.rglob("*")) == before


def test_an_existing_run_is_not_overwritten(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "1") == 0
    before = (out / "last.safetensors").read_bytes()
    assert train(data, out, "--epochs", "1") == 2
    assert "give --resume to continue it, or --force" in capsys.readouterr().err
    assert (out / "last.safetensors").read_bytes() == before
    assert train(data, out, "--epochs", "1", "--force") == 0


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_of_two_in_one_folder_the_second_is_told_and_leaves_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    with claimed(out / "log.jsonl"):
        assert train(data, out, "--epochs", "1", *more) == 2
        assert "is being written by another process (PID" in capsys.readouterr().err
        assert os.listdir(out) == [".log.jsonl.lock"]
    assert train(data, out, "--epochs", "1", *more) == 0
    assert ".log.jsonl.lock" not in os.listdir(out)
