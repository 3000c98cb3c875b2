"""Splits wheels and other files into parts that fit through a narrow door, and joins them, every byte checked.

``python -m edgeseg.benchmarks.gpu.parts split WHEEL... --out DIR`` and ``... join DIR --out SITE``. It needs only
Python's standard library, and also runs as a single file.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

INDEX = "parts.json"
MOST_BYTES = 60_000_000
_SCHEMA = 1


class PartsError(Exception):
    """A file, a part or the index is not as expected."""


def split(
    wheels: Sequence[Path], out: Path, most_bytes: int = MOST_BYTES, without: Sequence[str] = ()
) -> list[Path]:
    """Writes the parts of some files, and an index of them with their SHA-256.

    Args:
        wheels: the files to split; their names must differ.
        out: a folder, made if it is missing; it must have no index yet.
        most_bytes: the largest size of one part.
        without: patterns of the members to leave out of wheels, such as the kernels of other GPUs.

    Returns:
        The parts.

    Raises:
        PartsError: a file is missing, two have one name, or the folder has parts already.
    """
    if most_bytes < 1:
        raise PartsError(f"parts of {most_bytes} bytes: expected 1 or more")
    if (out / INDEX).exists():
        raise PartsError(f"{out} has parts already; name another folder")
    if len({wheel.name for wheel in wheels}) != len(wheels):
        raise PartsError("two of the files have the same name")
    for wheel in wheels:
        if not wheel.is_file():
            raise PartsError(f"there is no file {wheel}")
    out.mkdir(parents=True, exist_ok=True)
    entries, written = [], []
    for wheel in wheels:
        whole, parts = hashlib.sha256(), []
        with tempfile.TemporaryFile() as smaller, wheel.open("rb") as given:
            file = _without(wheel, smaller, without) if without else given
            for number, content in enumerate(_pieces(file, most_bytes)):
                whole.update(content)
                part = out / f"{wheel.name}.{number:03}"
                part.write_bytes(content)
                written.append(part)
                parts.append(
                    {"name": part.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                )
        entries.append({"name": wheel.name, "sha256": whole.hexdigest(), "parts": parts})
    (out / INDEX).write_text(
        json.dumps({"schema": _SCHEMA, "files": entries}, indent=2) + "\n", encoding="utf-8"
    )
    return written


def join(folder: Path, out: Path) -> None:
    """Joins and checks the parts, and unpacks wheels and ZIP files into a folder for ``PYTHONPATH``.

    Other files are written to the folder unchanged.

    Args:
        folder: has the parts and their index.
        out: made if it is missing.

    Raises:
        PartsError: a part is missing or altered, or a wheel would write outside the folder.
    """
    for entry in _read_index(folder):
        _plain_name(entry["name"])
        joined = out / f".{entry['name']}.joining"
        out.mkdir(parents=True, exist_ok=True)
        try:
            _join_one(folder, entry, joined)
            if entry["name"].endswith((".whl", ".zip")):
                _unpack(joined, out)
            else:
                joined.replace(out / entry["name"])
        finally:
            joined.unlink(missing_ok=True)


def _join_one(folder: Path, entry: dict[str, Any], joined: Path) -> None:
    whole = hashlib.sha256()
    with joined.open("wb") as file:
        for part in entry["parts"]:
            path = folder / _plain_name(part["name"])
            if not path.is_file():
                raise PartsError(f"the part {path} is missing; carry it again")
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != part["sha256"]:
                raise PartsError(f"the part {path} was altered on its way; carry it again")
            whole.update(content)
            file.write(content)
    if whole.hexdigest() != entry["sha256"]:
        raise PartsError(f"{entry['name']} is not what was split; split it again")


def _unpack(wheel: Path, out: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                parts = PurePosixPath(member.filename).parts
                if member.filename.startswith("/") or ".." in parts or "\\" in member.filename:
                    raise PartsError(f"{wheel.name} would write {member.filename!r}, outside the folder")
            for member in archive.infolist():
                target = Path(archive.extract(member, out))
                mode = member.external_attr >> 16 & 0o777
                if mode and target.is_file():
                    target.chmod(mode | 0o600)
    except zipfile.BadZipFile as error:
        raise PartsError(f"{wheel.name} is neither a wheel nor a ZIP file: {error}") from error


def _read_index(folder: Path) -> list[dict[str, Any]]:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["schema"] != _SCHEMA:
            raise PartsError(f"{folder / INDEX} is of schema {index['schema']}, expected {_SCHEMA}")
        files: list[dict[str, Any]] = index["files"]
        return files
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PartsError(
            f"{folder} has no index of parts ({error!r}); name the folder that split wrote"
        ) from error


def _without(wheel: Path, smaller: IO[bytes], patterns: Sequence[str]) -> IO[bytes]:
    """Copies a wheel without the members that match a pattern."""
    try:
        with zipfile.ZipFile(wheel) as archive, zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED) as kept:
            for member in archive.infolist():
                if any(fnmatch.fnmatch(member.filename, pattern) for pattern in patterns):
                    continue
                with archive.open(member) as source, kept.open(member, "w") as target:
                    shutil.copyfileobj(source, target)
    except zipfile.BadZipFile as error:
        raise PartsError(f"{wheel.name} is neither a wheel nor a ZIP file: {error}") from error
    smaller.seek(0)
    return smaller


def _plain_name(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise PartsError(f"the index names {name!r}, which is no file's name")
    return name


def _pieces(file: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    while content := file.read(most_bytes):
        yield content


def main(argv: Sequence[str] | None = None) -> int:
    """Splits or joins files; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="parts", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    splitting = verbs.add_parser("split", help="wheels into parts")
    splitting.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    splitting.add_argument(
        "--most-bytes", type=int, default=MOST_BYTES, metavar="N", help="default: %(default)s"
    )
    splitting.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave these members out; may be repeated",
    )
    joining = verbs.add_parser("join", help="parts into a folder for PYTHONPATH")
    joining.add_argument("folder", type=Path, metavar="DIR")
    for verb in (splitting, joining):
        verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    args = parser.parse_args(argv)
    try:
        if args.verb == "split":
            written = split(args.wheels, args.out, args.most_bytes, args.without)
            print(f"wrote {len(written)} parts and {INDEX} to {args.out}")
        else:
            join(args.folder, args.out)
            print(f"joined into {args.out}; put it on PYTHONPATH")
    except (PartsError, OSError) as error:
        print(f"parts: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
