"""Parsing of a network's options on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..core.errors import UsageError


def parse_options(pairs: Sequence[str]) -> dict[str, object]:
    """Reads ``KEY=VALUE`` pairs; a value is JSON (``3``, ``true``, ``0.5``) if it parses, else plain text.

    Raises:
        UsageError: a pair has no ``=``, or a key is repeated.
    """
    options: dict[str, object] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--option {pair}: expected KEY=VALUE, such as --option width=32")
        if key in options:
            raise UsageError(f"--option {key} is given twice")
        try:
            options[key] = json.loads(text)
        except ValueError:
            options[key] = text
    return options
