"""A diagnosis of a probe: one fact about the machine, and the commands that correct it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["ok", "note", "missing", "problem"]
Fact: TypeAlias = "str | int | float | bool | list[str] | None"


@dataclass(frozen=True)
class Diagnosis:
    """One fact about the machine.

    Attributes:
        key: stable name for scripts, ``section.thing``.
        label: its name for a reader; 15 characters at most.
        status: ``ok``; ``note``: information, with nothing to correct; ``missing``: can be installed;
            ``problem``: present, and broken or harmful.
        text: the fact, without users' names or paths.
        needed_for: the functions that do not work without it.
        fix: the commands to type, in order.
        facts: the same as values, for scripts.
        quiet: left out on the terminal, because it is of no use to this machine's owner.
    """

    key: str
    label: str
    status: Severity
    text: str
    needed_for: str = ""
    fix: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    quiet: bool = False


def release(version: str) -> tuple[int, ...]:
    """The numbers at a version's start: ``(10, 3, 0)`` of ``10.3.0.30+cuda12``; empty if there are none.

    Does not use ``packaging.version``: the doctor has to work without that package.
    """
    numbers: list[int] = []
    for part in version.strip().split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def gibibytes(count: float) -> str:
    """A number of bytes for a reader, such as ``7.4 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
