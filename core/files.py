"""Safe reading of files from others: no file can block this process or fill its memory."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import DataError, EdgesegError

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: str | Path) -> None:
    """Refuses anything but a regular file, before it is opened: opening a pipe may wait for ever.

    Args:
        path: of the file; links are followed.

    Raises:
        OSError: there is nothing, or no regular file. ``strerror`` gives the reason, fit for a message.
    """
    try:
        _check(os.stat(path).st_mode, path)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file for reading. It never waits, whatever the path leads to.

    Args:
        path: of the file; links are followed.

    Raises:
        OSError: as :func:`check_regular`, or it may not be read.
    """
    check_regular(path)
    # The file may have been replaced since the check: the open itself must not wait either.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check(os.fstat(number).st_mode, path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """Reads a regular file whole.

    Args:
        path: of the file; links are followed.
        most_bytes: its largest allowed size.

    Raises:
        OSError: as :func:`open_regular`, or it is larger than ``most_bytes``.
    """
    with open_regular(path) as file:
        data = file.read(most_bytes + 1) if os.fstat(file.fileno()).st_size <= most_bytes else None
    if data is None or len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {_size(most_bytes)}", str(path))
    return data


def read_text(
    path: Path, what: str, *, most_bytes: int = 256 << 20, error: type[EdgesegError] = DataError
) -> str:
    """Reads a text file in UTF-8, with or without the byte order mark that editors on Windows write.

    Args:
        path: of the file; links are followed.
        what: the file's description in messages, such as ``the label map``.
        most_bytes: the most it may hold.
        error: the kind of error to raise.

    Raises:
        EdgesegError: of the kind ``error``, in one line: the file cannot be read, is not a regular file, is too
            large, or has another encoding. For an encoding, the message names the command that converts it.
    """
    try:
        data = read_regular(path, most_bytes)
    except OSError as problem:
        raise error(f"cannot read {what} {path}: {problem.strerror}") from problem
    if data.startswith(_UTF16_MARKS) or b"\0" in data:
        raise error(
            f"cannot read {what} {path}: it is UTF-16, or no text at all; save it as UTF-8, "
            "or convert it with `iconv -f UTF-16 -t UTF-8`"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = problem.object[: problem.start].count(b"\n") + 1
        byte = problem.object[problem.start]
        raise error(
            f"cannot read {what} {path}: it is not UTF-8 text (byte {byte:#04x} in line {line}); save it as UTF-8, "
            "or convert it with `iconv -f ISO-8859-1 -t UTF-8` where it is Latin-1"
        ) from problem


def is_hidden_copy(name: str) -> bool:
    """True if a file is one that macOS writes beside another, ``._NAME``: it holds attributes and no content."""
    return name.startswith("._")


def _check(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        kind = next((text for fits, text in _KINDS if fits(mode)), "no file")
        raise OSError(errno.EINVAL, f"it is {kind}, expected a file", str(path))


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
