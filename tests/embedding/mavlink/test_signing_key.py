"""The key file: what it may hold, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from edgeseg.core.errors import UsageError
from edgeseg.embedding.mavlink.signing_key import read_key

KEY = bytes(range(1, 33))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    return path


@pytest.mark.parametrize("data", [KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b"\n"])
def test_a_key_is_raw_or_hexadecimal(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert read_key(path) == KEY


@pytest.mark.parametrize(
    "data", [b"", KEY[:-1], KEY + b"x", b"g" * 64, KEY.hex().encode()[:-2], b"\xff" * 64]
)
def test_what_is_no_key_is_refused_without_showing_it(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_key(path)
    assert str(caught.value) == (
        f"--mavlink-key {path}: expected 32 bytes, or 64 hexadecimal digits, such as from: openssl rand -hex 32"
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    path.write_bytes(KEY)
    path.chmod(mode)
    with pytest.raises(UsageError) as caught:
        read_key(path)
    assert (
        str(caught.value) == f"--mavlink-key {path} is open to others than its owner; run: chmod 600 {path}"
    )


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--mavlink-key /\S+: No such file or directory$"):
        read_key(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match=r"^--mavlink-key /\S+ is not a file$"):
        read_key(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"^--mavlink-key /\S+ is not a file$"):
        read_key(tmp_path)
