"""The user's own engines. An engine is executable code: none is loaded from anywhere else.

Each is ``KEY.engine`` beside ``KEY.json``, which says what it is and its SHA-256. The folder is the user's alone
(mode 0700), nothing in it may be a link, and every file is read through one descriptor of the checked folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BackendError, EdgesegError, OutputError
from .identity import EngineIdentity

_FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What a ``KEY.json`` says of its engine.

    Attributes:
        identity: what the engine is.
        sha256: of the engine.
        size_bytes: of the engine.
        created_at: Unix time in seconds when it was stored.
    """

    identity: EngineIdentity
    sha256: str
    size_bytes: int
    created_at: float


class EngineCache:
    """Keeps engines in a folder of the user's own.

    Args:
        folder: the cache; where None ``$EDGESEG_CACHE``, ``$XDG_CACHE_HOME/edgeseg`` or ``~/.cache/edgeseg``.
            The engines lie in its subfolder ``engines``, which is made when it is first needed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()) / "engines"

    def path_of(self, identity: EngineIdentity) -> Path:
        """Where an engine lies, or would lie."""
        return self.folder / f"{identity.key}.engine"

    def load(self, identity: EngineIdentity) -> tuple[bytes | None, str]:
        """Reads an engine and checks every byte of it.

        Returns:
            The engine and an empty string; or None and why it cannot be used, which is empty where there is none.

        Raises:
            BackendError: the cache's folder is not the user's alone.
        """
        key = identity.key
        with self._open() as folder:
            names = {name for name in os.listdir(folder) if name in (f"{key}.engine", f"{key}.json")}
            if not names:
                return None, ""
            if len(names) == 1:
                return None, f"{names.pop()} in the cache is only half of an engine"
            try:
                record = _read_record(folder, f"{key}.json")
                engine = _read(folder, f"{key}.engine")
            except (OSError, EdgesegError, KeyError, TypeError, ValueError) as error:
                return None, f"{key}.json or {key}.engine in the cache is broken ({_brief(error)})"
        if record.identity.key != key:
            return None, f"{key}.engine in the cache is another engine"
        if len(engine) != record.size_bytes:
            return None, f"{key}.engine in the cache has {len(engine)} bytes instead of {record.size_bytes}"
        if hashlib.sha256(engine).hexdigest() != record.sha256:
            return (
                None,
                f"{key}.engine in the cache was altered: its SHA-256 is not the one it was stored with",
            )
        return engine, ""

    def store(self, identity: EngineIdentity, engine: bytes) -> Path:
        """Writes an engine whole or not at all; one of the same identity is replaced.

        Raises:
            BackendError: the cache's folder is not the user's alone.
            OutputError: it cannot be written.
        """
        from ... import __version__

        record = {
            "format": _FORMAT,
            "identity": identity.as_json(),
            "sha256": hashlib.sha256(engine).hexdigest(),
            "bytes": len(engine),
            "created_at": time.time(),
            "created_with": {"edgeseg": __version__, identity.flavour: identity.version},
        }
        text = json.dumps(record, indent=2) + "\n"
        try:
            with self._open() as folder:
                _write(folder, f"{identity.key}.engine", engine)
                # Last, so that an engine without it is known to be half-written.
                _write(folder, f"{identity.key}.json", text.encode())
                os.fsync(folder)
        except OSError as error:
            raise OutputError(f"cannot write an engine to {self.folder}: {error.strerror}") from error
        return self.path_of(identity)

    def records(self) -> list[Record]:
        """What is in the cache, the newest first; what cannot be read is left out.

        Raises:
            BackendError: the cache's folder is not the user's alone.
        """
        found = []
        with self._open() as folder:
            for name in sorted(os.listdir(folder)):
                if not name.endswith(".json"):
                    continue
                try:
                    found.append(_read_record(folder, name))
                except (OSError, EdgesegError, KeyError, TypeError, ValueError):
                    # It is in nobody's way: `load` tells of it when its engine is asked for.
                    continue
        return sorted(found, key=lambda record: record.created_at, reverse=True)

    @contextmanager
    def lock(self, identity: EngineIdentity, on_wait: Callable[[], None]) -> Iterator[None]:
        """Holds an engine's lock, so that two processes that need one engine build it once.

        Args:
            identity: the engine's.
            on_wait: is called where another process holds it.

        Raises:
            BackendError: the cache's folder is not the user's alone.
            OutputError: the lock cannot be made.
        """
        with self._open() as folder:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                lock = os.open(f"{identity.key}.lock", flags, 0o600, dir_fd=folder)
            except OSError as error:
                raise OutputError(f"cannot lock {self.folder}: {error.strerror}") from error
            try:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    on_wait()
                    fcntl.flock(lock, fcntl.LOCK_EX)
                _discard_partials(folder, identity.key)
                yield
            finally:
                os.close(lock)

    @contextmanager
    def _open(self) -> Iterator[int]:
        """A descriptor of the folder, once it is known to be the user's alone."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if self.folder.is_symlink():
                raise BackendError(
                    f"{self.folder} is a link; engines are executable code and lie in a folder of your own:"
                    " remove it, or set EDGESEG_CACHE to another folder"
                ) from error
            raise OutputError(
                f"cannot use the engine cache {self.folder}: {error.strerror};"
                " set EDGESEG_CACHE to a folder that you can write"
            ) from error
        try:
            status = os.fstat(folder)
            if status.st_uid != os.getuid():
                raise BackendError(
                    f"{self.folder} belongs to another user (uid {status.st_uid}); engines are executable code:"
                    " set EDGESEG_CACHE to a folder of your own"
                )
            if stat.S_IMODE(status.st_mode) != 0o700:
                raise BackendError(
                    f"{self.folder} has mode {stat.S_IMODE(status.st_mode):04o}; engines are executable code, and"
                    f" their folder must be yours alone: chmod 700 {self.folder}"
                )
            yield folder
        finally:
            os.close(folder)


def default_folder() -> Path:
    """The user's cache of edgeseg."""
    if named := os.environ.get("EDGESEG_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "edgeseg"
    return Path.home() / ".cache" / "edgeseg"


def _read(folder: int, name: str) -> bytes:
    """Reads a plain file of the user's own; a link is refused by the system."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise ValueError(f"{name} is no file of your own")
        return file.read()


def _read_record(folder: int, name: str) -> Record:
    fields: Any = json.loads(_read(folder, name))
    if fields["format"] != _FORMAT:
        raise ValueError(f"format {fields['format']}")
    return Record(
        identity=EngineIdentity.from_json(fields["identity"]),
        sha256=str(fields["sha256"]),
        size_bytes=int(fields["bytes"]),
        created_at=float(fields["created_at"]),
    )


def _write(folder: int, name: str, data: bytes) -> None:
    partial = f".{name}.partial-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(partial, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _discard_partials(folder, name)
        raise


def _discard_partials(folder: int, key: str) -> None:
    """Removes what a process that was killed left behind; the caller holds the lock."""
    for name in os.listdir(folder):
        if name.startswith(f".{key}") and ".partial-" in name:
            os.unlink(name, dir_fd=folder)


def _brief(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
