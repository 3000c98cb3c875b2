"""Zip archives, unpacked into a temporary folder, with limits on their content."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ...core.errors import DataError
from ...core.files import open_regular

# zipfile raises RuntimeError if a password is needed.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_MOST_MEMBERS = 2_000_000
_BLOCK_BYTES = 1 << 20
_MOST_PATH = 1000


@contextmanager
def unpacked(path: Path, beside: Path) -> Iterator[Path]:
    """Unpacks an archive while the block runs. Links are skipped; names that lead out of the folder are refused.

    Args:
        path: of the archive.
        beside: a folder on the disk for the unpacked files.

    Raises:
        DataError: it is damaged, encrypted, or larger than the free space on the disk.
    """
    folder = Path(tempfile.mkdtemp(prefix=".edgeseg-unpacked.", dir=beside))
    try:
        try:
            with open_regular(path) as file, zipfile.ZipFile(file) as archive:
                _unpack(archive, folder, path)
        except (*_DAMAGED, OSError, ValueError) as error:
            raise DataError(f"cannot unpack {path}: {error}; pack it again, without a password") from error
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: zipfile.ZipFile, folder: Path, path: Path) -> None:
    members = [each for each in archive.infolist() if not each.is_dir()]
    size = sum(each.file_size for each in members)
    room = shutil.disk_usage(folder).free
    if len(members) > _MOST_MEMBERS or size > room:
        raise DataError(
            f"{path} holds {len(members)} files of {size >> 20} MiB, and there is room for {room >> 20} MiB; "
            "make room, or unpack it elsewhere"
        )
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or len(str(name)) > _MOST_PATH:
            raise DataError(f"{path} holds a file whose name leads out of it, {member.filename[:100]!r}")
        if member.external_attr >> 28 == 0xA:
            continue  # a link
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _BLOCK_BYTES)
