"""Refuses an ONNX graph with more than operators and their numbers, before any library reads it.

It refuses:

- tensors in other files: the bundle's SHA-256 does not cover them;
- loops and branches, which contain graphs: their running time is not known beforehand;
- functions, training information, sparse tensors, operators that are not ONNX's own: edgeseg's graphs have none, and
  some load other files;
- bytes that two readers of protobuf may read differently. If a field's number is written with too many bits, one
  library sees a field that another does not see. So each number must have its shortest form, each field must be known
  and of its own type, and a field that may come once must not come twice.

The check follows the fields of ``onnx.proto`` through the protobuf and needs no ``onnx`` package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ...core.errors import BackendError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED32: 4, _FIXED64: 8}
_TAG_BITS, _VALUE_BITS = 32, 64
_MOST_FIELDS = 1 << 20
"""A graph of a thousand operators has some ten thousand. Far more could be an attack that makes the reading itself
slow."""
_OWN_DOMAINS = (b"", b"ai.onnx")
_MOST_NAME = 60


class _Field(NamedTuple):
    """A field's description in ``onnx.proto``.

    ``child`` names the message that is checked within it; empty if no tensor can be in there. ``refused`` names what a
    graph with this field has, if no graph may have it.
    """

    wire: int
    repeated: bool = False
    child: str = ""
    refused: str = ""


_Message: TypeAlias = Mapping[int, _Field]


def _fields_of(
    *, numbers: str = "", data: str = "", many: str = "", more: Mapping[int, _Field] | None = None
) -> _Message:
    """A message's fields: single numbers, single strings or messages, repeated strings or messages, and others."""
    kinds = {
        **{int(number): _Field(_VARINT) for number in numbers.split()},
        **{int(number): _Field(_BYTES) for number in data.split()},
        **{int(number): _Field(_BYTES, repeated=True) for number in many.split()},
    }
    return {**kinds, **(more or {})}


def _walked(child: str, repeated: bool = True) -> _Field:
    return _Field(_BYTES, repeated, child)


def _refused(what: str) -> _Field:
    return _Field(_BYTES, repeated=True, refused=what)


_ELSEWHERE = (
    "keeps tensors in other files, which its SHA-256 does not cover; save the graph with its weights inside"
)
_OWN_GRAPH = "has a loop or a branch, and how long such a graph runs is not known; export it without"
_NOT_OURS = "has {}, which edgeseg's graphs do not have; export the bundle again"
_SPARSE = _NOT_OURS.format("sparse tensors")

_MESSAGES: Mapping[str, _Message] = {
    "model": _fields_of(
        numbers="1 5",
        data="2 3 4 6",
        many="8 14 26",
        more={
            7: _walked("graph", repeated=False),  # _GRAPH
            20: _refused(_NOT_OURS.format("training information")),
            25: _refused(_NOT_OURS.format("functions")),
        },
    ),
    "graph": _fields_of(
        data="2 10",
        many="11 12 13 14 16",
        more={1: _walked("node"), 5: _walked("tensor"), 15: _refused(_SPARSE)},
    ),
    "node": _fields_of(data="3 4 6 7 8", many="1 2 9 10", more={5: _walked("attribute")}),
    "attribute": _fields_of(
        numbers="3 20",
        data="1 4 13 14 21",
        many="9 15",
        more={
            2: _Field(_FIXED32),
            5: _walked("tensor", repeated=False),
            6: _refused(_OWN_GRAPH),
            7: _Field(_FIXED32, repeated=True),
            8: _Field(_VARINT, repeated=True),
            10: _walked("tensor"),
            11: _refused(_OWN_GRAPH),
            22: _refused(_SPARSE),
            23: _refused(_SPARSE),
        },
    ),
    "tensor": _fields_of(
        numbers="2",
        data="3 8 9 12",
        many="6 16",
        more={
            1: _Field(_VARINT, repeated=True),
            4: _Field(_FIXED32, repeated=True),
            5: _Field(_VARINT, repeated=True),
            7: _Field(_VARINT, repeated=True),
            10: _Field(_FIXED64, repeated=True),
            11: _Field(_VARINT, repeated=True),
            13: _refused(_ELSEWHERE),
            14: _Field(_VARINT, refused=_ELSEWHERE),
        },
    ),
}
_GRAPH = 7
_DATA_LOCATION = ("tensor", 14)
_DOMAIN = ("node", 7)


