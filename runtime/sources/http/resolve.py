"""The lookup of host names, with a deadline. The system's own call may take half a minute and cannot be ended."""

from __future__ import annotations

import socket
import threading

from ....core.errors import SourceError
from ..live import Interruption

Address = tuple[int, tuple[object, ...]]


def resolve(host: str, port: int, until: float, interruption: Interruption) -> list[Address]:
    """Returns the addresses of a host, each a family and an address for ``socket.connect``.

    Args:
        until: a moment of ``time.monotonic()``.
        interruption: ends the wait; raises Interrupted.

    Raises:
        SourceError: the name is unknown, the answer takes too long, or the lookup cannot start.
    """
    found: list[Address] = []
    problem: list[str] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append((int(family), tuple(address)))
        except (OSError, ValueError, OverflowError) as error:  # invalid names and ports
            problem.append(getattr(error, "strerror", None) or "it is no host name")
        finally:
            done.set()

    # After the deadline nobody waits for the lookup; it ends by itself later.
    try:
        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    except RuntimeError as error:  # memory or threads have run out, perhaps only for now
        raise SourceError(f"cannot resolve {host}: {error}") from error
    if not interruption.wait_for(done, until):
        raise SourceError(f"the name {host} is not resolved in time; is the network up?")
    if problem or not found:
        raise SourceError(f"cannot resolve {host}: {problem[0] if problem else 'it has no address'}")
    return found
