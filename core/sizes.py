"""Parsing of sizes on the command line."""

from __future__ import annotations

import re

from .errors import UsageError


def parse_size(text: str) -> tuple[int, int]:
    """Reads ``HxW``, height first, such as ``360x480``.

    Raises:
        UsageError: the text has another form, or a side is not positive.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise UsageError(f"{text!r} is not a size; expected HEIGHTxWIDTH in pixels, such as 360x480")
    return int(match[1]), int(match[2])
