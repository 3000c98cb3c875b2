"""Finds out whether an ONNX file keeps tensors in other files.

Those files would escape the bundle's SHA-256, so the runtime takes no graph that has any. The check walks the
protobuf by the few fields of ``onnx.proto`` that lead to a tensor, and needs no ``onnx`` package.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from ..errors import BackendError

_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA = 13
_DATA_LOCATION = 14
_VARINT_BITS = 70
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def has_external_data(path: Path) -> bool:
    """Whether any tensor of an ONNX file lies in another file.

    Raises:
        BackendError: the file cannot be read, or is not a protobuf.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _external(data, "model", 0, len(data))
    except OSError as error:
        raise BackendError(f"cannot read {path}: {error.strerror}") from error
    except (IndexError, ValueError, RecursionError) as error:
        raise BackendError(f"{path} is no ONNX graph; export the bundle again") from error


def refuse_external_data(path: Path) -> None:
    """Refuses an ONNX file that keeps tensors in others.

    Raises:
        BackendError: it does, it cannot be read, or it is not a protobuf.
    """
    if has_external_data(path):
        raise BackendError(
            f"{path} keeps tensors in other files, which its SHA-256 does not cover;"
            " save the graph with its weights inside"
        )


def _external(data: mmap.mmap, kind: str, start: int, end: int) -> bool:
    for number, wire, first, last in _fields(data, start, end):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and first != 0):
                return True
            continue
        child = _CHILDREN[kind].get(number)
        if child and wire == _BYTES and _external(data, child, first, last):
            return True
    return False


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields each field's number, wire type and the span of its bytes; for a varint its value in place of the start."""
    position = start
    while position < end:
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, wire, value, position
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > end:
            raise ValueError("a field runs past its message")
        yield tag >> 3, wire, position, position + length
        position += length


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < _VARINT_BITS:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            return value, position
    raise ValueError("a number runs on without an end")