class _FormError(ValueError):
    """The bytes do not have the form of an ONNX file."""


class _Found(NamedTuple):
    """A field: its number, wire type, and the span of its bytes; for a varint its value instead of the start."""

    number: int
    wire: int
    first: int
    last: int


def check_graph(graph: bytes, origin: Path) -> None:
    """Checks a graph before it is run.

    Args:
        graph: all bytes of an ONNX file.
        origin: the file, for the messages.

    Raises:
        BackendError: the graph has something forbidden, or does not have the form of an ONNX file.
    """
    try:
        _Walk(graph, origin).message("model", 0, len(graph))
    except _FormError as error:
        raise BackendError(f"{origin} is no ONNX graph ({error}); export the bundle again") from error


class _Walk:
    def __init__(self, data: bytes, origin: Path) -> None:
        self._data, self._origin = data, origin
        self._left = _MOST_FIELDS

    def message(self, kind: str, start: int, end: int) -> None:
        """Checks a message and those within."""
        known, seen = _MESSAGES[kind], set()
        for number, wire, first, last in self._fields(start, end):
            field = known.get(number)
            if field is None:
                raise _FormError(f"its {kind} has a field {number}, which ONNX has not")
            # One field of bytes may have many numbers.
            packed = wire == _BYTES and field.repeated and field.wire != _BYTES
            if wire != field.wire and not packed:
                raise _FormError(f"field {number} of its {kind} is of another type")
            if not field.repeated and number in seen:
                raise _FormError(f"field {number} of its {kind} comes twice")
            seen.add(number)
            if field.refused and not ((kind, number) == _DATA_LOCATION and first == 0):
                raise BackendError(f"{self._origin} {field.refused}")
            if (kind, number) == _DOMAIN and self._data[first:last] not in _OWN_DOMAINS:
                name = self._data[first:last][:_MOST_NAME].decode("utf-8", "replace")
                raise BackendError(f"{self._origin} {_NOT_OURS.format(f'operators of {name!a}')}")
            if field.child:
                self.message(field.child, first, last)
        if kind == "model" and _GRAPH not in seen:
            raise _FormError("it holds no graph")

    def _fields(self, start: int, end: int) -> Iterator[_Found]:
        position = start
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise _FormError(f"it has more than {_MOST_FIELDS} fields")
            tag, position = self._varint(position, end, _TAG_BITS)
            number, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                value, position = self._varint(position, end, _VALUE_BITS)
                yield _Found(number, wire, value, position)
                continue
            if wire == _BYTES:
                length, position = self._varint(position, end, _TAG_BITS)
            elif wire in _FIXED_SIZES:
                length = _FIXED_SIZES[wire]
            else:
                raise _FormError(f"wire type {wire} at byte {position}")
            if position + length > end:
                raise _FormError("a field runs past its message")
            yield _Found(number, wire, position, position + length)
            position += length

    def _varint(self, start: int, end: int, most_bits: int) -> tuple[int, int]:
        """Returns a number and its end. It must not have too many bits or a byte that adds nothing."""
        value, position = 0, start
        while position < end and position - start <= most_bits // 7:
            byte = self._data[position]
            value |= (byte & 0x7F) << 7 * (position - start)
            position += 1
            if byte < 0x80:
                if value >> most_bits or (not byte and position - start > 1):
                    break
                return value, position
        raise _FormError(f"the number at byte {start} is not written as numbers are")
