"""The manifest, ``bundle.json``: exporter and runtime use one schema.

The JSON schema (``bundle_schema.json``) is the only definition of the form. This module also checks two rules that a
schema cannot express: every named file is in the bundle's folder, and the default variant exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ..core.errors import BundleError
from ..core.outputs import MANIFEST_NAME, replacing
from .checked_files import open_own

SCHEMA_VERSION = 1
_MOST_BYTES = 4 << 20


class NamedFile(NamedTuple):
    """A file that a manifest names: its field in the manifest, its name, and the SHA-256 it must have."""

    field: str
    name: str
    sha256: str


def check_manifest(manifest: object, origin: str) -> dict[str, Any]:
    """Checks a parsed manifest and returns it.

    Args:
        manifest: the result of ``json.load``.
        origin: the file it came from, for the messages.

    Raises:
        BundleError: the manifest has a newer schema, breaks the schema (the message names the field), names a file
            outside its folder, or names a default variant that does not exist.
    """
    if not isinstance(manifest, dict):
        raise BundleError(f"{origin} holds no JSON object; export the bundle again")
    version = manifest.get("schema")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{origin} is of schema {version}, newer than schema {SCHEMA_VERSION} that this edgeseg reads;"
            " upgrade edgeseg, or export the bundle again with this one"
        )
    _check_schema(manifest, origin)
    for file in named_files(manifest):
        # A bundle is a flat folder, so a name can be checked without reading the disk.
        if file.name in (".", "..") or "/" in file.name or "\\" in file.name or "\0" in file.name:
            raise BundleError(
                f"{origin}: {file.field} names {file.name!r}, outside the bundle;"
                " files must lie in the bundle's folder"
            )
    if manifest["default_variant"] not in manifest["variants"]:
        known = ", ".join(manifest["variants"])
        raise BundleError(
            f"{origin}: default_variant is {manifest['default_variant']!r}, but the variants are {known}"
        )
    return manifest


def named_files(manifest: Mapping[str, Any]) -> Iterator[NamedFile]:
    """Yields the files that a valid manifest names, the checkpoint first."""
    weights = manifest["weights"]
    yield NamedFile("weights.checkpoint", weights["checkpoint"], weights["sha256"])
    for name, variant in manifest["variants"].items():
        yield NamedFile(f"variants.{name}.file", variant["file"], variant["sha256"])
    if manifest["verification"] is not None:
        yield NamedFile(
            "verification.file", manifest["verification"]["file"], manifest["verification"]["sha256"]
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads and checks the ``bundle.json`` of a folder.

    Raises:
        BundleError: the manifest is missing, too large or not JSON, or :func:`check_manifest` refuses it.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise BundleError(f"there is no bundle at {folder}: no such folder; `edgeseg export` makes one")
    try:
        with open_own(path) as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise BundleError(
                f"{path} is larger than {_MOST_BYTES >> 20} MiB, which no manifest is; export the bundle again"
            )
        return check_manifest(_parsed(data), origin=str(path))
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST_NAME}") from error
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not JSON ({error}); export the bundle again") from error


class _Decimal(float):
    """A number with a point or an exponent. A JSON schema accepts ``512.0`` as an integer, but Python does not."""

    def is_integer(self) -> bool:
        return False


def _parsed(data: bytes) -> object:
    """Parses JSON. Raises ValueError if it is not JSON, or holds numbers or characters that cannot be used."""
    content = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_decimal)
    # JSON can hold half of a surrogate pair, which no file, terminal or library accepts.
    json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def _decimal(text: str) -> _Decimal:
    value = _Decimal(text)
    if value - value != 0:
        raise ValueError(f"{text[:20]} is larger than any number can be")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Checks a manifest and writes it as the ``bundle.json`` of a folder, in full or not at all.

    Raises:
        BundleError: the manifest breaks the schema.
        OutputError: the folder cannot be written.
    """
    path = folder / MANIFEST_NAME
    check_manifest(dict(manifest), origin=str(path))
    with replacing(path) as partial:
        partial.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _check_schema(manifest: dict[str, Any], origin: str) -> None:
    import fastjsonschema

    text = resources.files(__package__).joinpath("bundle_schema.json").read_text(encoding="utf-8")
    try:
        fastjsonschema.compile(json.loads(text))(manifest)
    except fastjsonschema.JsonSchemaValueException as error:
        name = error.name or "data"
        field = name.removeprefix("data").lstrip(".") or "the manifest"
        complaint = error.message.removeprefix(name).strip()
        raise BundleError(f"{origin}: {field} {complaint}; export the bundle again") from error
