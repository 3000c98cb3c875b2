"""The folder of a training: whether it may be written, and what a former run left in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.claims import claimed, lock_of
from ..core.errors import DataError, OutputError, UsageError
from ..core.outputs import check_output
from ..core.reads import Reads

STATE = "state.safetensors"
_LOG = "log.jsonl"
_FILES = (STATE, "best.safetensors", "last.safetensors", _LOG, "curves.png")


@contextmanager
def held(out: Path, *, resume: bool, force: bool, needed: Mapping[str, Path], reads: Reads) -> Iterator[None]:
    """Keeps a folder for this run alone while the block runs. It is made, and goes again where it stays empty.

    Args:
        out: the folder.
        resume: go on with what is there.
        force: start afresh over what is there.
        needed: the files that the run reads, by the option that names them.
        reads: what else it reads.

    Raises:
        DataError: there is nothing to resume.
        OutputError: the folder is a file, is not empty, lies in a bundle or the data set, cannot be written into, or
            another run has it.
        UsageError: starting afresh would remove ``needed``.
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
            with suppress(OSError):  # it is not empty, which is as it should be
                out.rmdir()


def clear(out: Path, *, resume: bool) -> None:
    """Sees that the folder can be written into, and removes what a former run left there.

    Args:
        out: the folder.
        resume: keep what is there.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
        for name in () if resume else _FILES:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}") from error


def _check(out: Path, resume: bool, force: bool, needed: Mapping[str, Path]) -> None:
    try:
        out.lstat()
        there = True
    except FileNotFoundError:
        there = False
    except (OSError, ValueError) as error:  # a name too long, through a file, or with a NUL
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
            f"{out} exists and is not empty; give --resume to go on with it, or --force to start afresh"
        )
    for option, path in needed.items():
        if not resume and there and any(_same(out / name, path) for name in _FILES):
            raise UsageError(f"{option} {path} lies in {out}, which --force would empty; name another --out")


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
