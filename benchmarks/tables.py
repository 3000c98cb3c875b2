"""Tables, as plain text for the terminal and as Markdown for the pages."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_COLUMNS = 100


@dataclass(frozen=True)
class Table:
    """A table: heads, and rows with the same number of cells; the first ``left`` columns are aligned to the left."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def plain(self) -> str:
        """Returns the table with spaces between the columns."""
        lines = [self.heads, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.heads))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column < self.left else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """Returns the table in Markdown."""
        rule = ["---" if column < self.left else "---:" for column in range(len(self.heads))]
        return "\n".join(f"| {' | '.join(line)} |" for line in (self.heads, rule, *self.rows))


def wrapped(text: str, indent: str = "") -> str:
    """Breaks a line of Markdown at 100 columns.

    Args:
        text: the line.
        indent: of the lines after the first.
    """
    return textwrap.fill(
        text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def item(text: str) -> str:
    """Returns a text as an item of a Markdown list."""
    return wrapped(f"- {text}", indent="  ")


def number(value: float | None, digits: int = 1) -> str:
    """Formats a number, or returns a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"
