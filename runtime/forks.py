"""What a forked child does with what its parent had opened: nothing.

A fork copies memory and open files, and of the threads only the one that forked. A library's thread pool has no
threads in the child, and waits for them for ever as it is taken down. A connection, a file that is being written and
shared memory are still the parent's, and whatever the child does to them befalls the parent.

So each thing that holds any of these says so here once. In a child it is never destroyed, its methods that use what it
holds raise one clear line, and those that let it go return at once. Who took hold of a method before the fork, as the
target of a process, calls it as it was: what such a method must not do there, it asks :func:`refuse_in_child`.
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
    """What becomes of a thing in a forked child.

    Attributes:
        what: it is, for people.
        error: that its methods raise there.
        refuses: the names of the methods that raise it.
        ignores: the names of those that return at once, with None.
        in_child: called in the child with the thing and the error that its methods raise: to close the child's own
            copies of its files, say. It must not wait, take a lock or touch a library.
    """

    what: str
    error: type[EdgesegError]
    refuses: Sequence[str] = ()
    ignores: Sequence[str] = ("close",)
    in_child: Callable[[Any, EdgesegError], None] | None = None


_owned: dict[int, tuple[ref[Any], Owned]] = {}
"""By the thing's ``id``: a thing need not be one that can be hashed."""

_left: dict[int, Owned] = {}
"""In a child: what its parent had opened. These things live for ever, and so do their ``id``."""

_used: set[str] = set()
_used_by_parent: set[str] = set()
_is_registered = False


def stays_with_this_process(thing: object, owned: Owned) -> None:
    """Lets a forked child leave a thing alone.

    Args:
        thing: as it is about to open what it holds.
        owned: what becomes of it in a child.
    """
    number = id(thing)
    _owned[number] = ref(thing, lambda gone: _owned.pop(number, None)), owned
    _register()


def begins_to_use(library: str) -> None:
    """Notes that this process uses a library whose threads a forked child has not."""
    _used.add(library)
    _register()


def was_used_before_fork(library: str) -> bool:
    """Returns whether this is a forked child, and a parent of it had begun to use the library."""
    return library in _used_by_parent


def _register() -> None:
    global _is_registered
    if not _is_registered and hasattr(os, "register_at_fork"):
        _is_registered = True
        os.register_at_fork(after_in_child=_leave_all_alone)


def is_left_alone(thing: object) -> bool:
    """Returns whether this is a forked child, and the thing its parent's."""
    return id(thing) in _left


def refuse_in_child(thing: object) -> None:
    """Raises the thing's error where this is a forked child, and the thing its parent's."""
    owned = _left.get(id(thing))
    if owned is not None:
        raise _refusal(owned)


def in_this_process(function: Callable[..., object]) -> Callable[..., object]:
    """Makes a function that does nothing in a forked child, for what is called as something is collected."""
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
        # Never destroyed, also not as the interpreter ends: destructors wait for threads that are not there.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
        for name in owned.refuses:
            setattr(thing, name, partial(_refuse, owned))
        for name in owned.ignores:
            setattr(thing, name, _ignore)
        if owned.in_child is not None:
            owned.in_child(thing, _refusal(owned))


def _refusal(owned: Owned) -> EdgesegError:
    """Returns the error of a thing that is used in a forked child."""
    return owned.error(
        f"{owned.what} was opened before this process was forked; fork before it is opened, or start processes with"
        " spawn"
    )


def _refuse(owned: Owned, *arguments: object, **named: object) -> None:
    raise _refusal(owned)


def _ignore(*arguments: object, **named: object) -> None:
    return
