"""Files and folders that appear whole or not at all, and the one check of which outputs may be written.

Every output with a name from the user passes :func:`check_output`. One that exists is replaced only with ``--force``:
:func:`check_new`.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError
from .reads import NOTHING, Reads

MANIFEST_NAME = "bundle.json"
"""The file that makes a folder a bundle."""

_KINDS = (
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_TAKE_LINES = ("a named pipe", "a device")
_MANIFEST_SIGN = b'"default_variant"'
_MOST_MANIFEST_BYTES = 4 << 20


def check_output(
    path: Path,
    *,
    folder: bool = False,
    reads: Reads = NOTHING,
    stream: bool = False,
    replaces_bundle: bool = False,
) -> None:
    """Checks that an output may be written under a name. It only inspects; it opens and changes nothing.

    A device, a named pipe, a socket, an input of the job, and anything within a bundle are never written.

    Args:
        path: the name.
        folder: whether the output is a folder; otherwise a file.
        reads: the inputs of the job.
        stream: lines are appended, so a named pipe or a terminal is allowed.
        replaces_bundle: the folder may be a bundle itself, which is replaced as a whole.

    Raises:
        OutputError: it may not. The message gives the reason and the remedy.
    """
    status = _status(path)
    if status is not None:
        _check_kind(path, status, folder, stream)
    what = reads.holds(path, status, folder)
    if what:
        raise OutputError(f"{path} would replace {what}; give it another name")
    real = Path(os.path.realpath(path))
    inside = [real, *real.parents] if folder and not replaces_bundle else real.parents
    for parent in inside:
        if _is_bundle(parent):
            raise OutputError(
                f"{path} lies in the bundle {parent}, where nothing may change; give it another name"
            )


def check_new(path: Path, force: bool) -> None:
    """Checks that an output is new, or may be replaced: the one policy for outputs that exist.

    Args:
        path: the file or folder.
        force: whether it may exist.

    Raises:
        OutputError: it exists, and ``force`` is false.
    """
    if not force and os.path.lexists(path):
        raise OutputError(f"{path} exists; give --force to replace it, or another name")


def prepare_output(path: Path, force: bool, *, folder: bool = False) -> Path:
    """Checks that an output may be written, makes its parent folder, and returns the name to write to first.

    Args:
        path: the new file or folder.
        force: whether it may replace an existing one.
        folder: whether it is a folder.

    Returns:
        A hidden name beside it with the same suffix, for use until the output is whole.

    Raises:
        OutputError: :func:`check_output` refuses it, it exists and ``force`` is false, or its folder cannot be made
            or written.
    """
    check_output(path, folder=folder)
    check_new(path, force)
    named = with_a_name(path)
    partial = named.with_name(f".{named.stem}.partial-{os.getpid()}{named.suffix}")
    try:
        named.parent.mkdir(parents=True, exist_ok=True)
        # A file with this process's number was left by a dead process: in a container all have the same number.
        discard(partial)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return partial


def with_a_name(path: Path) -> Path:
    """A path whose last part is a name, so that other files can be placed beside it; ``.`` and ``..`` are resolved.

    Raises:
        OutputError: it is the root, which has no name.
    """
    named = path if path.name not in ("", "..") else Path(os.path.realpath(path))
    if not named.name:
        raise OutputError(f"{path} cannot be replaced; give the output a name of its own")
    return named


def write_atomically(path: Path, data: bytes, force: bool) -> None:
    """Writes a small file whole or not at all.

    Raises:
        OutputError: as :func:`prepare_output`, or the disk is full.
    """
    partial = prepare_output(path, force)
    with replacing(path, partial):
        partial.write_bytes(data)


@contextmanager
def replacing(path: Path, partial: Path | None = None) -> Iterator[Path]:
    """Gives a name to write to while the block runs, and then moves that file to ``path``: whole or not at all.

    Args:
        path: the file that will be.
        partial: the name to write to; None for a hidden one beside ``path``.

    Raises:
        OutputError: the file cannot be written. What was there stays.
    """
    partial = partial or path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        discard(partial)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def put_in_place(partial: Path, folder: Path) -> None:
    """Gives a whole folder its name. If a folder of this name exists, the files move into it, and other files stay.

    Raises:
        OutputError: :func:`check_output` refuses one of the names. Nothing has been moved then.
        OSError: the disk failed, or the folder cannot be written.
    """
    if not folder.exists():
        os.replace(partial, folder)
        return
    files = sorted(partial.iterdir())
    for file in files:
        check_output(folder / file.name)
    for file in files:
        os.replace(file, folder / file.name)
    partial.rmdir()


def discard(path: Path) -> None:
    """Removes a partial file or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _status(path: Path) -> os.stat_result | None:
    """The status of what the name leads to; None if there is nothing yet."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; give it another name") from error
    except ValueError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error}; give it another name") from error


def _check_kind(path: Path, status: os.stat_result, folder: bool, stream: bool) -> None:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        if not folder:
            raise OutputError(f"{path} is a folder; give the output the name of a file")
        return
    kind = next((name for fits, name in _KINDS if fits(mode)), "")
    if kind:
        if stream and kind in _TAKE_LINES and not stat.S_ISBLK(mode):
            return
        raise OutputError(f"{path} is {kind}, which is never replaced; give the output another name")
    if folder:
        raise OutputError(f"{path} is a file; give the output the name of a folder")


def _is_bundle(folder: Path) -> bool:
    """True if a folder holds a manifest of edgeseg; other programs have a ``bundle.json`` too."""
    manifest = folder / MANIFEST_NAME
    try:
        if not manifest.is_file():
            return False
        with manifest.open("rb") as file:
            return _MANIFEST_SIGN in file.read(_MOST_MANIFEST_BYTES)
    except OSError:
        return manifest.name in _names_in(folder)


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
