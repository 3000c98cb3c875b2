"""The types of the functions that long work calls to tell its caller something."""

from __future__ import annotations

from collections.abc import Callable

OnMessage = Callable[[str], None]
"""A function that is called with a line for the user."""
