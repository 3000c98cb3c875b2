"""The staging of a data set, so that its folder appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.claims import claimed
from ..core.errors import OutputError
from ..core.outputs import check_new, check_output
from ..core.reads import NOTHING, Reads


@contextmanager
def new_dataset(out: Path, force: bool, reads: Reads = NOTHING) -> Iterator[Path]:
    """Yields a hidden folder beside ``out`` to write into; it is renamed to ``out`` if the block raises no error.

    It contains the folders of VOC layout.

    Args:
        out: folder to create.
        force: replace ``out`` if it is a data set.
        reads: the inputs of the job.

    Raises:
        OutputError: ``out`` may not be written, exists without ``force``, is not a data set, or is being written by
            another process; or the disk is full. Then nothing is kept.
    """
    _check(out, force, reads)
    with claimed(out):
        _check(out, force, reads)  # the process that had the claim before may have made it
        try:
            building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        except OSError as error:
            raise OutputError(f"cannot create {out}: {error}") from error
        try:
            for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
                (building / folder).mkdir(parents=True)
            yield building
            building.chmod(0o755)
            if out.exists():
                shutil.rmtree(out)
            building.rename(out)
        except OSError as error:
            raise OutputError(f"cannot write {out}: {error}; nothing was kept") from error
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _check(out: Path, force: bool, reads: Reads) -> None:
    check_output(out, folder=True, reads=reads)
    check_new(out, force)
    if out.is_symlink():
        raise OutputError(f"{out} is a link; name the folder itself")
    if out.exists() and any(out.iterdir()) and not (out / "ImageSets").is_dir():
        raise OutputError(f"{out} holds files and is no data set; --force replaces data sets only")
