"""Claims: while one process makes a file or folder, no other makes the same.

Two that worked on one name would each replace what the other made, and both call it done. The claim is a lock that the
system holds on a hidden file beside the name. It ends with the process, however that ends, so that what is left of the
hidden file after a kill is in nobody's way.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError
from .outputs import with_a_name

_MOST_PID_BYTES = 20


@contextmanager
def claimed(path: Path, wait: bool = False) -> Iterator[None]:
    """Holds the claim on a name while the block runs. The name's own folder is made where it is not there.

    Args:
        path: the file or folder that is being made.
        wait: wait while another has it; for what takes a moment.

    Raises:
        OutputError: another process, or another thread of this one, makes it; or its folder cannot be written.
    """
    lock = lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock, wait)
    except BlockingIOError:
        raise OutputError(
            f"{path} is being written by another process{_holder(lock)}; wait until it is done, or choose another name"
        ) from None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        # First, for once it is free another may hold it.
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def lock_of(path: Path) -> Path:
    """The hidden file beside a name, which is there while somebody has the claim, or was killed."""
    named = with_a_name(path)
    return named.with_name(f".{named.name}.lock")


def _locked(lock: Path, wait: bool) -> int:
    """A descriptor of the lock's file, locked, and still the file of that name."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _same_file(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it has removed it meanwhile


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        with lock.open("rb") as file:
            text = file.read(_MOST_PID_BYTES)
    except OSError:
        return ""
    return f" (PID {text.decode()})" if text.isdigit() else ""
