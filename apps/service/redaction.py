"""Removes secrets from all written text: users and passwords, queries of URLs, tokens.

It is the last protection. The names of sources have no credentials in the first place; this removes those in error
messages of libraries. It hides too much rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "***"

_WORD = re.compile(r"\S+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)
_SLOPPY_SCHEME = re.compile(r"\b(?:https?|rtsps?)(?::/?|//)", re.IGNORECASE)
"""A scheme with common typing errors."""

_SPLIT_PASSWORD = re.compile(
    # A user, and a password with a blank in it. A port before the blank is not a password.
    r"(?:(?<=://)|(?<=[ps]//)|(?<=[ps]:/))[^\s/?#@:]{1,64}:(?!\d+[\s:,;.)])[^/?#@\r\n]{0,64}[ \t][^/?#@\r\n]{0,64}(?=@)"
)
_BEFORE_A_USER = "=\"'`([{<,;"
_ADVICE = "USER:PASSWORD"
"""The words in edgeseg's own advice on the form of a URL."""

_HARMLESS_QUERIES = ("v4l2://", "csi://", "file://")
"""Schemes whose queries are edgeseg's own options, such as a camera's size."""

_SECRET_NAME = r"(?:[\w-]{0,40}(?:password|passwd|passphrase|secret|token|api[_-]?key)|user-pw|user-id|pwd)"
_ASSIGNED = re.compile(
    rf"(?<!\w)({_SECRET_NAME}[\"']?\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s&,;\"']+)", re.IGNORECASE
)
_HEADER = re.compile(r"\b((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_SECRET_KEY = re.compile(rf"{_SECRET_NAME}|(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)


def redact_users(text: str) -> str:
    """Removes users and passwords from the URLs of a text; their queries stay."""
    text = _SPLIT_PASSWORD.sub(HIDDEN, text)
    return _WORD.sub(lambda word: _redact_url(word[0], queries=False), text)


def redact(text: str) -> str:
    """Removes credentials from a text.

    Example:
        >>> redact("cannot open rtsp://pilot:s3cret@10.0.0.2/cam?token=abc")
        'cannot open rtsp://***@10.0.0.2/cam?***'
    """
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _SPLIT_PASSWORD.sub(HIDDEN, text)
    text = _WORD.sub(lambda word: _redact_url(word[0]), text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def _redact_url(word: str, queries: bool = True) -> str:
    scheme = _SCHEME.search(word) or _SLOPPY_SCHEME.search(word)
    if scheme is None:
        return _redact_user(word)
    head, rest = _redact_user(word[: scheme.end()]), word[scheme.end() :]
    # To the last @: a password that is not encoded may contain / ? # and @.
    at, query = rest.rfind("@"), -1
    if at >= 0 and rest[:at] != _ADVICE:
        rest = HIDDEN + rest[at:]
    if queries and (scheme[0].lower() not in _HARMLESS_QUERIES or "://" in rest):
        query = rest.find("?")
    return head + (rest if query < 0 else f"{rest[:query]}?{HIDDEN}")


def _redact_user(word: str) -> str:
    """Removes the user from a word that may be a URL without its scheme: ``USER:PASSWORD@HOST``."""
    at = word.rfind("@")
    colon = word.find(":", 0, max(at, 0))
    if colon < 0:
        return word
    start = max(word.rfind(mark, 0, colon) for mark in _BEFORE_A_USER) + 1
    return word if start == colon else f"{word[:start]}{HIDDEN}{word[at:]}"


def redact_value(value: object) -> object:
    """Removes credentials from a value for JSON. A value that JSON does not support becomes a text."""
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
