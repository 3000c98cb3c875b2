"""Names and texts for libraries written in C, which understand some of them differently from Python."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError


@contextmanager
def native_name(path: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a name that OpenCV, FFmpeg and GDAL understand as this file and nothing else.

    FFmpeg reads ``cam-12:30.mp4`` as a URL of the protocol ``cam-12``, and OpenCV ends the process at a name that is
    not UTF-8. So a relative name begins with ``./``. A name that is not UTF-8 is reached through a link with a plain
    name and the same suffix, in a folder for temporary files. The link is removed at the end of the context: open the
    file inside it. The open file may be used longer.

    Args:
        path: of a file, which need not exist yet.

    Raises:
        UsageError: the name is not UTF-8, and the link cannot be made.
    """
    name = os.fspath(path)
    if is_utf8(name):
        yield name if os.path.isabs(name) else os.path.join(".", name)
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="edgeseg-")
        link = Path(folder.name) / f"file{Path(name).suffix if is_utf8(Path(name).suffix) else ''}"
        link.symlink_to(os.path.abspath(name))
    except OSError as error:
        raise UsageError(
            f"{name}: the name is not UTF-8, and no link to it can be made in {tempfile.gettempdir()}"
            f" ({error.strerror}); rename it, or let TMPDIR name a folder that can be written"
        ) from error
    with folder:
        yield str(link)


def native_text(text: str) -> str:
    """Returns a text that OpenCV can draw or use as a window's title: a lone surrogate becomes ``?``.

    OpenCV ends the process at a lone surrogate. Python makes these of bytes in a name that are not UTF-8.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def is_utf8(name: str) -> bool:
    """True if a name is valid UTF-8. Python represents other bytes as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
