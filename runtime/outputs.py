"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .errors import OutputError


def prepare_output(path: Path, force: bool) -> Path:
    """Checks that an output may be written, makes its parent folder, and says where to write it first.

    Args:
        path: the file or folder that will be.
        force: whether it may replace one that is there.

    Returns:
        A hidden name beside it with the same suffix, free to be used until the output is whole.

    Raises:
        OutputError: the output exists and ``force`` is false, or its folder cannot be made or written.
    """
    if path.exists() and not force:
        raise OutputError(f"{path} exists; give --force to overwrite it, or another name")
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return partial


def write_atomically(path: Path, data: bytes, force: bool) -> None:
    """Writes a small file whole or not at all.

    Raises:
        OutputError: as :func:`prepare_output`, or the disk is full.
    """
    partial = prepare_output(path, force)
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        discard(partial)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def discard(path: Path) -> None:
    """Removes a partial file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
