"""A fault, what came of it, and the catalogue of all."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeseg.core.errors import EdgesegError

if TYPE_CHECKING:
    from .bench import Bench

KINDS = (
    "sources",
    "links",
    "frames",
    "network",
    "outputs",
    "files",
    "process",
    "signals",
    "preview",
    "embedding",
)
"""The modules of the catalogue, in the order of the table."""


class UnexpectedOutcomeError(EdgesegError):
    """A run did not do what is expected of it under a fault."""

    exit_status = 1


class NotHereError(EdgesegError):
    """This machine lacks something that a fault needs."""


@dataclass(frozen=True)
class Outcome:
    """The behaviour of a run under a fault. The expectations have been checked.

    Attributes:
        observed: the reason that it gave, the exit status, what was kept; for display.
        told_seconds: from the fault until the run reported it, or ended; None if there is nothing to report.
        recovered_seconds: from the end of the fault until the next valid result; None where it does not come back.
    """

    observed: str
    told_seconds: float | None = None
    recovered_seconds: float | None = None


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: of the fault, unique.
        kind: its module.
        injected: how it is brought about.
        expected: what must come of it.
        run: brings it about, checks, and measures.
        slow: whether it takes more than some seconds.
    """

    name: str
    kind: str
    injected: str
    expected: str
    run: Callable[[Bench], Outcome]
    slow: bool = False


_FAULTS: dict[str, Fault] = {}


def fault(
    name: str, injected: str, expected: str, slow: bool = False
) -> Callable[[Callable[[Bench], Outcome]], Callable[[Bench], Outcome]]:
    """Adds a function to the catalogue.

    Args:
        name, injected, expected, slow: as :class:`Fault` has them.

    Raises:
        ValueError: the name is taken.
    """

    def add(run: Callable[[Bench], Outcome]) -> Callable[[Bench], Outcome]:
        if name in _FAULTS:
            raise ValueError(f"there are two faults called {name!r}")
        _FAULTS[name] = Fault(name, run.__module__.rpartition(".")[2], injected, expected, run, slow)
        return run

    return add


def catalogue() -> list[Fault]:
    """All faults, in the order of the table."""
    for kind in KINDS:
        importlib.import_module(f".{kind}", __package__)
    return sorted(_FAULTS.values(), key=lambda each: KINDS.index(each.kind))


def expect(condition: object, message: str) -> None:
    """Raises UnexpectedOutcomeError where a condition does not hold."""
    if not condition:
        raise UnexpectedOutcomeError(message)
