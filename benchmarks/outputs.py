"""The output folder of a measurement: the figures, the page and the plots, all of them or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import OutputError
from ..core.outputs import check_output, discard, prepare_output, put_in_place
from ..core.reads import NOTHING, Reads


def check_folder(folder: Path, force: bool, reads: Reads = NOTHING) -> None:
    """Refuses an output that exists or cannot be written, before anything is measured.

    Args:
        folder: the folder to make.
        force: whether it may exist.
        reads: the inputs of the measurement, which must not be replaced.

    Raises:
        OutputError: the output is refused.
    """
    check_output(folder, folder=True, reads=reads)
    prepare_output(folder, force, folder=True)


def write_folder(
    folder: Path,
    result: Mapping[str, Any],
    page: str,
    images: Mapping[str, bytes],
    name: str,
    force: bool,
) -> None:
    """Writes ``NAME.json``, ``NAME.md`` and the plots into a folder that appears whole.

    Raises:
        OutputError: it exists and ``force`` is false, or cannot be written.
    """
    partial = prepare_output(folder, force, folder=True)
    files = {f"{name}.json": json.dumps(result, indent=2) + "\n", f"{name}.md": page}
    try:
        partial.mkdir()
        for file, text in files.items():
            (partial / file).write_text(text, encoding="utf-8")
        for file, data in images.items():
            (partial / file).write_bytes(data)
        put_in_place(partial, folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        discard(partial)
