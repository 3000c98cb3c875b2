"""The images without masks of ``edgeseg train --unlabelled``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import DataError, SourceError
from ..core.outputs import discard
from ..data.frames import frames_in, identity_of, write_frames
from ..data.unlabelled import find_images, is_video, without
from ..data.voc import VocDataset
from ..training import distributed
from ..training.folder import FRAMES, STATE


@contextmanager
def unlabelled_images(
    name: str | None, every: int, out: Path, splits: Sequence[VocDataset]
) -> Iterator[tuple[list[Path], str]]:
    """Finds images without masks. A video's frames are written into the folder of the training first.

    Args:
        name: a folder, a glob or a video; None for no images.
        every: every so many frames of a video.
        out: the folder of the training, which is held. Frames of a training that leaves no state are removed.
        splits: their images are left out.

    Yields:
        The images, the same in every process, and a note on them for the user.

    Raises:
        DataError: there is none, or all are images of the splits.
        OutputError: the frames cannot be written.
        SourceError: the video cannot be read.
    """
    if name is None:
        yield [], ""
        return
    try:
        found = _frames(Path(name), every, out / FRAMES) if is_video(name) else find_images(name)
        images = without(found, splits)
        if not images:
            raise DataError(f"--unlabelled {name} names only images of the splits; name others")
        count = len(found) - len(images)
        left_out = f"; {count} of the splits are left out" if count else ""
        yield images, f"{len(images)} images without masks from {name}{left_out}"
    finally:
        if distributed.is_writer() and not (out / STATE).exists():
            discard(out / FRAMES)


def _frames(video: Path, every: int, folder: Path) -> list[Path]:
    from ..runtime.sources.video.source import VideoSource

    identity = identity_of(video, every)
    if distributed.is_writer() and not frames_in(folder, identity):
        with VideoSource(video) as source:
            write_frames(source, folder, every, identity)
    distributed.barrier()
    found = frames_in(folder, identity)
    if not found:
        raise SourceError(f"the frames of {video} in {folder} are gone; start again")
    return found
