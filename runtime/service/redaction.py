"""Keeps secrets out of what is written: users and passwords, queries of URLs, tokens.

The last net. Whoever names a source names it without credentials in the first place; this catches what a library
puts into its error messages. It rather hides too much than too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "***"

# To the last @ before a space: a password may hold any of / ? # and @ where its owner did not encode it.
_CREDENTIALS = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)\S*@", re.IGNORECASE)
# These schemes' queries are options of edgeseg's own, such as a camera's size.
_QUERY = re.compile(r"\b((?!v4l2:|csi:|file:)[a-z][a-z0-9+.-]{0,20}://[^\s?]*)\?\S*", re.IGNORECASE)
_SECRET_NAME = r"(?:[\w-]{0,40}(?:password|passwd|passphrase|secret|token|api[_-]?key)|user-pw|user-id|pwd)"
_ASSIGNED = re.compile(
    rf"(?<!\w)({_SECRET_NAME}[\"']?\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s&,;\"']+)", re.IGNORECASE
)
_HEADER = re.compile(r"\b((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_SECRET_KEY = re.compile(rf"{_SECRET_NAME}|(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)


def redact(text: str) -> str:
    """A text without credentials.

    Example:
        >>> redact("cannot open rtsp://pilot:s3cret@10.0.0.2/cam?token=abc")
        'cannot open rtsp://***@10.0.0.2/cam?***'
    """
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _CREDENTIALS.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1?{HIDDEN}", text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def redact_value(value: object) -> object:
    """A value that JSON can hold, without credentials; what JSON cannot hold becomes a text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON knows neither infinity nor NaN
    if isinstance(value, Mapping):
        return {
            redact(str(key)): HIDDEN if _SECRET_KEY.fullmatch(str(key)) else redact_value(each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact_value(each) for each in value]
    return redact(str(value))
