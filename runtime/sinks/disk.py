"""What outputs that outlive a power cut ask of the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ...core.errors import OutputError

RESERVE_BYTES = 16 << 20
"""What is left free: enough to end the file that is being written, and for others to go on."""


def check_room(folder: Path, what: object, kept: str, reserve_bytes: int = RESERVE_BYTES) -> None:
    """Refuses to go on where the disk is nearly full.

    Args:
        folder: on the disk.
        what: is being written, for the message.
        kept: what becomes of it, for the message.
        reserve_bytes: that must be free.

    Raises:
        OutputError: less is free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < reserve_bytes:
        raise OutputError(f"the disk of {what} is full ({free_bytes >> 20} MiB left); {kept}")


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk itself, where a power cut leaves it in peace.

    Raises:
        OSError: the disk failed.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def place(partial: Path, path: Path) -> None:
    """Gives a whole file its name, so that even a power cut leaves it whole or not there.

    Raises:
        OSError: the disk failed or is full.
    """
    sync(partial)
    os.replace(partial, path)
    sync(path.parent)
