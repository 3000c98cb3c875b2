"""The part of ``docs/reliability.md`` that a measurement writes: all between two comments."""

from __future__ import annotations

from pathlib import Path

from edgeseg.core.errors import OutputError
from edgeseg.core.outputs import write_atomically

PAGE = Path("docs/reliability.md")


def write_part(page: Path, name: str, text: str) -> None:
    """Replaces what stands between ``<!-- NAME: begin … -->`` and ``<!-- NAME: end -->``; the page appears whole.

    Raises:
        OutputError: the page lacks one of them, or cannot be written.
    """
    try:
        whole = page.read_text("utf-8")
    except OSError as error:
        raise OutputError(f"cannot read {page}: {error.strerror}; start in the root of a checkout") from error
    begin, end = whole.find(f"<!-- {name}: begin"), whole.find(f"<!-- {name}: end -->")
    after = whole.find("-->\n", begin) + len("-->\n")
    if begin < 0 or not begin < after <= end:
        raise OutputError(f"{page} lacks <!-- {name}: begin --> and <!-- {name}: end --> in this order")
    write_atomically(page, (whole[:after] + "\n" + text.strip() + "\n\n" + whole[end:]).encode(), force=True)
