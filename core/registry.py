"""A registry of names. The class behind a name is imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from typing import Any, Generic, TypeVar

from .errors import EdgesegError

Entry = TypeVar("Entry")


class Registry(Collection[str], Generic[Entry]):
    """Names with an entry each, in order of registration.

    Args:
        kind: the kind of entry, for messages, such as ``backend``.
        error: raised if a name is taken or unknown.
        hint: the end of the message for an unknown name.
    """

    def __init__(self, kind: str, error: type[EdgesegError], hint: str = "") -> None:
        self._kind, self._error, self._hint = kind, error, hint
        self._entries: dict[str, Entry] = {}

    def register(self, name: str, entry: Entry) -> None:
        """Adds a name.

        Raises:
            EdgesegError: of the registry's own kind: the name is taken.
        """
        if name in self._entries:
            taken = self._entries[name]
            article = "an" if self._kind[0] in "aeiou" else "a"
            raise self._error(
                f"{article} {self._kind} named {name!r} is registered already, as {getattr(taken, 'target', taken)}"
            )
        self._entries[name] = entry

    def unregister(self, name: str) -> None:
        """Removes a name.

        Raises:
            EdgesegError: of the registry's own kind: the name is unknown.
        """
        self.entry(name)
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> tuple[str, ...]:
        """The known names, in order of registration."""
        return tuple(self._entries)

    def entry(self, name: str) -> Entry:
        """Looks up a name.

        Raises:
            EdgesegError: of the registry's own kind: the name is unknown; the message lists the known names.
        """
        if name not in self._entries:
            raise self._error(f"unknown {self._kind} {name!r}; known: {', '.join(self._entries)}{self._hint}")
        return self._entries[name]


def load(target: str) -> Any:
    """Imports the object named by ``package.module:Name``."""
    module_name, name = target.split(":")
    return getattr(importlib.import_module(module_name), name)
