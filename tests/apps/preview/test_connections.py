"""Shares of the table of connections, by addresses that no test can connect from, and by a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from edgeseg.apps.preview.allowance import Allowance
from edgeseg.apps.preview.connections import REQUEST_COST, Connections

PLACES = 48


class Transport:
    """A connection of an address: whether it is there, and whether it was cut."""

    def __init__(self, host: str, port: int) -> None:
        self.peer = (host, port, 0, 0) if ":" in host else (host, port)
        self.scope = {"client": (host, port)}
        self.cut = False

    def get_extra_info(self, name: str) -> Any:
        return self.peer if name == "peername" else self

    def fileno(self) -> int:
        return -1 if self.cut else 7

    def setsockopt(self, *words: object) -> None:
        pass

    def abort(self) -> None:
        self.cut = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``clock(seconds)``: lets them pass."""
    at = [100.0]

    def passes(seconds: float) -> None:
        at[0] += seconds

    for name in ("allowance", "connections"):
        module = SimpleNamespace(monotonic=lambda: at[0])
        monkeypatch.setattr(f"edgeseg.apps.preview.{name}.time", module)
    return passes


@pytest.fixture
def connections(clock: Callable[[float], None]) -> Connections:
    return Connections(viewers=0)


def opened(connections: Connections, host: str, count: int = 1, first_port: int = 1000) -> list[Transport]:
    made = [Transport(host, first_port + number) for number in range(count)]
    for transport in made:
        connections.add(transport)  # type: ignore[arg-type]
    return made


def test_whoever_has_most_loses_the_one_that_waited_longest(
    connections: Connections, clock: Callable[[float], None]
) -> None:
    honest = opened(connections, "10.0.0.1", 2)
    clock(1)
    greedy = opened(connections, "10.0.0.2", 200)
    assert [each.cut for each in honest] == [False, False]
    assert sum(not each.cut for each in greedy) == PLACES - 2
    assert not any(each.cut for each in greedy[-(PLACES - 2) :])
    late = opened(connections, "10.0.0.3")
    assert not late[0].cut
    assert sum(not each.cut for each in greedy) == PLACES - 3


def test_what_is_being_answered_stays(connections: Connections) -> None:
    busy = opened(connections, "10.0.0.2", 5)
    for each in busy:
        connections.begin(each.scope)
    opened(connections, "10.0.0.2", 100, 3000)
    assert not any(each.cut for each in busy)
    connections.end(busy[0].scope)
    opened(connections, "10.0.0.2", PLACES, 5000)
    assert [each.cut for each in busy] == [True, False, False, False, False]


def test_where_all_are_being_answered_one_more_is_cut(connections: Connections) -> None:
    for each in opened(connections, "10.0.0.2", PLACES):
        connections.begin(each.scope)
    assert opened(connections, "127.0.0.1")[0].cut


def test_this_machine_always_gets_in_and_goes_last(connections: Connections) -> None:
    local = opened(connections, "127.0.0.1", 3)
    for number in range(200):  # each from an address of its own
        opened(connections, f"10.0.{number}.1")
    assert not any(each.cut for each in local)
    assert not opened(connections, "::1")[0].cut


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:2"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_a_host_has_one_share_by_whichever_address(
    connections: Connections, clock: Callable[[float], None], one: str, other: str
) -> None:
    first = opened(connections, one, PLACES // 2 + 1)
    clock(1)
    opened(connections, "10.9.9.9", PLACES // 2 - 2)
    opened(connections, other)
    assert not any(each.cut for each in first)
    opened(connections, "10.9.9.8")
    assert first[0].cut


def test_one_address_connects_no_faster_than_its_allowance(
    connections: Connections, clock: Callable[[float], None]
) -> None:
    def admitted(host: str) -> int:
        return sum(connections.admits((host, port)) for port in range(1000))

    burst = admitted("10.0.0.2")
    assert burst == 128
    assert admitted("10.0.0.3") == burst
    assert admitted("127.0.0.1") == 1000
    clock(1)
    assert admitted("10.0.0.2") == burst / 4
    clock(60)
    connections.sweep()
    assert connections.addresses == 0


def test_all_connections_of_an_address_share_what_it_may_ask(connections: Connections) -> None:
    few, many = opened(connections, "10.0.0.2", 2), opened(connections, "127.0.0.1", 2)
    for transports, requests in ((few, 256), (many, 1000)):
        spent = sum(
            connections.spend(transports[0], REQUEST_COST) + connections.spend(transports[1], REQUEST_COST)  # type: ignore[arg-type]
            for _ in range(500)
        )
        assert spent == min(requests, 2 * 128)


def test_one_that_says_nothing_is_cut_in_time(
    connections: Connections, clock: Callable[[float], None]
) -> None:
    idle, busy = opened(connections, "10.0.0.2", 2)
    connections.begin(busy.scope)
    clock(7)
    connections.sweep()
    assert not idle.cut
    clock(2)
    connections.sweep()
    assert (idle.cut, busy.cut) == (True, False)


def test_an_allowance_comes_back_with_time_and_is_never_more_than_it_was(
    clock: Callable[[float], None],
) -> None:
    allowance = Allowance(a_second=10, most=20)
    assert allowance.full
    assert allowance.spend(20)
    assert not allowance.spend(1)
    clock(0.5)
    assert allowance.spend(5)
    assert not allowance.spend(1)
    clock(100)
    assert allowance.full
    assert not allowance.spend(21)
    assert allowance.spend(20)
