"""Foreign files: what is no regular file is refused at once, and none is read without bound."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from edgeseg.core import files
from edgeseg.core.errors import UsageError

pytestmark = pytest.mark.timeout(20)


def make(kind: str, folder: Path) -> Path:
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device"])
def test_what_is_no_file_is_named(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path)
    for ask in (files.check_regular, files.open_regular, lambda path: files.read_regular(path, 10)):
        with pytest.raises(OSError, match="expected a file") as caught:
            ask(path)
        assert caught.value.strerror == f"it is a {kind}, expected a file"


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("pipe", tmp_path)
    monkeypatch.setattr(files, "check_regular", lambda path: None)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="it is a pipe"):
        files.open_regular(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("a")
    assert files.read_regular(tmp_path / "link", 10) == b"0123456789"
    with pytest.raises(OSError, match="it is larger than 0 KiB"):
        files.read_regular(tmp_path / "a", 9)
    # A file of the kernel's says that it is empty, and goes on.
    with pytest.raises(OSError, match="it is larger than"):
        files.read_regular("/proc/self/status", 64)


def test_what_is_not_there_and_what_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name, why in (
        ("none", "No such file"),
        ("loop", "symbolic links"),
        ("a\0b", "no file can have this name"),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            files.read_regular(tmp_path / name, 10)
        assert why in (caught.value.strerror or "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("straße\n".encode("utf-16"), "it is UTF-16, or no text at all; save it as UTF-8"),
        ("weg\n".encode("utf-16-le"), "it is UTF-16, or no text at all"),
        (
            "eins\nstraße\n".encode("latin-1"),
            r"it is not UTF-8 text \(byte 0xdf in line 2\); save it as UTF-8",
        ),
        (b"\xef\xbb\xbfa\n\xff", r"it is not UTF-8 text \(byte 0xff in line 2\)"),
        (b"x" * 100, "it is larger than 0 KiB"),
    ],
)
def test_text_in_another_encoding_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(UsageError, match=f"cannot read the list .*list: {message}") as caught:
        files.read_text(tmp_path / "list", "the list", most_bytes=99, error=UsageError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_is_read_with_and_without_its_mark(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "list").write_bytes(mark + "straße\r\n".encode())
    assert files.read_text(tmp_path / "list", "the list") == "straße\r\n"
