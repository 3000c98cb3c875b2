"""Text from outside, made safe for a terminal: names of files, and texts of a server, a camera or a bundle."""

from __future__ import annotations

import unicodedata

_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls, marks that change the direction of text, halves of characters, and separators of lines."""
_JOINERS = "\u200c\u200d"
"""Characters of these categories that are parts of words in some languages."""


class _Escapes(dict[int, str]):
    """The printed form of each character, as a table for ``str.translate``.

    Args:
        kept: characters that stay as they are.
    """

    def __init__(self, kept: str) -> None:
        self._kept = kept

    def __missing__(self, code: int) -> str:
        character = chr(code)
        escaped = unicodedata.category(character) in _ESCAPED and character not in self._kept
        self[code] = ascii(character)[1:-1] if escaped else character
        return self[code]


_ONE_LINE, _LINES = _Escapes(_JOINERS + "\t"), _Escapes(_JOINERS + "\t\n")


def printable(text: str) -> str:
    r"""A text in one line that moves no cursor, sets no colour and hides nothing: such characters become escapes.

    Example:
        >>> print(printable("a\x1b[2Kb\nc"))
        a\x1b[2Kb\nc
    """
    return text.translate(_ONE_LINE)


def printable_lines(text: str) -> str:
    """Escapes as :func:`printable`, and keeps the line breaks of edgeseg's own text."""
    return text.translate(_LINES)
