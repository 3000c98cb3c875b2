"""Segments of a recording: what is whole can be read, whatever the rest is."""

from __future__ import annotations

import os
import resource
import signal
import struct
from pathlib import Path

import pytest
from edgeseg.apps.recording.records import (
    END,
    FRAME,
    HEAD,
    MAGIC,
    NEWS,
    RecordWriter,
    StoredRecord,
    read_records,
)
from edgeseg.core.errors import DataError


def write(path: Path, frames: int = 3, end: bool = True) -> list[int]:
    """Writes a segment; returns how long the file was after each record."""
    writer = RecordWriter(path, {"format": "f"})
    lengths = [writer.bytes]
    for number in range(frames):
        writer.append(FRAME, {"frame_id": number}, b"frame" * number, b"mask")
        lengths.append(writer.bytes)
    if end:
        writer.end()
    return lengths


def read(path: Path) -> tuple[list[StoredRecord], str]:
    records, trouble = [], ""
    try:
        for record in read_records(path):
            records.append(record)
    except DataError as error:
        trouble = str(error)
    return records, trouble


def test_records_come_back(tmp_path: Path) -> None:
    path = tmp_path / "s"
    writer = RecordWriter(path, {"format": "f", "name": "é"})
    writer.append(FRAME, {"frame_id": 1}, b"\0\1", b"\2")
    writer.append(NEWS, {"reason": "dark"})
    writer.sync()
    writer.end()
    records, trouble = read(path)
    assert trouble == ""
    assert records == [
        StoredRecord(HEAD, {"format": "f", "name": "é"}, b"", b""),
        StoredRecord(FRAME, {"frame_id": 1}, b"\0\1", b"\2"),
        StoredRecord(NEWS, {"reason": "dark"}, b"", b""),
        StoredRecord(END, {"records": 2}, b"", b""),
    ]
    with pytest.raises(FileExistsError):
        RecordWriter(path, {})


def test_a_file_cut_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "s"
    lengths = write(path, end=False)
    data = path.read_bytes()
    for length in range(len(MAGIC), len(data) + 1):
        path.write_bytes(data[:length])
        records, trouble = read(path)
        whole = sum(length >= at for at in lengths)
        assert len(records) == whole
        cut = length not in (len(MAGIC), *lengths)
        assert trouble == (f"{path}: record {whole} is cut short" if cut else "")


def test_a_changed_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    lengths = write(path)
    data = path.read_bytes()
    for at in range(len(MAGIC), len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        records, trouble = read(path)
        before = sum(at >= length for length in lengths)
        assert len(records) == before
        assert trouble.startswith(f"{path}: record {before} is ")


def test_what_is_no_segment(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"a video")
    assert read(path) == ([], f"{path} is no segment of a recording by edgeseg")
    path.write_bytes(MAGIC + struct.pack("<IIIII", FRAME, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0))
    assert read(path) == ([], f"{path}: record 0 is damaged")  # and no 4 GB are taken for it
    assert read(tmp_path / "none")[1].startswith("cannot read ")


def test_a_full_disk_leaves_no_half_record(tmp_path: Path) -> None:
    path = tmp_path / "s"
    writer = RecordWriter(path, {"format": "f"})
    writer.append(FRAME, {"frame_id": 0}, b"x" * 1000)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.bytes + 500, limits[1]))
    try:
        with pytest.raises(OSError, match=r"No space left|File too large"):
            writer.append(FRAME, {"frame_id": 1}, os.urandom(4000))
        writer.append(FRAME, {"frame_id": 2}, b"small")
        writer.end()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    records, trouble = read(path)
    assert trouble == ""
    assert [record.facts.get("frame_id") for record in records] == [None, 0, 2, None]
