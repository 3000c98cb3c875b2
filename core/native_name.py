"""Names and texts for libraries written in C, which take them otherwise than Python means them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError


@contextmanager
def native_name(path: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a name that OpenCV, FFmpeg and GDAL take for this file and for nothing else.

    FFmpeg reads ``cam-12:30.mp4`` as a URL of the protocol ``cam-12``, and OpenCV ends the process at a name that is
    not UTF-8. So a relative name begins with ``./``, and a name that is not UTF-8 is reached through a link of a plain
    name, with the same suffix, in a folder for temporary files. The link is gone with the context: open the file
    inside of it, and keep it open as long as you like.

    Args:
        path: of a file, or where one is to be made.

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
    """Returns a text that OpenCV can draw or put over a window: what is no character becomes ``?``.

    OpenCV ends the process at a lone surrogate, as Python makes of a name's bytes that are not UTF-8.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def is_utf8(name: str) -> bool:
    """Whether a name is text; Python hands the bytes of any other on as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
