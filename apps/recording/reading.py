"""Reads recordings, and reports the parts that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame
from ...core.errors import DataError
from ...core.images.bounds import MOST_PIXELS
from ...core.labels import LabelMap
from .folder import SEGMENT_SUFFIX, number_of, segments_of, takes_of
from .pixels import unpack
from .records import END, FRAME, HEAD, StoredRecord, read_records
from .sink import FORMAT


@dataclass(frozen=True)
class RecordedFrame:
    """A frame and its result.

    Attributes:
        take: name of its take.
        frame_bgr: uint8 [H, W, 3], as captured.
        classes: uint8 [H, W].
        frame_id: the run's number of the frame.
        captured_at: ``edgeseg.now()`` in seconds, of the machine that recorded.
        valid: whether the class map could be acted on.
        reason: the reason if it is not valid; else empty.
        name: of the frame, if frames have names.
        timings_ms: milliseconds of each stage.
        variant: that ran; None if it is not recorded.
        taken_ns: when the frame was captured, in nanoseconds since 1970, to a millisecond; None if it is not recorded.
    """

    take: str
    frame_bgr: Frame
    classes: npt.NDArray[np.uint8]
    frame_id: int
    captured_at: float
    valid: bool
    reason: str
    name: str
    timings_ms: Mapping[str, float]
    variant: str | None
    taken_ns: int | None = None


class Recording:
    """A recording on the disk.

    Args:
        folder: of takes, or of one take.
        take: number of the only take to read; None for all.

    Attributes:
        takes: their folders, oldest first.
        labels: the classes, the same in all takes.
        run: the bundle, variant, backend and versions that ran, by the first take's head.
        problems: the parts that could not be read, one line each; complete once :meth:`frames` is at its end.

    Raises:
        DataError: there is no recording, its form is unknown, or its takes have different classes.
    """

    def __init__(self, folder: Path, take: int | None = None) -> None:
        if folder.is_file():
            is_segment = folder.suffix == SEGMENT_SUFFIX
            wanted = (
                f"the folder of its take is wanted, {folder.parent}" if is_segment else "a folder is wanted"
            )
            raise DataError(f"{folder} is a file; {wanted}, or the one that --record named")
        if not folder.is_dir():
            raise DataError(f"there is no recording {folder}: no such folder")
        self.problems: list[str] = []
        try:
            self._segments = {each: segments_of(each) for each in takes_of(folder) or [folder]}
        except OSError as error:
            raise DataError(f"cannot read {folder}: {error.strerror}") from error
        self._segments = {each: files for each, files in self._segments.items() if files}
        if not self._segments:
            raise DataError(f"{folder} holds no recording; `edgeseg run --record {folder}` makes one")
        if take is not None:
            self._segments = _only(take, self._segments, folder)
        self.takes = list(self._segments)
        heads = [(each, head) for each in self.takes if (head := self._head(each)) is not None]
        if not heads:
            raise DataError(f"nothing of {folder} can be read: {self.problems[0]}")
        (first, head), *_ = heads
        self.run: Mapping[str, Any] = {str(key): _plain(value) for key, value in head["run"].items()}
        self.labels = _labels(head, first)
        for each, head in heads:
            if _labels(head, each) != self.labels:
                raise DataError(
                    f"{first} and {each} are of different classes; replay them one by one, with --take"
                )

    def frames(self) -> Iterator[RecordedFrame]:
        """Reads all readable frames, in the order of recording."""
        for take, segments in self._segments.items():
            numbers = [number_of(segment) for segment in segments]
            missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
            if missing:
                self.problems.append(f"{take.name} lacks segment {', '.join(map(str, missing))}")
            for segment in segments:
                yield from self._frames(take, segment)

    def _head(self, take: Path) -> Mapping[str, Any] | None:
        """The head of the first segment of a take that has one."""
        for segment in self._segments[take]:
            try:
                record = next(read_records(segment), None)
            except DataError as error:
                self.problems.append(str(error))
                continue
            if record is None:
                continue
            form = record.facts.get("format")
            if form != FORMAT:
                raise DataError(f"{segment} is of the form {form!r}; this edgeseg reads {FORMAT}")
            if isinstance(record.facts.get("run"), dict):
                return record.facts
        return None

    def _frames(self, take: Path, segment: Path) -> Iterator[RecordedFrame]:
        ended = False
        frames = 0
        booted_ns: int | None = None
        try:
            for record in read_records(segment):
                if record.kind == HEAD and record.facts.get("format") != FORMAT:
                    raise DataError(f"{segment} is of another form than {FORMAT}")
                if record.kind == HEAD:
                    booted_ns = _booted_ns(record.facts)
                ended = record.kind == END
                if record.kind == FRAME:
                    yield _frame(record, take, segment, booted_ns)
                    frames += 1
        except DataError as error:
            self._report(f"{error}; its first {frames} frames were read")
            return
        if not ended:
            self._report(
                f"{segment} was not ended, as after a kill or a power cut; its {frames} frames were read"
            )

    def _report(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _only(take: int, segments: Mapping[Path, list[Path]], folder: Path) -> dict[Path, list[Path]]:
    """One take of a recording, by its number.

    Raises:
        DataError: there is no take of this number.
    """
    numbers = {number_of(each): each for each in segments if each != folder}
    if not numbers:
        raise DataError(f"{folder} is one take by itself; leave --take out, or name the folder above it")
    if take not in numbers:
        raise DataError(f"{folder} holds no take {take}; it holds {', '.join(map(str, sorted(numbers)))}")
    return {numbers[take]: segments[numbers[take]]}


def _plain(value: Any) -> Any:
    """Replaces control characters of a text: anyone may have written the file, and a terminal would obey them."""
    if not isinstance(value, str):
        return value
    return "".join(character if character.isprintable() else "?" for character in value)


def _labels(head: Mapping[str, Any], take: Path) -> LabelMap:
    try:
        return LabelMap.from_pairs((label["name"], label["rgb"]) for label in head["labels"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{take}: its head has no label map") from error


def _booted_ns(head: Mapping[str, Any]) -> int | None:
    """Returns when the recording machine's ``edgeseg.now()`` was 0, in nanoseconds since 1970."""
    try:
        begun = datetime.fromisoformat(head["begun"]).timestamp()
        return round((begun - float(head["begun_monotonic_s"])) * 1e9)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _frame(record: StoredRecord, take: Path, segment: Path, booted_ns: int | None) -> RecordedFrame:
    facts = record.facts
    try:
        height, width = (int(side) for side in facts["size_hw"])
        if not 0 < height * width <= MOST_PIXELS or min(height, width) < 1:
            raise ValueError(f"a frame of {height} x {width}")
        return RecordedFrame(
            take=take.name,
            frame_bgr=unpack(record.first, (height, width, 3)),
            classes=unpack(record.second, (height, width)),
            frame_id=int(facts["frame_id"]),
            captured_at=float(facts["captured_at"]),
            valid=bool(facts["valid"]),
            reason=_plain(str(facts["reason"])),
            name=str(facts["name"]),
            timings_ms={str(stage): float(ms) for stage, ms in facts["timings_ms"].items()},
            variant=None if facts["variant"] is None else _plain(str(facts["variant"])),
            taken_ns=None if booted_ns is None else booted_ns + round(float(facts["captured_at"]) * 1e9),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{segment}: a frame of it {error}") from error
