"""Every option of every verb, fed with values that cannot work: it succeeds, or says in one line why not.

The options are those that the verbs' parsers have, so that a new one is tried too. A verb is run with as little as it
takes; where its work would be long, it is stopped where the work begins, once all options have been looked at.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.apps.run import opening
from edgeseg.cli import main as cli
from edgeseg.cli.parser import VerbParser
from edgeseg.core.errors import EdgesegError

from .support.bundles import brightness_graph, write_bundle

VALUES = ("", "a\n\x1b[31mb", "caf\udce9", "x" * 300, "-1", "0", "1e400", "9" * 30)
"""Empty, controls, no UTF-8, too long, out of range."""

NAMES = (*VALUES, ".", "/", "loop", "pipe", "bb/bundle.json")
"""For what names a file or folder: folders, a loop of links, a named pipe and a bundle's own, too."""

TAKES_A_NAME = (
    "--cache",
    "--calibrate",
    "--card",
    "--curves",
    "--events",
    "--shm",
    "--source",
    "--unlabelled",
    "--weights",
)
"""Options that may name a file though their type does not say so."""

MUST_BE_LEFT = ("bb", "pics", "voc", "recording", "film.mp4")

BASES: dict[str, list[str]] = {
    "models": ["--card", "absent"],
    "data check": ["voc"],
    "data import": ["voc", "--out", "made", "--force"],
    "data split": ["voc"],
    "data voc": ["--dir", "."],
    "data aerial": ["--out", "made", "--count", "2", "--size", "32x32", "--force"],
    "train": [
        "--model", "unet", "--option", "width=4", "--data", "voc", "--out", "run", "--size", "64x64", "--workers", "0",
    ],
    "export": [
        "--model", "unet", "--option", "width=4", "--weights", "random", "--classes", "3", "--size", "64x64",
        "--out", "made", "--source", "aerial:7", "--frames", "1",
    ],
    "verify": ["bb", "--frames", "1"],
    "build": ["bb"],
    "run": [
        "--bundle", "bb", "--source", "pics/p0.png", "--threads", "1", "--batch", "1", "--stats", "s.json", "--force",
    ],
    "replay": ["recording", "--bundle", "bb", "--force"],
    "cameras": [],
    "calibrate-camera": [
        "pics", "--board", "9x6", "--square", "25mm", "--out", "made.yaml", "--sheet", "made.png", "--force",
    ],
    "benchmark": ["bb", "--source", "pics", "--rounds", "1", "--threads", "1", "--force"],
    "doctor": [],
}  # fmt: skip

ALSO: dict[tuple[str, str], list[str]] = {
    ("models", "--size"): ["--card", ""],
    ("models", "--classes"): ["--card", ""],
    ("data import", "--images"): ["--masks", "voc/*"],
    ("data import", "--masks"): ["--images", "voc/*"],
    ("data import", "--group"): ["--val", "0.5"],
    ("train", "--unlabelled"): ["--teacher", "lraspp-aerial"],
    ("train", "--unlabelled-share"): ["--unlabelled", "pics", "--teacher", "lraspp-aerial"],
    ("train", "--unlabelled-every"): ["--unlabelled", "film.mp4", "--teacher", "lraspp-aerial"],
    ("export", "--calibrate"): ["--precision", "fp32,int8"],
    ("export", "--budget"): ["--precision", "fp32,int8"],
    ("export", "--class-budget"): ["--precision", "fp32,int8"],
    ("export", "--target"): ["--precision", "fp32,int8"],
    ("export", "--method"): ["--precision", "fp32,int8"],
    ("export", "--calibration-images"): ["--precision", "fp32,int8", "--calibrate", "voc"],
    ("export", "--ranges"): ["--precision", "fp32,int8"],
    ("export", "--exclude"): ["--precision", "fp32,int8"],
    ("run", "--segment"): ["--save", "o.mp4"],
    ("run", "--save-limit"): ["--save", "o.mp4", "--segment", "5"],
    ("run", "--masks-format"): ["--masks", "m"],
    ("run", "--record-limit"): ["--record", "r"],
    ("run", "--degrade"): ["--deadline-ms", "50"],
    ("run", "--preview-token-file"): ["--preview", "0"],
    ("run", "--preview-hosts"): ["--preview", "0"],
    ("run", "--preview-clients"): ["--preview", "0"],
    ("run", "--overlap"): ["--tile", "32"],
    ("run", "--out"): ["--tile", "32"],
    ("replay", "--against-variant"): ["--against", "bb"],
    ("replay", "--against-backend"): ["--against", "bb"],
}
"""Options that go with another, so that its value is looked at."""

