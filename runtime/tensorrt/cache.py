"""The cache of the user's own engines. An engine is executable code, so none is loaded from anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cache import Kind, Store
from .identity import EngineIdentity


def _key_of(fields: Mapping[str, Any]) -> str:
    return EngineIdentity.from_json(fields).key


_ENGINES = Kind("engine", "engines", danger="engines are executable code", key_of=_key_of)


@dataclass(frozen=True)
class EngineRecord:
    """The contents of an engine's ``KEY.json``.

    Attributes:
        identity: the engine's identity.
        sha256: of the engine.
        size_bytes: of the engine.
        created_at: Unix time in seconds when it was stored.
    """

    identity: EngineIdentity
    sha256: str
    size_bytes: int
    created_at: float


class EngineCache:
    """Keeps engines in a folder of the user's own, as :class:`..cache.Store` does.

    Args:
        folder: the cache; the user's own if None. The engines are in its subfolder ``engines``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._store = Store(_ENGINES, folder)
        self.folder = self._store.folder

    def path_of(self, identity: EngineIdentity) -> Path:
        """The path of an engine's file, which need not exist."""
        return self._store.path_of(identity.key)

    def load(self, identity: EngineIdentity) -> tuple[bytes | None, str]:
        """Reads an engine and checks every byte of it.

        Returns:
            The engine and an empty string; or None and the reason that it cannot be used, empty if there is no engine.

        Raises:
            BackendError: the cache's folder is not the user's alone.
        """
        return self._store.load(identity.key)

    def store(self, identity: EngineIdentity, engine: bytes) -> Path:
        """Writes an engine whole or not at all; one of the same identity is replaced.

        Raises:
            BackendError: the cache's folder is not the user's alone.
            OutputError: it cannot be written.
        """
        made_with = {identity.flavour: identity.version}
        return self._store.store(identity.key, identity.as_json(), engine, made_with)

    def records(self) -> list[EngineRecord]:
        """The records of the cache, the newest first; unreadable ones are left out.

        Raises:
            BackendError: the cache's folder is not the user's alone.
        """
        return [
            EngineRecord(
                EngineIdentity.from_json(record.identity), record.sha256, record.size_bytes, record.created_at
            )
            for record in self._store.records().values()
        ]

    def lock(self, identity: EngineIdentity, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Holds an engine's lock, so that two processes that need one engine build it once.

        Args:
            identity: the engine's.
            on_wait: called if another process holds it.

        Raises:
            BackendError: the cache's folder is not the user's alone.
            OutputError: the lock cannot be made.
        """
        return self._store.lock(identity.key, on_wait)
