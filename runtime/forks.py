"""The protection of a parent's objects in a forked child: the child must not use them.

A fork copies memory and open files, but only the thread that forked. In the child, a library's thread pool has no
threads, and waits for them for ever when it is destroyed. Connections, files being written and shared memory still
belong to the parent, and the child's changes to them affect the parent.

So each object that holds one of these is registered here. In a child it is never destroyed. Its methods that use the
resource raise a clear error, and those that release it return at once. A method that was bound before the fork, such
as the target of a process, is not replaced: it must call :func:`refuse_in_child` itself.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import ref

from ..core.errors import EdgesegError


@dataclass(frozen=True)
class Owned:
    """The behaviour of an object in a forked child.

    Attributes:
        what: the object's name, for messages.
        error: the error that its methods raise in the child.
        refuses: the names of the methods that raise it.
        ignores: the names of the methods that return None at once.
        in_child: called in the child with the object and the error that its methods raise, for example to close the
            child's own copies of its files. It must not wait, acquire a lock or call a library.
    """

    what: str
    error: type[EdgesegError]
    refuses: Sequence[str] = ()
    ignores: Sequence[str] = ("close",)
    in_child: Callable[[Any, EdgesegError], None] | None = None


_owned: dict[int, tuple[ref[Any], Owned]] = {}
"""By the object's ``id``, because an object need not be hashable."""

_left: dict[int, Owned] = {}
"""In a child: the parent's objects. They are never destroyed, so each ``id`` stays valid."""

_used: set[str] = set()
_used_by_parent: set[str] = set()
_is_registered = False


def stays_with_this_process(thing: object, owned: Owned) -> None:
    """Registers an object that a forked child must leave alone.

    Args:
        thing: the object, before it opens its resource.
        owned: its behaviour in a child.
    """
    number = id(thing)
    _owned[number] = ref(thing, lambda gone: _owned.pop(number, None)), owned
    _register()


def begins_to_use(library: str) -> None:
    """Records that this process uses a library whose threads do not exist in a forked child."""
    _used.add(library)
    _register()


def was_used_before_fork(library: str) -> bool:
    """Returns True if this is a forked child, and a parent of it used the library before the fork."""
    return library in _used_by_parent


def _register() -> None:
    global _is_registered
    if not _is_registered and hasattr(os, "register_at_fork"):
        _is_registered = True
        os.register_at_fork(after_in_child=_leave_all_alone)


def is_left_alone(thing: object) -> bool:
    """Returns True if this is a forked child, and the object belongs to its parent."""
    return id(thing) in _left


def refuse_in_child(thing: object) -> None:
    """Raises the object's error if this is a forked child, and the object belongs to its parent."""
    owned = _left.get(id(thing))
    if owned is not None:
        raise _refusal(owned)


def in_this_process(function: Callable[..., object]) -> Callable[..., object]:
    """Returns a function that does nothing in a forked child, for calls at the time of garbage collection."""
    pid = os.getpid()
    return lambda *arguments: function(*arguments) if os.getpid() == pid else None


def _leave_all_alone() -> None:
    _used_by_parent.update(_used)
    things = [(reference(), owned) for reference, owned in list(_owned.values())]
    _owned.clear()
    for thing, owned in things:
        if thing is None:
            continue
        _left[id(thing)] = owned
        # Destructors would wait for threads that do not exist in the child, also when the interpreter ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
        for name in owned.refuses:
            setattr(thing, name, partial(_refuse, owned))
        for name in owned.ignores:
            setattr(thing, name, _ignore)
        if owned.in_child is not None:
            owned.in_child(thing, _refusal(owned))


def _refusal(owned: Owned) -> EdgesegError:
    """Returns the error of an object that is used in a forked child."""
    return owned.error(
        f"{owned.what} was opened before this process was forked; fork before it is opened, or start processes with"
        " spawn"
    )


def _refuse(owned: Owned, *arguments: object, **named: object) -> None:
    raise _refusal(owned)


def _ignore(*arguments: object, **named: object) -> None:
    return
