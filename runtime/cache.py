"""The cache: files that a machine makes once and uses again. Every byte is checked when it is read.

An item is the file ``KEY.suffix``, with ``KEY.json`` beside it, which holds its identity and SHA-256. Only the user
owns and can use the folder (mode 0700). No file may be a link. Files are read through one descriptor of the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BackendError, EdgesegError, OutputError

_FORMAT = 1
_STALE_SECONDS = 3600.0
"""A partial file older than this was left by a process that ended."""


@dataclass(frozen=True)
class Kind:
    """The kind of items that a store keeps.

    Attributes:
        name: the name of one item, for messages; also the suffix of the files.
        folder: the subfolder of the cache: the name in the plural.
        danger: the reason that nobody else may write there, for messages.
        key_of: computes the key of a record's identity; may raise any error for a broken record.
    """

    name: str
    folder: str
    danger: str
    key_of: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class CacheRecord:
    """The content of a ``KEY.json``.

    Attributes:
        identity: the fields that identify the item, as JSON's types.
        sha256: the SHA-256 of its bytes.
        size_bytes: the number of its bytes.
        created_at: Unix time in seconds when it was stored.
    """

    identity: Mapping[str, Any]
    sha256: str
    size_bytes: int
    created_at: float


class Store:
    """Keeps items of one kind.

    Args:
        kind: the kind of the items.
        folder: the cache; if None, ``$EDGESEG_CACHE``, ``$XDG_CACHE_HOME/edgeseg`` or ``~/.cache/edgeseg``.
            The items are in a subfolder, which is made when it is first needed.
    """

    def __init__(self, kind: Kind, folder: Path | None = None) -> None:
        self._kind = kind
        self.folder = (folder or default_folder()) / kind.folder

    def path_of(self, key: str) -> Path:
        """Returns the path of an item, which need not exist."""
        return self.folder / f"{key}.{self._kind.name}"

    def load(self, key: str) -> tuple[bytes | None, str]:
        """Reads an item and checks every byte of it.

        Returns:
            The bytes and an empty string; or None and the reason it cannot be used, empty if there is no such item.

        Raises:
            BackendError: other users can use the folder.
            OutputError: the folder cannot be made.
        """
        name, record_name = self.path_of(key).name, f"{key}.json"
        with self._open() as folder:
            _hold(folder, fcntl.LOCK_SH)
            names = {each for each in os.listdir(folder) if each in (name, record_name)}
            if not names:
                return None, ""
            if len(names) == 1:
                return None, f"{names.pop()} in the cache is only half of {self._article()}"
            try:
                record = _read_record(folder, record_name)
                key_there = self._kind.key_of(record.identity)
                content = _read(folder, name)
            except (OSError, EdgesegError, KeyError, TypeError, ValueError) as error:
                return None, f"{record_name} or {name} in the cache is broken ({_brief(error)})"
        if key_there != key:
            return None, f"{name} in the cache is another {self._kind.name}"
        if len(content) != record.size_bytes:
            return None, f"{name} in the cache has {len(content)} bytes instead of {record.size_bytes}"
        if hashlib.sha256(content).hexdigest() != record.sha256:
            return None, f"{name} in the cache was altered: its SHA-256 is not the one it was stored with"
        return content, ""

    def store(
        self, key: str, identity: Mapping[str, Any], content: bytes, created_with: Mapping[str, str]
    ) -> Path:
        """Writes an item in full or not at all. An item with the same key is replaced.

        Args:
            key: the item's key.
            identity: the fields that identify it, as JSON's types.
            content: its bytes.
            created_with: names and versions of the software that made it; edgeseg's own is added.

        Raises:
            BackendError: other users can use the folder.
            OutputError: the item cannot be written.
        """
        from .._version import __version__

        record = {
            "format": _FORMAT,
            "identity": dict(identity),
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "created_at": time.time(),
            "created_with": {"edgeseg": __version__, **created_with},
        }
        text = json.dumps(record, indent=2) + "\n"
        try:
            with self._open() as folder:
                _hold(folder, fcntl.LOCK_EX)
                _write(folder, self.path_of(key).name, content)
                # Last, so that an item without its record is known to be incomplete.
                _write(folder, f"{key}.json", text.encode())
                os.fsync(folder)
        except OSError as error:
            raise OutputError(f"cannot write {self._article()} to {self.folder}: {error.strerror}") from error
        return self.path_of(key)

    def private_folder(self, key: str) -> Path:
        """Returns a subfolder for the files that a library keeps of one item. Makes it with mode 0700 if missing.

        Raises:
            BackendError: other users can use the folder or the subfolder.
            OutputError: the subfolder cannot be made.
        """
        with self._open() as folder:
            try:
                with suppress(FileExistsError):
                    os.mkdir(key, 0o700, dir_fd=folder)
                status = os.stat(key, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                raise OutputError(f"cannot make a folder in {self.folder}: {error.strerror}") from error
        mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if not mine or stat.S_IMODE(status.st_mode) != 0o700:
            raise BackendError(
                f"{self.folder / key} is not a folder of yours alone; {self._kind.danger}: remove it"
            )
        return self.folder / key

    def records(self) -> dict[str, CacheRecord]:
        """Returns the records by key, the newest first. Records that cannot be read are left out.

        Raises:
            BackendError: other users can use the folder.
        """
        found = {}
        with self._open() as folder:
            for name in sorted(os.listdir(folder)):
                if not name.endswith(".json"):
                    continue
                try:
                    record = _read_record(folder, name)
                    self._kind.key_of(record.identity)
                    found[name.removesuffix(".json")] = record
                except (OSError, EdgesegError, KeyError, TypeError, ValueError):
                    # A broken record does no harm here: `load` reports it when its item is asked for.
                    continue
        return dict(sorted(found.items(), key=lambda item: item[1].created_at, reverse=True))

    def trim(self, most_bytes: int) -> None:
        """Removes the oldest items until the rest has at most ``most_bytes``. The newest item always stays.

        Raises:
            BackendError: other users can use the folder.
            OutputError: the folder cannot be written.
        """
        records = self.records()
        total = 0
        try:
            with self._open() as folder:
                _hold(folder, fcntl.LOCK_EX)
                for number, (key, record) in enumerate(records.items()):
                    total += record.size_bytes
                    if number and total > most_bytes:
                        for name in (f"{key}.json", self.path_of(key).name):
                            _remove(folder, name)
                for name in os.listdir(folder):
                    if ".partial-" in name and time.time() - _modified_at(folder, name) > _STALE_SECONDS:
                        _remove(folder, name)
        except OSError as error:
            raise OutputError(f"cannot write to {self.folder}: {error.strerror}") from error

    @contextmanager
    def lock(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Holds an item's lock, so that two processes that need the same item make it only once.

        Args:
            key: the item's key.
            on_wait: called if another process holds the lock.

        Raises:
            BackendError: other users can use the folder.
            OutputError: the lock cannot be made.
        """
        with self._open() as folder:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                lock = os.open(f"{key}.lock", flags, 0o600, dir_fd=folder)
            except OSError as error:
                raise OutputError(f"cannot lock {self.folder}: {error.strerror}") from error
            try:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    on_wait()
                    fcntl.flock(lock, fcntl.LOCK_EX)
                _discard_partials(folder, key)
                yield
            finally:
                os.close(lock)

    @contextmanager
    def _open(self) -> Iterator[int]:
        """Opens the folder, and checks that it belongs to the user and nobody else can use it."""
        danger = self._kind.danger
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if self.folder.is_symlink():
                raise BackendError(
                    f"{self.folder} is a link; {danger} and lie in a folder of your own:"
                    " remove it, or set EDGESEG_CACHE to another folder"
                ) from error
            raise OutputError(
                f"cannot use the {self._kind.name} cache {self.folder}: {error.strerror};"
                " set EDGESEG_CACHE to a folder that you can write"
            ) from error
        try:
            status = os.fstat(folder)
            if status.st_uid != os.getuid():
                raise BackendError(
                    f"{self.folder} belongs to another user (uid {status.st_uid}); {danger}:"
                    " set EDGESEG_CACHE to a folder of your own"
                )
            if stat.S_IMODE(status.st_mode) != 0o700:
                raise BackendError(
                    f"{self.folder} has mode {stat.S_IMODE(status.st_mode):04o}; {danger}, and"
                    f" their folder must be yours alone: chmod 700 {self.folder}"
                )
            yield folder
        finally:
            os.close(folder)

    def _article(self) -> str:
        return f"{'an' if self._kind.name[0] in 'aeiou' else 'a'} {self._kind.name}"


