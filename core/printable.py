"""Text from elsewhere, made fit for a terminal: names of files, words of a server, of a camera, of a bundle."""

from __future__ import annotations

import unicodedata

_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls, marks that turn the direction of text, halves of characters, and separators of lines."""
_JOINERS = "\u200c\u200d"
"""Of this kind too, but parts of words in some languages."""


class _Escapes(dict[int, str]):
    """Gives each character as it is to be printed, as ``str.translate`` asks for it.

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
    r"""A text in one line that moves no cursor, colours nothing and hides nothing: what would is written as an escape.

    Example:
        >>> print(printable("a\x1b[2Kb\nc"))
        a\x1b[2Kb\nc
    """
    return text.translate(_ONE_LINE)


def printable_lines(text: str) -> str:
    """As :func:`printable`, with the lines of a text of edgeseg's own left as they are."""
    return text.translate(_LINES)
