"""Checks of the options of networks. Options come from command lines and files, so they may be of any type."""

from __future__ import annotations

from collections.abc import Collection

from ..core.errors import ModelError

_LARGEST = 1 << 24
"""Larger than any count in a network; larger numbers overflow in PyTorch, with errors of several lines."""


def check_whole(network: str, name: str, value: object, largest: int = _LARGEST) -> None:
    """Raises ``ModelError`` unless the value is an ``int`` from 1 to ``largest``."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 1 <= value <= largest:  # type: ignore[operator]
        limits = "of at least 1" if largest == _LARGEST else f"from 1 to {largest}"
        raise ModelError(f"{network} was given {name} {value!r}; expected a whole number {limits}")


def check_bool(network: str, name: str, value: object) -> None:
    """Raises ``ModelError`` unless the value is a ``bool``."""
    if not isinstance(value, bool):
        raise ModelError(f"{network} was given {name} {value!r}; expected true or false")


def check_choice(network: str, name: str, value: object, choices: Collection[str]) -> None:
    """Raises ``ModelError`` unless the value is one of the choices, which the message lists."""
    if not isinstance(value, str) or value not in choices:
        raise ModelError(f"{network} was given {name} {value!r}; expected one of {', '.join(choices)}")
