"""The time stamps that cameras write into the heads of a multipart body's parts."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

_STAMP = re.compile(rb"(?im)^(?:x-)?time-?stamp:[ \t]*(\d{1,16})(?:\.(\d{1,9}))?[ \t]*\r?$")
_DATE = re.compile(rb"(?im)^(?:date|last-modified):[ \t]*([^\r\n]{1,64})\r?$")
_UNITS = {13: 1e-3, 16: 1e-6}
"""Digits of a whole number that can only be milliseconds or microseconds since 1970."""


class Stamp(NamedTuple):
    """The sender's time of an image.

    Attributes:
        seconds: since an arbitrary moment.
        resolution_s: the smallest difference that it can show, in seconds.
    """

    seconds: float
    resolution_s: float


def stamp_of(head: bytes) -> Stamp | None:
    """The stamp in a part's head: ``X-Timestamp``, else ``Date`` or ``Last-Modified``; None if there is none.

    mjpg-streamer, uStreamer and the ESP32-CAM send ``X-Timestamp: SECONDS.MICROSECONDS``.
    """
    found = _STAMP.search(head)
    if found is not None:
        whole, part = found[1], found[2]
        if part is not None:
            return Stamp(int(whole) + int(part) / 10 ** len(part), 0.0)
        if len(whole) in _UNITS:
            return Stamp(int(whole) * _UNITS[len(whole)], 0.0)
        return Stamp(float(int(whole)), 1.0)
    found = _DATE.search(head)
    seconds = _seconds_of(found[1]) if found is not None else None
    return None if seconds is None else Stamp(seconds, 1.0)


@lru_cache(maxsize=4)
def _seconds_of(date: bytes) -> float | None:
    try:
        return parsedate_to_datetime(date.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):  # it is not a date
        return None
