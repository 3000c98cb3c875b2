"""The key file of signed links."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...core.errors import UsageError

_KEY_BYTES = 32


def read_key(path: Path) -> bytes:
    """Reads a key of 32 bytes, raw or as 64 hexadecimal digits.

    Raises:
        UsageError: the file cannot be read, others than its owner may read it, or it is no key. No message shows it.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"--mavlink-key {path}: {error.strerror}") from error
    try:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"--mavlink-key {path} is not a file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"--mavlink-key {path} is open to others than its owner; run: chmod 600 {path}")
        data = os.read(number, 4 * _KEY_BYTES)
    finally:
        os.close(number)
    if len(data) == _KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise UsageError(
            f"--mavlink-key {path}: expected {_KEY_BYTES} bytes, or {2 * _KEY_BYTES} hexadecimal digits, such as"
            f" from: openssl rand -hex {_KEY_BYTES}"
        )
    return key