def key_of_fields(fields: Mapping[str, Any]) -> str:
    """Returns a key of 64 hex digits, different for each identity."""
    return hashlib.sha256(json.dumps(dict(fields), sort_keys=True).encode()).hexdigest()


def default_folder() -> Path:
    """Returns the folder of the user's edgeseg cache."""
    if named := os.environ.get("EDGESEG_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "edgeseg"
    return Path.home() / ".cache" / "edgeseg"


def _hold(folder: int, how: int) -> None:
    """Locks a folder until its descriptor is closed, so that an item and its record come from the same writer.

    If the file system has no locks, the SHA-256 shows a mixture of two writers, and the item is made again.
    """
    with suppress(OSError):
        fcntl.flock(folder, how)


def _read(folder: int, name: str) -> bytes:
    """Returns the bytes of a regular file that the user owns. The system refuses a link."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise ValueError(f"{name} is no file of your own")
        return file.read()


def _read_record(folder: int, name: str) -> CacheRecord:
    fields: Any = json.loads(_read(folder, name))
    if fields["format"] != _FORMAT:
        raise ValueError(f"format {fields['format']}")
    return CacheRecord(
        identity=dict(fields["identity"]),
        sha256=str(fields["sha256"]),
        size_bytes=int(fields["bytes"]),
        created_at=float(fields["created_at"]),
    )


def _write(folder: int, name: str, data: bytes) -> None:
    # Two containers may share a cache and have the same process ID.
    partial = f".{name}.partial-{os.getpid()}-{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(partial, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _remove(folder, partial)
        raise


def _discard_partials(folder: int, key: str) -> None:
    """Removes partial files of a process that was killed. The caller holds the lock."""
    for name in os.listdir(folder):
        if name.startswith(f".{key}") and ".partial-" in name:
            os.unlink(name, dir_fd=folder)


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:  # another process removed it, or it was never made
        return


def _modified_at(folder: int, name: str) -> float:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return time.time()


def _brief(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
