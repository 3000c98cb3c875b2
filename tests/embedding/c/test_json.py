"""The C library's reader of JSON says of every text what Python's strict reader says."""

from __future__ import annotations

import json
import random

import pytest
from edgeseg.runtime.manifest import _parsed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...support.c_library import Pieces

MOST_DEPTH = 64

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
few = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


SEEDS = [
    b'{"a": [1, -2.5e+3, 0, true, false, null], "b\\n\\u00e9": {"": "\\ud83d\\ude00"}}',
    '["\U0001f600é\u0800\uffff", "\\\\", "\\"", [[[]]], {"x": {}}]'.encode(),
    b'{"schema": 1, "labels": [{"name": "road", "rgb": [128, 64, 128]}], "size_hw": [512, 512]}',
]


def python_reads(text: bytes) -> bool | None:
    """Returns True if Python reads a text; None if only a number's value, which C ignores, is against it."""
    try:
        _parsed(text)
    except ValueError as error:
        return None if "larger than any number" in str(error) or "Exceeds the limit" in str(error) else False
    return True


@few
@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_json_writes_is_read(
    pieces: Pieces, value: object, ascii_only: bool, indent: int | None
) -> None:
    assert pieces.is_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


def test_what_was_changed_is_judged_as_python_judges_it(pieces: Pieces) -> None:
    """Ten thousand texts, each a few bytes away from JSON."""
    generator = random.Random(1)
    bytes_of_json = list(b'{}[],:"\\u0123456789abdefEnrtl+-. \n\0\x1f\x7f\x80\xbf\xc0\xd8\xe0\xed\xf0\xf4')
    accepted = 0
    for _ in range(10_000):
        text = bytearray(generator.choice(SEEDS))
        for _ in range(generator.randint(1, 3)):
            place, byte = generator.randrange(len(text) + 1), generator.choice(bytes_of_json)
            text[place : place + generator.randint(0, 1)] = bytes([byte])
        judged = python_reads(bytes(text))
        assert judged is None or pieces.is_json(bytes(text)) == judged, bytes(text)
        accepted += bool(judged)
    assert 500 < accepted < 9500


@few
@given(st.binary(max_size=40))
def test_any_bytes_at_all(pieces: Pieces, text: bytes) -> None:
    judged = python_reads(text)
    assert judged is None or pieces.is_json(text) == judged


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"[", b'"', b'"\\', b'"\\u', b'"\\u12', b'{"a"', b'{"a":', b'{"a":1', b"[1", b"[1,", b"-",
        b"1.", b"1e", b"01", b"+1", b".5", b"[1,]", b'{"a":1,}', b"{1:2}", b"tru", b"NaN", b"Infinity", b"-Infinity",
        b"1 2",
        b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'"\\ud800x"', b'"\n"', b'"\x00"', b'"\xff"', b'"\xc0\xaf"',
        b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe0\x80\x80"', b"\xef\xbb\xbf1", b"'a'", b"[1 2]", b'{"a" 1}',
    ],
)  # fmt: skip
def test_what_is_no_json(pieces: Pieces, text: bytes) -> None:
    assert python_reads(text) is False
    assert not pieces.is_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b'"\\ud83d\\ude00"',
        '"\U0001f600é"'.encode(),
        b"-0.5e-3",
        b" [ 1 , 2 ] \n",
        b'{"":{}}',
        b'"\\u0000"',
        b"0",
    ],
)
def test_what_is_json(pieces: Pieces, text: bytes) -> None:
    assert python_reads(text)
    assert pieces.is_json(text)


def test_depth_is_bounded(pieces: Pieces) -> None:
    assert pieces.is_json(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)
    assert not pieces.is_json(b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1))
    assert not pieces.is_json(b'{"a":' * 1_000_000)
