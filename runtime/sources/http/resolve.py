"""Host names looked up within a deadline. The system's own call may take half a minute and cannot be ended."""

from __future__ import annotations

import socket
import threading

from ....core.errors import SourceError
from ..live import Interruption

Address = tuple[int, tuple[object, ...]]


def resolve(host: str, port: int, until: float, interruption: Interruption) -> list[Address]:
    """The addresses of a host, each a family and what ``socket.connect`` takes.

    Args:
        until: a moment of ``time.monotonic()``.
        interruption: ends the wait; raises Interrupted.

    Raises:
        SourceError: the name is unknown, the answer takes too long, or it cannot even be asked for.
    """
    found: list[Address] = []
    problem: list[str] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append((int(family), tuple(address)))
        except (OSError, ValueError, OverflowError) as error:  # names that are none, ports that are none
            problem.append(getattr(error, "strerror", None) or "it is no host name")
        finally:
            done.set()

    # A lookup that outlives its deadline ends by itself later; nobody waits for it.
    try:
        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    except RuntimeError as error:  # memory or threads have run out, which may pass
        raise SourceError(f"cannot resolve {host}: {error}") from error
    if not interruption.wait_for(done, until):
        raise SourceError(f"the name {host} is not resolved in time; is the network up?")
    if problem or not found:
        raise SourceError(f"cannot resolve {host}: {problem[0] if problem else 'it has no address'}")
    return found
