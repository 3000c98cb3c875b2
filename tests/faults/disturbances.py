"""The disturbances of a soak: one fault at a time, drawn from a seed, and the reasons that are allowed meanwhile."""

from __future__ import annotations

import random
import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgeseg.runtime.reasons import (
    BACKEND_FAILED,
    CORRUPT,
    DARK,
    FROZEN,
    NOT_FINITE,
    RESOLUTION_CHANGED,
    SATURATED,
    SOURCE_LOST,
    STALE,
)

from .live_run import LiveRun
from .preview import never_reading
from .saboteur import INFER_NAN, INFER_RAISES, INFER_SLOW, SINK_SLOW

_LOST_BACK_S = 16.0
"""The longest pause before a lost source is opened again, 10 s and half of it more, and its opening."""

_FULL_BYTES = 4096
_SMALL_HW, _LARGE_HW = (360, 480), (480, 640)


@dataclass(frozen=True)
class Disturbance:
    """A fault of a soak.

    Attributes:
        name: for display.
        begin, end: of it.
        reasons: that a result may be not valid for, meanwhile.
        tells: whether no result may be valid meanwhile, once ``within_s`` have passed.
        within_s: beside ``--max-age`` and two heartbeats, until it must have been reported.
        back_s: after its end, until results must be valid again.
        shortest_s, longest_s: how long it goes on.
    """

    name: str
    begin: Callable[[], object]
    end: Callable[[], object] = lambda: None
    reasons: Sequence[str] = ()
    tells: bool = True
    within_s: float = 0.0
    back_s: float = 1.0
    shortest_s: float = 2.0
    longest_s: float = 5.0


@dataclass
class Happening:
    """A disturbance that has been.

    Attributes:
        what: it is.
        began_at, ended_at: ``edgeseg.now()`` in seconds.
    """

    what: Disturbance
    began_at: float
    ended_at: float = field(default=float("inf"))


def drawn(disturbances: Sequence[Disturbance], generator: random.Random) -> Iterator[Disturbance]:
    """All of them in random order, then again in another, without end: none comes much more often than another."""
    while True:
        yield from generator.sample(disturbances, len(disturbances))


def disturbances(
    server: Any, live_run: LiveRun, port: int, frozen_after_s: float, max_age_s: float
) -> list[Disturbance]:
    """The disturbances of a run over an MJPEG server, with masks and a preview page.

    Args:
        server: that it watches.
        live_run: sabotaged.
        port: of its page.
        frozen_after_s, max_age_s: that it was given.
    """
    switches = live_run.switches

    def showing(image: str) -> Callable[[], object]:
        return lambda: setattr(server, "image", image)

    def setting(name: str, value: Any) -> Callable[[], object]:
        return lambda: setattr(server, name, value)

    def dropping(name: str, value: Any) -> Callable[[], object]:
        def drop() -> None:
            setattr(server, name, value)
            server.drop()

        return drop

    def another_size() -> None:
        server.size_hw = _SMALL_HW if server.size_hw == _LARGE_HW else _LARGE_HW

    lost = partial(Disturbance, reasons=(SOURCE_LOST, STALE), back_s=_LOST_BACK_S)
    stuck = _StuckClients(port)
    return [
        lost("connection dropped", server.drop, tells=False, shortest_s=0.1, longest_s=0.2),
        lost("server gone", server.stop, server.start),
        lost("server answers 401", dropping("user_password", "joe:other"), setting("user_password", None)),
        lost("server stalls", setting("stall", True), setting("stall", False)),
        lost("server mute", dropping("mute", True), setting("mute", False)),
        Disturbance("black images", showing("black"), showing("moving"), (DARK,)),
        Disturbance("white images", showing("white"), showing("moving"), (SATURATED,)),
        Disturbance(
            "one image repeated",
            showing("still"),
            showing("moving"),
            (FROZEN,),
            within_s=frozen_after_s,
            shortest_s=frozen_after_s + max_age_s + 1.0,
            longest_s=frozen_after_s + max_age_s + 3.0,
        ),
        Disturbance("truncated images", setting("truncate", 1), setting("truncate", 0), (CORRUPT,)),
        Disturbance(
            "every third image truncated",
            setting("truncate", 3),
            setting("truncate", 0),
            (CORRUPT,),
            tells=False,
        ),
        Disturbance(
            "another size",
            another_size,
            reasons=(RESOLUTION_CHANGED,),
            tells=False,
            shortest_s=0.1,
            longest_s=0.2,
        ),
        Disturbance(
            "slow network",
            lambda: switches.on(INFER_SLOW, 1.5 * max_age_s),
            lambda: switches.off(INFER_SLOW),
            (STALE,),
            within_s=max_age_s,
            back_s=2 * max_age_s + 1.0,
        ),
        Disturbance(
            "logits of NaN", lambda: switches.on(INFER_NAN), lambda: switches.off(INFER_NAN), (NOT_FINITE,)
        ),
        # The network may be opened again five times in a minute; more would end the run, as it should.
        Disturbance(
            "inference raises",
            lambda: switches.on(INFER_RAISES),
            lambda: switches.off(INFER_RAISES),
            (BACKEND_FAILED, STALE),
            shortest_s=0.2,
            longest_s=0.3,
            tells=False,
            back_s=4.0,
        ),
        Disturbance(
            "slow masks", lambda: switches.on(SINK_SLOW, 0.4), lambda: switches.off(SINK_SLOW), tells=False
        ),
        Disturbance("four clients that never read", stuck.come, stuck.go, tells=False),
    ]


def full_disk(live_run: LiveRun) -> Disturbance:
    """No file of the run may grow any more. What was being written is given up, so this comes last."""
    _, hard = resource.prlimit(live_run.process.pid, resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.prlimit(live_run.process.pid, resource.RLIMIT_FSIZE, (_FULL_BYTES, hard))

    return Disturbance("disk full", fill, tells=False, shortest_s=3.0, longest_s=3.0)


class _StuckClients:
    """Four viewers that ask and never read."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []

    def come(self) -> None:
        paths = ("/live", "/live", "/stream.mjpg", "/stream.mjpg")
        self._sockets = [never_reading(self._port, path=path) for path in paths]

    def go(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets = []
