"""The files that sources read, so that no output replaces them."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection
from pathlib import Path

from ...core.errors import SourceError
from ...core.reads import Reads
from ...core.schemes import SCHEMES
from .uri import IMAGE_SUFFIXES, parse, shown

_LOCATION = re.compile(r"\blocation\s*=\s*(?:\"([^\"]+)\"|([^\s!\"]+))")


def files_of(uri: str, schemes: Collection[str]) -> tuple[Path, ...]:
    """Returns the files and folders that a source reads; none for a camera or server.

    Args:
        uri: as typed after ``--source``.
        schemes: the registered ones.
    """
    try:
        source = parse(uri, schemes)
    except SourceError:
        return ()  # the error is reported when it is opened
    if source.scheme in ("video", "images"):
        path = Path(source.rest)
        return (path, *map(Path, glob.glob(source.rest, recursive=True)))
    if source.scheme == "gst":
        return tuple(Path(quoted or bare) for quoted, bare in _LOCATION.findall(source.rest))
    certificates = source.options.get("ca")
    return (Path(certificates),) if certificates else ()


def add_sources(reads: Reads, uris: Collection[str]) -> Reads:
    """Adds the files that sources read.

    Args:
        reads: the files known so far.
        uris: as typed after ``--source``.
    """
    for uri in uris:
        reads.add_source(f"the source {shown(uri)}", files_of(uri, SCHEMES), IMAGE_SUFFIXES)
    return reads
