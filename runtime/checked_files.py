"""Readers for the files of a bundle. The bytes that were hashed are the bytes that are used."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..core.errors import BundleError

_BLOCK_BYTES = 1 << 20


@contextmanager
def open_own(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that belongs to a bundle. Refuses symbolic and hard links, pipes, devices and folders.

    A hard link would let others change the bytes after the check. The check uses the open descriptor, so nothing can
    replace the file between check and use.

    Raises:
        BundleError: the file is one of these.
        OSError: the file is missing, or cannot be read.
    """
    try:
        # O_NONBLOCK, because opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise BundleError(
                f"{path} is a link; a bundle carries its own files: copy it with cp --recursive --dereference"
            ) from error
        if error.errno == errno.ENXIO:  # a socket
            raise BundleError(f"{path} is no regular file; export or copy the bundle again") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path} is no regular file; export or copy the bundle again")
        if status.st_nlink > 1:
            raise BundleError(
                f"{path} has {status.st_nlink - 1} other name through hard links, through which it could be changed"
                " unseen; copy the bundle with cp --recursive"
            )
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, as 64 lower-case hex digits.

    Raises:
        BundleError: as for :func:`open_own`.
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open_own(path) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_checked(path: Path, sha256: str) -> bytes:
    """Reads a file of an open bundle once, and checks the bytes that were read.

    Args:
        path: the file.
        sha256: the SHA-256 that its bytes must have.

    Returns:
        The bytes with this SHA-256. Later changes of the file do not matter.

    Raises:
        BundleError: the file has other bytes now, is gone, or is refused by :func:`open_own`.
    """
    try:
        with open_own(path) as file:
            data = file.read()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; copy or export the bundle again") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path} was altered since its bundle was opened; copy or export the bundle again")
    return data
