"""The registry of forms, and the detection of the form in a folder."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import DataError, EdgesegError, UsageError
from ...core.files import open_regular
from .base import Asked, FileTree, Found

_LOOKED_AT = 20_000
"""The number of files that are listed of a folder that is not being imported."""
_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Form:
    """A form of data sets.

    Attributes:
        title: its name for display.
        target: ``module:function`` that reads it.
        fits: recognises it by the files.
    """

    title: str
    target: str
    fits: Callable[[FileTree], bool]


def _json_with(tree: FileTree, *keys: bytes) -> bool:
    """Returns True if one of the first few JSON files has these keys near its beginning or its end."""
    for path in tree.ending(".json")[:8]:
        try:
            with open_regular(tree.root / path) as file:
                head = file.read(_HEAD_BYTES)
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL_BYTES))
                text = head + file.read(_TAIL_BYTES)
        except OSError:
            continue
        if all(b'"' + key + b'"' in text for key in keys):
            return True
    return False


def _is_pairs(tree: FileTree) -> bool:
    from .pairing import pair_up

    return bool(pair_up(tree.images()).pairs)


def _is_voc(tree: FileTree) -> bool:
    from .voc import has_layout

    return has_layout(tree)


FORMS: dict[str, Form] = {
    "roboflow": Form(
        "Roboflow's png-mask-semantic", ".forms:read_roboflow", lambda tree: bool(tree.named("_classes.csv"))
    ),
    "supervisely": Form(
        "a Supervisely project", ".supervisely:read",
        lambda tree: bool(tree.named("meta.json")) and tree.has_folder("ann"),
    ),
    "cityscapes": Form(
        "Cityscapes", ".cityscapes:read", lambda tree: bool(tree.ending("_labelids.png", "_labeltrainids.png"))
    ),
    "voc": Form("VOC layout, as CVAT and labelme export it", ".voc:read", _is_voc),
    "coco": Form("COCO annotations", ".coco:read", lambda tree: _coco(tree)),
    "labelme": Form("labelme's JSON files", ".labelme:read", lambda tree: _json_with(tree, b"shapes", b"imagePath")),
    "ade20k": Form("ADE20K", ".forms:read_ade20k", lambda tree: _is_ade(tree)),
    "camvid": Form(
        "CamVid as SegNet's authors lay it out", ".forms:read_camvid",
        lambda tree: tree.has_folder("trainannot", "valannot", "testannot", "defaultannot"),
    ),
    "pairs": Form("folders of images and masks", ".forms:read_pairs", _is_pairs),
    "globs": Form("images and masks by pattern", ".forms:read_globs", lambda tree: False),
}  # fmt: skip
"""The forms by name; the first that fits is used."""


def _coco(tree: FileTree) -> bool:
    if any(
        "coco" in path.name.lower() or path.name.startswith("instances_") for path in tree.ending(".json")
    ):
        return True
    return _json_with(tree, b"images", b"annotations") or _json_with(tree, b"categories", b"images")


def _is_ade(tree: FileTree) -> bool:
    if tree.named("objectInfo150.txt", "objectInfo150.csv"):
        return True
    return tree.has_folder("annotations") and any(path.name.startswith("ADE_") for path in tree.images())


def detect(tree: FileTree) -> str:
    """Returns the name of the form in a folder; empty if none is recognised."""
    return next((name for name, form in FORMS.items() if form.fits(tree)), "")


def looks_like(root: Path) -> str:
    """Returns the form of a folder and the line that imports it, for the end of an error; else empty."""
    try:
        tree = FileTree.of(root, _LOOKED_AT)
        name = detect(tree)
    except (EdgesegError, OSError):
        return ""
    if not name:
        return ""
    return f"; this looks like {FORMS[name].title}: `edgeseg data import {root} --out DIR`"


def read(tree: FileTree, name: str | None, asked: Asked) -> tuple[Form, Found]:
    """Reads a data set.

    Args:
        tree: its files.
        name: of its form; None to recognise it.
        asked: the user's options.

    Raises:
        UsageError: there is no form of this name.
        DataError: no form is recognised, or the data set is malformed.
    """
    if name is not None and name not in FORMS:
        raise UsageError(f"--format {name!r}: expected one of {', '.join(FORMS)}")
    if (asked.images or asked.masks) and name not in (None, "globs"):
        raise UsageError(f"--images and --masks go with --format globs, not with {name}")
    chosen = name or ("globs" if asked.images or asked.masks else detect(tree))
    if not chosen:
        raise DataError(
            f"{tree.root} has a form that edgeseg does not recognise; expected one of {', '.join(FORMS)}: name it"
            " with --format, or name the files with --images PATTERN --masks PATTERN"
        )
    form = FORMS[chosen]
    module, _, function = form.target.partition(":")
    reader: Any = getattr(importlib.import_module(module, __package__), function)
    found: Found = reader(tree, asked)
    if not found.items:
        reason = next(iter(found.left_out), "no image with a mask lies there")
        raise DataError(f"nothing to import from {tree.root} as {form.title}: {reason}")
    return form, found
