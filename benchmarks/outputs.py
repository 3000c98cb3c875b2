"""What a measurement leaves in a folder: the figures, the page and the pictures, all of them or none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runtime.errors import OutputError
from ..runtime.outputs import discard, prepare_output


def check_folder(folder: Path, force: bool) -> None:
    """Refuses an output that exists or cannot be written, before anything is measured.

    Raises:
        OutputError: as said.
    """
    prepare_output(folder, force)


def write_folder(
    folder: Path,
    result: Mapping[str, Any],
    page: str,
    pictures: Mapping[str, bytes],
    name: str,
    force: bool,
) -> None:
    """Writes ``NAME.json``, ``NAME.md`` and the pictures into a folder that appears whole.

    Raises:
        OutputError: it exists and ``force`` is false, or cannot be written.
    """
    partial = prepare_output(folder, force)
    files = {f"{name}.json": json.dumps(result, indent=2) + "\n", f"{name}.md": page}
    try:
        partial.mkdir()
        for file, text in files.items():
            (partial / file).write_text(text, encoding="utf-8")
        for file, data in pictures.items():
            (partial / file).write_bytes(data)
        # Only our own files are replaced: the folder may hold others.
        if folder.exists():
            for path in partial.iterdir():
                os.replace(path, folder / path.name)
            partial.rmdir()
        else:
            os.replace(partial, folder)
    except OSError as error:
        discard(partial)
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
