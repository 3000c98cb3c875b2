"""Disk operations for outputs that survive a power cut."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ...core.errors import OutputError

RESERVE_BYTES = 16 << 20
"""Space that stays free: enough to end the current file, and for other programs to go on."""


def check_room(folder: Path, what: object, kept: str, reserve_bytes: int = RESERVE_BYTES) -> None:
    """Raises an error if the disk is nearly full.

    Args:
        folder: on the disk.
        what: the output, for the message.
        kept: what is kept of the output, for the message.
        reserve_bytes: the bytes that must be free.

    Raises:
        OutputError: less is free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < reserve_bytes:
        raise OutputError(f"the disk of {what} is full ({free_bytes >> 20} MiB left); {kept}")


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk itself, so that it survives a power cut.

    Raises:
        OSError: the disk failed.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def place(partial: Path, path: Path) -> None:
    """Gives a whole file its name. Even after a power cut, the file is either whole or absent.

    Raises:
        OSError: the disk failed or is full.
    """
    sync(partial)
    os.replace(partial, path)
    sync(path.parent)
