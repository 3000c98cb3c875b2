"""A series of files, ``NAME-000001.mp4`` and on. Numbers continue after a restart; the oldest files can make room."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...core.errors import OutputError
from ...core.outputs import check_output, discard
from .disk import place


class Series:
    """Names the files of a series, and keeps their size within a limit.

    Half-written files of a killed run are removed at the start. Whole files are removed only to keep the limit.

    Args:
        path: the name without a number: ``film.mp4`` gives ``film-000001.mp4`` and on.
        most_bytes: of all files of the series together, with those of earlier runs; None for no limit. The oldest
            are removed first, never the newest.

    Raises:
        OutputError: its name may not be written, or the folder cannot be made or written.
    """

    def __init__(self, path: Path, most_bytes: int | None = None) -> None:
        check_output(path)
        self.path = path
        self._folder = path.parent
        self._most_bytes = most_bytes
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        self._whole = names_of(path)
        self._leftover = re.compile(rf"\.{stem}-(\d{{6,}})\.partial-(\d+){suffix}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            names = os.listdir(self._folder)
            self._remove_leftovers(names)
            probe = self._folder / f".{path.stem}.probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        taken = [
            match for name in names for match in (self._whole.fullmatch(name), self._leftover.fullmatch(name))
        ]
        self._next = 1 + max((int(match[1]) for match in taken if match), default=0)

    @property
    def segment_bytes(self) -> int | None:
        """The largest size of one file, so that removing whole files keeps the limit; None for no limit."""
        return None if self._most_bytes is None else max(1, self._most_bytes // 4)

    def begin(self) -> Path:
        """Reserves the next number.

        Returns:
            A hidden name for the file until it is whole; give it to :meth:`finish`.
        """
        partial = self._folder / f".{self.path.stem}-{self._next:06d}.partial-{os.getpid()}{self.path.suffix}"
        self._next += 1
        return partial

    def finish(self, partial: Path) -> Path:
        """Gives a whole file its name, once it is on the disk, and removes the oldest files beyond the limit.

        Raises:
            OSError: the disk failed or is full.
        """
        match = self._leftover.fullmatch(partial.name)
        assert match is not None
        path = self._folder / f"{self.path.stem}-{match[1]}{self.path.suffix}"
        place(partial, path)
        self.make_room(0)
        return path

    def make_room(self, more_bytes: int) -> None:
        """Removes the oldest files until ``more_bytes`` fit within the limit; the newest always stays.

        Raises:
            OSError: a file cannot be removed.
        """
        if self._most_bytes is None:
            return
        files = [(file, file.stat().st_size) for file in self.files()]
        total_bytes = more_bytes + sum(size for _, size in files)
        for file, size in files[:-1]:
            if total_bytes <= self._most_bytes:
                return
            file.unlink(missing_ok=True)
            total_bytes -= size

    def files(self) -> list[Path]:
        """The whole files, oldest first."""
        found = [
            (int(match[1]), name)
            for name in os.listdir(self._folder)
            if (match := self._whole.fullmatch(name))
        ]
        return [self._folder / name for _, name in sorted(found)]

    def _remove_leftovers(self, names: list[str]) -> None:
        for name in names:
            match = self._leftover.fullmatch(name)
            if match is not None and not _is_alive(int(match[2])):
                discard(self._folder / name)


def names_of(path: Path) -> re.Pattern[str]:
    """The names of whole files of a series, with their number.

    Args:
        path: the name without a number.
    """
    return re.compile(rf"{re.escape(path.stem)}-(\d{{6,}}){re.escape(path.suffix)}")


def _is_alive(pid: int) -> bool:
    """True if another process has this number. A file with this process's own number is older than the process."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
