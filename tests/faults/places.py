"""The suite's folder, and the environment of the processes that it starts."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout."""


def environment(unset: tuple[str, ...] = (), **more: str) -> dict[str, str]:
    """This process's own environment, in which the suite is the package ``faults``.

    Args:
        unset: variables that are left out.
        more: variables that are added.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), inherited.get("PYTHONPATH", ""))))
    return {**inherited, "PYTHONPATH": path, **more}
