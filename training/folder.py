"""The folder of a training: the check that it may be written, and the files of an earlier run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.claims import claimed, lock_of
from ..core.errors import DataError, OutputError, UsageError
from ..core.outputs import check_output, discard
from ..core.reads import Reads

STATE = "state.safetensors"
_LOG = "log.jsonl"
_FILES = (STATE, "best.safetensors", "last.safetensors", _LOG, "curves.png")
SHEETS, BOARD, FRAMES = "sheets", "tensorboard", "unlabelled"
"""The folders of a run: its sheets, its files for TensorBoard, and the frames of its video without masks."""


@contextmanager
def held(out: Path, *, resume: bool, force: bool, needed: Mapping[str, Path], reads: Reads) -> Iterator[None]:
    """Reserves a folder for this run while the block runs. The folder is made, and removed if it stays empty.

    Args:
        out: the folder.
        resume: continue the earlier run.
        force: start again and replace the earlier run.
        needed: the files that the run reads, by the option that names them.
        reads: the other inputs of the run.

    Raises:
        DataError: there is nothing to resume.
        OutputError: the folder is a file, is not empty, is in a bundle or the data set, cannot be written into, or
            another run uses it.
        UsageError: a new start would remove ``needed``.
    """
    _check(out, resume, force, needed)  # so that a refusal makes no folder
    check_output(out, folder=True, reads=reads)
    there = out.exists()
    try:
        with claimed(out / _LOG):
            _check(out, resume, force, needed)
            yield
    finally:
        if not there:
            with suppress(OSError):  # normally it is not empty
                out.rmdir()


def clear(out: Path, *, resume: bool, keep: Sequence[str] = ()) -> None:
    """Checks that the folder can be written into, and removes the files of an earlier run.

    Args:
        out: the folder.
        resume: keep those files.
        keep: names of folders of this run.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
        for name in () if resume else _FILES:
            (out / name).unlink(missing_ok=True)
        for name in () if resume else (SHEETS, BOARD, FRAMES):
            if name not in keep and os.path.lexists(out / name):
                discard(out / name)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}") from error


def _check(out: Path, resume: bool, force: bool, needed: Mapping[str, Path]) -> None:
    try:
        out.lstat()
        there = True
    except FileNotFoundError:
        there = False
    except (OSError, ValueError) as error:  # a name that is too long, goes through a file, or has a NUL
        raise OutputError(f"cannot write into {out}: {getattr(error, 'strerror', error)}") from error
    if there and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder")
    if resume and not (there and (out / STATE).exists()):
        raise DataError(
            f"there is nothing to resume in {out}: {STATE} is missing; leave --resume out to start"
        )
    own = lock_of(out / _LOG).name
    if there and not resume and not force and any(path.name != own for path in out.iterdir()):
        raise OutputError(
            f"{out} exists and is not empty; give --resume to continue it, or --force to start again"
        )
    for option, path in needed.items():
        if not resume and there and any(_same(out / name, path) for name in _FILES):
            raise UsageError(f"{option} {path} lies in {out}, which --force would empty; name another --out")


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
