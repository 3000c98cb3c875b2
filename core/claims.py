"""Claims: while one process makes a file or folder, no other process can make the same one.

Without a claim, two processes could write one name: each would replace what the other made, and both would report
success. The claim is a lock that the system holds on a hidden file beside the name. It ends with the process, however
that ends, so a hidden file that is left after a kill does no harm.
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
    """Holds the claim on a name while the block runs. Makes the name's folder if it is missing.

    Args:
        path: the file or folder that is being made.
        wait: wait while another process has it; for short work.

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
        # Before the lock is released: after that, another process may hold the file.
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def lock_of(path: Path) -> Path:
    """The hidden file beside a name. It exists while a process has the claim, or after that process was killed."""
    named = with_a_name(path)
    return named.with_name(f".{named.name}.lock")


def _locked(lock: Path, wait: bool) -> int:
    """Opens and locks the lock's file, and returns its descriptor. The name still leads to this file."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _same_file(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the process that had it has removed the file


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