FOREIGN: dict[tuple[str, str], str] = {}
"""Options that fail still, by the reason. An entry that holds no more fails, so that the list shrinks."""


class ReachedError(EdgesegError):
    """The work began: all options have been looked at, and could be used."""

    exit_status = 0


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for verb, (module_name, _) in cli.VERBS.items():
        parser = VerbParser(prog=verb)
        importlib.import_module(module_name).configure(parser)
        subparsers = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not subparsers:
            yield verb, parser
        for action in subparsers:
            for name, job in action.choices.items():
                yield f"{verb} {name}", job


def options() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """A verb, an option of it that takes a value, and what it is fed with."""
    for verb, parser in parsers():
        for action in parser._actions:
            if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
                continue  # takes no value
            option = max(action.option_strings, key=len) if action.option_strings else action.dest
            yield verb, option, NAMES if action.type is Path or option in TAKES_A_NAME else VALUES


def marked(verb: str, option: str, values: tuple[str, ...]) -> object:
    reason = FOREIGN.get((verb, option))
    marks = () if reason is None else (pytest.mark.xfail(strict=True, reason=reason),)
    return pytest.param(verb, option, values, marks=marks, id=f"{verb} {option}")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, images, a film, a data set and a recording."""
    root = tmp_path_factory.mktemp("things")
    write_bundle(root / "bb", brightness_graph())
    for folder in ("pics", "voc/JPEGImages", "voc/SegmentationClass", "voc/ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for number in range(2):
        image = np.full((64, 64, 3), 90 * number, np.uint8)
        cv2.imwrite(str(root / f"pics/p{number}.png"), image)
        cv2.imwrite(str(root / f"voc/JPEGImages/p{number}.png"), image)
        cv2.imwrite(
            str(root / f"voc/SegmentationClass/p{number}.png"),
            np.eye(64, dtype=np.uint8)[..., None] * [0, 0, 255],
        )
    (root / "voc/labelmap.txt").write_text("back:0,0,0::\nline:255,0,0::\n")
    for split, name in (("train", "p0"), ("val", "p1")):
        (root / f"voc/ImageSets/Segmentation/{split}.txt").write_text(f"{name}\n")
    film = cv2.VideoWriter(str(root / "film.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 64))
    film.write(image)
    film.release()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        words = ["run", "--bundle", "bb", "--source", "pics", "--threads", "1", "--record", "recording"]
        patch.chdir(root)
        status = cli.main(words)
    assert status == 0
    return root


@pytest.fixture
def here(things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, in which the things are, and a loop of links and a pipe too."""
    monkeypatch.chdir(tmp_path)
    for name in MUST_BE_LEFT:
        (tmp_path / name).symlink_to(things / name)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long work ends where it begins."""

    def reached(*args: object, **options: object) -> None:
        raise ReachedError("reached")

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # as a process of the verb's own has it
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(opening, "camera_indices", list)
    for target in (
        "edgeseg.models.survey.survey",
        "edgeseg.data.aerial.dataset._write",
        "edgeseg.training.trainer.Trainer.run",
        "edgeseg.export.pipeline.export_graph",
        "edgeseg.export.verification.verify.verify",
        "edgeseg.benchmarks.compare.compare",
        "edgeseg.runtime.tensorrt.builder._build",
    ):
        monkeypatch.setattr(target, reached)


def state_of(root: Path) -> dict[str, tuple[int, int, int]]:
    """The state of a folder, so that a change shows."""
    files = [path for name in MUST_BE_LEFT for path in (root / name, *(root / name).rglob("*"))]
    found = {str(path): path.stat() for path in files if path.is_file()}
    return {name: (status.st_ino, status.st_size, status.st_mtime_ns) for name, status in found.items()}


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(("verb", "option", "values"), [marked(*each) for each in options()])
def test_a_bad_value_is_told_in_one_line(
    verb: str,
    option: str,
    values: tuple[str, ...],
    here: Path,
    things: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before, wrong = state_of(things), []
    for value in values:
        words = [*verb.split(), *BASES[verb], *ALSO.get((verb, option), [])]
        if option.startswith("--"):
            words.append(f"{option}={value}")
        else:  # the verb's only positional stands first
            words[len(verb.split())] = value
        capfd.readouterr()
        try:
            status = cli.main(words)
        except SystemExit as end:
            status = end.code  # type: ignore[assignment]
        except BaseException as error:
            wrong.append(f"{value[:40]!r}: {error!r}"[:300])
            continue
        out, err = capfd.readouterr()
        lines = err.splitlines()
        told = [line for line in lines if ": error: " in line or " failed: " in line]
        if status not in (0, 1, 2) or "Traceback" in err:
            wrong.append(f"{value[:40]!r}: status {status}: {err[:300]}")
        elif status and (len(told) != 1 or lines[-1] != told[0]):
            wrong.append(f"{value[:40]!r}: not one line: {err[:500]}")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", out + err):
            wrong.append(f"{value[:40]!r}: controls in {out + err!r}"[:300])
    assert not wrong, "\n".join(wrong)
    assert state_of(things) == before
    assert (here / "pipe").is_fifo()
    assert (here / "loop").is_symlink()


def test_every_verb_is_tried() -> None:
    assert {verb for verb, _ in parsers()} == set(BASES)
    known = {(verb, option) for verb, option, _ in options()}
    assert set(ALSO) | set(FOREIGN) <= known


OUTPUTS = {
    ("data aerial", "--out"), ("data import", "--out"), ("train", "--out"), ("export", "--out"), ("verify", "--out"),
    ("verify", "--contact-sheet"), ("build", "--timing-cache"), ("run", "--save"), ("run", "--masks"),
    ("run", "--stats"), ("run", "--trace"), ("run", "--out"), ("run", "--record"), ("replay", "--out"),
    ("replay", "--json"), ("replay", "--bag"), ("benchmark", "--out"), ("calibrate-camera", "--out"),
    ("calibrate-camera", "--sheet"),
}  # fmt: skip
INPUTS = {
    ("data check", "dir"), ("data import", "src"), ("data import", "--classes"), ("data split", "dir"),
    ("data voc", "--dir"), ("train", "--data"), ("export", "--labels"), ("export", "--ranges"),
    ("export", "--exclude"), ("export", "--data"), ("verify", "bundle"), ("verify", "--data"), ("build", "bundle"),
    ("run", "--bundle"), ("run", "--config"), ("run", "--preview-token-file"), ("run", "--mavlink-key"),
    ("replay", "recording"), ("replay", "--bundle"), ("replay", "--against"), ("benchmark", "bundle"),
}  # fmt: skip


SUFFIXES = {
    ("run", "--save"): ".mp4", ("run", "--out"): ".png", ("calibrate-camera", "--out"): ".yaml",
    ("calibrate-camera", "--sheet"): ".png",
}  # fmt: skip
"""What the names of some outputs have to end with."""


def test_every_name_of_a_file_is_known_as_read_or_written() -> None:
    named = {
        (verb, max(action.option_strings, key=len) if action.option_strings else action.dest)
        for verb, parser in parsers()
        for action in parser._actions
        if action.type is Path
    }
    assert named == OUTPUTS | INPUTS


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("place", ["pipe", "socket", "bb/inside"])
@pytest.mark.parametrize(("verb", "option"), sorted(OUTPUTS - {("train", "--out")}))
def test_no_output_takes_the_place_of_what_is_no_file(
    verb: str, option: str, place: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of training, the folder's files are checked as they are written."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    suffix = SUFFIXES.get((verb, option), "")
    path = here / f"{place}{suffix}"
    if suffix and place != "bb/inside":
        path.symlink_to(place)
    words = [*verb.split(), *BASES[verb], *ALSO.get((verb, option), []), f"{option}={path}"]
    assert cli.main(words) == 2
    assert re.search(
        "is a named pipe|is a socket|lies in the bundle|would replace the bundle", capfd.readouterr().err
    )
    assert (here / "pipe").is_fifo()
    assert (here / "socket").is_socket()
    assert not (here / "bb/inside").exists()
