"""A segment of a recording: a file of records, each complete in itself.

A file begins with :data:`MAGIC`. A record is five little-endian uint32 (kind, bytes of JSON, of the first and of the
second blob, and the CRC-32 of these four and the rest), then JSON, then the blobs. The first record is a HEAD. The last
record of a file that was ended properly is an END. FRAME has the frame and its class map as blobs, NEWS has none. After
a power cut, a file can be read up to its last whole record.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...core.errors import DataError
from ...core.files import open_regular

MAGIC = b"EDGEREC1"
HEAD, FRAME, NEWS, END = 1, 2, 3, 4

_COUNTS = struct.Struct("<IIII")
_CRC = struct.Struct("<I")
_MOST_JSON_BYTES = 1 << 20
_MOST_BLOB_BYTES = 1 << 30


class StoredRecord(NamedTuple):
    """One record."""

    kind: int
    facts: dict[str, Any]
    first: bytes
    second: bytes


class RecordWriter:
    """Appends records to a new file.

    Args:
        path: of the file, which must not exist.
        head: its first record.

    Attributes:
        bytes: size of the file.
        records: number of records, without the head.

    Raises:
        OSError: the file exists, or the disk is full.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path = path
        self.bytes = self.records = 0
        self._number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            self._write([MAGIC])
            self._append(HEAD, head)
        except OSError:
            os.close(self._number)
            raise

    def append(self, kind: int, facts: Mapping[str, Any], first: bytes = b"", second: bytes = b"") -> None:
        """Appends a record, whole or not at all.

        Raises:
            OSError: the disk is full. Earlier records stay as they are.
        """
        self._append(kind, facts, first, second)
        self.records += 1

    def sync(self) -> None:
        """Waits until all records are on the disk itself.

        Raises:
            OSError: the disk failed.
        """
        os.fdatasync(self._number)

    def end(self) -> None:
        """Ends the file properly. It is closed even if that fails.

        Raises:
            OSError: the disk is full.
        """
        try:
            self._append(END, {"records": self.records})
            os.fsync(self._number)
        finally:
            os.close(self._number)

    def _append(self, kind: int, facts: Mapping[str, Any], first: bytes = b"", second: bytes = b"") -> None:
        text = json.dumps(facts, separators=(",", ":"), allow_nan=False).encode("ascii")
        counts = _COUNTS.pack(kind, len(text), len(first), len(second))
        crc = zlib.crc32(second, zlib.crc32(first, zlib.crc32(text, zlib.crc32(counts))))
        self._write([counts, _CRC.pack(crc), text, first, second])

    def _write(self, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        try:
            written = os.writev(self._number, pieces)
            if written < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._number, self.bytes)  # no half record stays
            os.lseek(self._number, self.bytes, os.SEEK_SET)
            raise
        self.bytes += size


def read_records(path: Path) -> Iterator[StoredRecord]:
    """Reads the records of a file, the head first, and the END last if there is one.

    Raises:
        DataError: the file is no segment of a recording, or ends or is damaged within a record. The earlier records
            have been given; the message has their number.
    """
    try:
        with open_regular(path) as file:
            yield from _records(file, path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _records(file: BinaryIO, path: Path) -> Iterator[StoredRecord]:
    if file.read(len(MAGIC)) != MAGIC:
        raise DataError(f"{path} is no segment of a recording by edgeseg")
    given = 0
    while counts := file.read(_COUNTS.size):
        trouble = ""
        record = None
        if len(counts) < _COUNTS.size:
            trouble = "is cut short"
        else:
            record, trouble = _record(file, counts)
        if record is not None and (record.kind == HEAD) != (given == 0):
            trouble = "is out of order"
        if record is None or trouble:
            raise DataError(f"{path}: record {given} {trouble}")
        yield record
        given += 1
        if record.kind == END:
            return


def _record(file: BinaryIO, counts: bytes) -> tuple[StoredRecord | None, str]:
    """Reads the record that begins with ``counts``. Returns it, or None and its fault."""
    kind, *sizes = _COUNTS.unpack(counts)
    if (
        kind not in (HEAD, FRAME, NEWS, END)
        or sizes[0] > _MOST_JSON_BYTES
        or max(sizes[1:]) > _MOST_BLOB_BYTES
    ):
        return None, "is damaged"
    crc = file.read(_CRC.size)
    pieces = [file.read(size) for size in sizes]
    if len(crc) < _CRC.size or any(len(piece) < size for piece, size in zip(pieces, sizes, strict=True)):
        return None, "is cut short"
    found = zlib.crc32(counts)
    for piece in pieces:
        found = zlib.crc32(piece, found)
    if _CRC.unpack(crc)[0] != found:
        return None, "is damaged"
    try:
        facts = json.loads(pieces[0])
    except (ValueError, RecursionError):
        return None, "is damaged"
    if not isinstance(facts, dict):
        return None, "is damaged"
    return StoredRecord(kind, facts, pieces[1], pieces[2]), ""
