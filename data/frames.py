"""Frames of a video as images in a folder, so that a training can read them in any order."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import cv2

from ..core.errors import DataError, OutputError
from ..core.files import read_text
from ..core.outputs import discard
from ..core.source import Source

_MARKER = "frames.json"
_JPEG_QUALITY = 95


def identity_of(video: Path, every: int) -> dict[str, object]:
    """Returns what the frames of a video depend on, as JSON.

    Args:
        video: the file.
        every: the step between two frames that are kept.

    Raises:
        DataError: it cannot be read.
    """
    try:
        status = video.stat()
    except OSError as error:
        raise DataError(f"cannot read the video {video}: {error.strerror}") from error
    return {"video": video.name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "every": every}


def frames_in(folder: Path, identity: Mapping[str, object]) -> list[Path]:
    """Returns the images that :func:`write_frames` left in a folder; none if they are of another identity.

    Raises:
        DataError: its list of frames cannot be read.
    """
    if not (folder / _MARKER).is_file():
        return []
    try:
        known = json.loads(read_text(folder / _MARKER, "the list of frames"))
        if known["identity"] != dict(identity):
            return []
        paths = [folder / Path(name).name for name in known["frames"]]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder / _MARKER} is malformed ({error!r}); remove the folder {folder}") from error
    return paths if all(path.is_file() for path in paths) else []


def write_frames(source: Source, folder: Path, every: int, identity: Mapping[str, object]) -> list[Path]:
    """Writes every Nth frame of a video as a JPEG into a folder, which appears whole or not at all.

    Frames that the source calls faulty are left out.

    Args:
        source: of frames, open, at its start.
        folder: a folder of this name is replaced.
        every: the step between two frames that are kept.
        identity: of the frames, for :func:`frames_in`.

    Raises:
        DataError: no frame is left.
        OutputError: the folder cannot be written.
        SourceError: the source cannot be read to its end.
    """
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    names = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        discard(partial)
        partial.mkdir()
        index = 0
        while (frame_bgr := source.read()) is not None:
            if index % every == 0 and not source.frame_fault:
                number = index if source.frame_number is None else source.frame_number
                names.append(f"{number:07d}.jpg")
                done, encoded = cv2.imencode(".jpg", frame_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
                if not done:
                    raise DataError(f"frame {number} of {source.name} cannot be written as a JPEG")
                (partial / names[-1]).write_bytes(encoded.tobytes())
            index += 1
        if not names:
            raise DataError(f"{source.name} has no frame to learn from; name another --unlabelled")
        marker = {"identity": dict(identity), "frames": names}
        (partial / _MARKER).write_text(json.dumps(marker), encoding="utf-8")
        discard(folder)
        partial.rename(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write the frames of {source.name} to {folder}: {error.strerror}"
        ) from error
    finally:
        if os.path.lexists(partial):
            discard(partial)
    return [folder / name for name in names]
