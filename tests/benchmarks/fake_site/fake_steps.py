"""Steps that misbehave, for the tests of what runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any


def hang(order: Any, note: Any) -> None:
    """Starts a child that never ends, tells its number, and does not end either."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note(child=child.pid)
    time.sleep(600)


def crash(order: Any, note: Any) -> None:
    """Dies as a library does that aborts."""
    note(came_so_far=True)
    print("the library says why", flush=True)
    os.abort()


def tell(order: Any, note: Any) -> None:
    """Ends well."""
    note(network=order.network)
