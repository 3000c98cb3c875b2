"""Images without masks, for a network that learns from a teacher."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError
from ..core.files import is_hidden_copy
from ..core.images import reader
from .lists import IMAGE_SUFFIXES, image_path
from .threads import in_threads
from .voc import VocDataset


def is_video(name: str) -> bool:
    """Returns True if a name leads to a file that is no image by its suffix."""
    return os.path.isfile(name) and Path(name).suffix.lower() not in IMAGE_SUFFIXES


def find_images(name: str) -> list[Path]:
    """Returns the images of a folder (without its subfolders) or a glob, sorted; or the one image of this name.

    Raises:
        DataError: there is none.
    """
    if os.path.isdir(name):
        found = [entry.path for entry in os.scandir(name)]
    else:
        found = glob.glob(name, recursive=True)
    paths = sorted(Path(each) for each in found if _is_image(each))
    if not paths:
        raise DataError(
            f"--unlabelled {name} names no image; expected a folder, a glob in quotes such as 'photos/**/*.jpg', "
            "or a video"
        )
    return paths


def without(paths: Sequence[Path], datasets: Sequence[VocDataset]) -> list[Path]:
    """Returns the paths that are no images of these splits under any name.

    Raises:
        DataError: an image of a split is missing.
    """
    known = set()
    for dataset in datasets:
        for name in dataset.ids:
            status = image_path(dataset.root, name).stat()
            known.add((status.st_dev, status.st_ino))
    return [path for path in paths if ((status := path.stat()).st_dev, status.st_ino) not in known]


def measure(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Returns the height and width of each image, and reads no more than that takes.

    Raises:
        DataError: an image is missing, of an unsupported form or, as far as shows without decoding, damaged.
    """
    return in_threads(reader.size_hw, paths)


def _is_image(path: str) -> bool:
    name = os.path.basename(path)
    return (
        os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        and not name.startswith(".")
        and not is_hidden_copy(name)
        and os.path.isfile(path)
    )
