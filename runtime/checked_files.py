"""Reads the files of a bundle: each is opened once, and the bytes that were hashed are the bytes that are used."""

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
    """Opens a file of a bundle's own; refuses links of both kinds, pipes, devices and folders.

    A second name of the same bytes lets whoever holds that change them after they were checked. What is looked at is
    what was opened, so that nothing can take its place in between.

    Raises:
        BundleError: it is such a thing.
        OSError: it is not there, or cannot be read.
    """
    try:
        # Without waiting: a pipe that nobody writes to would hold the opening for ever.
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
                f"{path} has {status.st_nlink - 1} other name through hard links, which could change it unseen;"
                " copy the bundle with cp --recursive"
            )
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 lower-case hex digits.

    Raises:
        BundleError: as :func:`open_own`.
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open_own(path) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_checked(path: Path, sha256: str) -> bytes:
    """Reads a file of a bundle that is open, once, and checks what was read.

    Args:
        path: the file.
        sha256: that its bytes must have.

    Returns:
        The bytes that have this SHA-256, whatever becomes of the file.

    Raises:
        BundleError: it has other bytes now, is gone, or is no file of the bundle's own.
    """
    try:
        with open_own(path) as file:
            data = file.read()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; copy or export the bundle again") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path} was altered since its bundle was opened; copy or export the bundle again")
    return data
