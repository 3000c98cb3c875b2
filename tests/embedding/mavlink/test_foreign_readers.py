"""Three readers that are not ours read what is sent: pymavlink's connection, MAVSDK, and mavgen's C code."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.embedding.mavlink.address import parse_address
from edgeseg.embedding.mavlink.landing_target import landing_target
from edgeseg.embedding.mavlink.link import MavlinkLink, MavlinkOptions
from edgeseg.embedding.mavlink.obstacle_distance import obstacle_distance
from edgeseg.embedding.mavlink.pacing import Message
from edgeseg.embedding.mavlink.sink import MavlinkSink

from .autopilot import Autopilot, dialect, free_port, wait_for
from .conftest import MakeOutput

KEY = bytes(range(7, 39))
OBSTACLES = obstacle_distance(
    np.radians(np.arange(-29.5, 30)), np.linspace(3, 25, 60), math.radians(1), 20.0, 12.5
)


class Obstacles:
    """Tells obstacles, whenever it is asked."""

    def is_valid(self) -> bool:
        return True

    def messages(self) -> list[Message]:
        return [("OBSTACLE_DISTANCE", OBSTACLES.fields)]

    def next_in(self) -> float:
        return math.inf


@contextmanager
def told(address: str, make: MakeOutput, key: bytes | None = None) -> Iterator[dict[str, Any]]:
    """A link that tells a spot and obstacles while this lasts; gives the fields of the newest spot."""
    stop = threading.Event()
    with MavlinkLink(MavlinkOptions(parse_address(address), key=key)) as link:
        sink = MavlinkSink(link)
        link.add(Obstacles())

        def tell() -> None:
            while not stop.wait(0.05):
                sink.write(make())

        made = landing_target(make().result.findings["landing"], "ardupilot")
        assert made is not None
        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield dict(made.fields)
        finally:
            stop.set()
            thread.join()


def same(read: Callable[[str], Any], target: dict[str, Any]) -> None:
    """Checks all fields of a target but its time, as there are several of one spot."""
    for name, value in target.items():
        if name != "time_usec":
            assert read(name) == pytest.approx(value, rel=1e-6), name


def test_pymavlink_s_own_connection_reads_it(landing: MakeOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    dialect()
    monkeypatch.setenv("MAVLINK20", "1")
    from pymavlink import mavutil

    port = free_port()
    connection = mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}", source_system=1, source_component=1)

    def receive(kind: str) -> Any:
        def come() -> Any:
            connection.mav.heartbeat_send(2, 3, 0, 0, 4)
            return connection.recv_match(type=kind, blocking=True, timeout=0.2)

        return wait_for(come, kind)

    with told(f"udpout:127.0.0.1:{port}", landing) as target:
        assert receive("HEARTBEAT").get_srcComponent() == 191
        read = receive("LANDING_TARGET")
        same(lambda name: getattr(read, name), target)
        obstacles = receive("OBSTACLE_DISTANCE")
        assert obstacles.distances == list(OBSTACLES.distances)
        assert (obstacles.frame, obstacles.max_distance) == (12, 2000)
    connection.close()


MAVSDK_READER = """
import json, sys, time
from mavsdk import ComponentType, Configuration, Mavsdk
from mavsdk.plugins.mavlink_direct import MavlinkDirect

sdk = Mavsdk(Configuration.create_with_component_type(ComponentType.AUTOPILOT))
sdk.add_any_connection(f"udpin://127.0.0.1:{sys.argv[1]}")
print("ready", flush=True)
until = time.monotonic() + 20
while not sdk.get_systems():
    assert time.monotonic() < until, "no heartbeat"
    time.sleep(0.02)
direct = MavlinkDirect(sdk.get_systems()[0])
read = {}
def take(message, _):
    read.setdefault(message.message_name, json.loads(message.fields_json))
for name in ("LANDING_TARGET", "OBSTACLE_DISTANCE"):
    direct.subscribe_message(name, take)
while len(read) < 2:
    assert time.monotonic() < until, sorted(read)
    time.sleep(0.02)
print(json.dumps(read), flush=True)
import os; os._exit(0)
"""


def test_mavsdk_reads_it(landing: MakeOutput) -> None:
    """In a process of its own: it is a C++ library with threads."""
    pytest.importorskip("mavsdk")
    dialect()
    port = free_port()
    command = [sys.executable, "-c", MAVSDK_READER, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        lines = iter(line for line in reader.stdout if line.startswith(("ready", "{")))
        assert next(lines) == "ready\n"
        with told(f"udpout:127.0.0.1:{port}", landing) as target:
            read = json.loads(next(lines))
        assert reader.wait(20) == 0
    same(read["LANDING_TARGET"].__getitem__, target)
    assert read["OBSTACLE_DISTANCE"]["distances"] == list(OBSTACLES.distances)


@pytest.fixture(scope="module")
def c_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C reader, compiled with the headers that mavgen writes from the definitions in pymavlink's wheel."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("mavgen")
    definitions = Path(dialect().__file__).with_name("common.xml")
    subprocess.run(
        [
            sys.executable, "-m", "pymavlink.tools.mavgen", "--lang=C", "--wire-protocol=2.0", "--no-validate",
            f"--output={folder / 'include'}", str(definitions),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    program = folder / "reader"
    source = Path(__file__).with_name("reader.c")
    subprocess.run(
        ["gcc", "-O1", "-w", f"-I{folder / 'include'}", str(source), "-o", str(program)],
        check=True,
        timeout=120,
    )
    return program


def test_c_code_by_mavgen_reads_it(c_reader: Path, landing: MakeOutput) -> None:
    with Autopilot() as autopilot, told(f"udpout:127.0.0.1:{autopilot.port}", landing) as target:
        for kind in ("LANDING_TARGET", "OBSTACLE_DISTANCE", "STATUSTEXT", "HEARTBEAT", "COMMAND_LONG"):
            wait_for(lambda kind=kind: autopilot.of(kind), kind)
        data = b"".join(list(autopilot.datagrams))
    done = subprocess.run([c_reader], input=data, capture_output=True, check=True, timeout=60)
    lines: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        number, sender, *fields = line.split(" ")
        assert sender == "1.191"
        lines.setdefault(number, fields)
    numbers = [float(word) for word in lines["149"]]
    names = (
        "target_num", "frame", "angle_x", "angle_y", "distance", "size_x", "size_y", "x", "y", "z",
    )  # fmt: skip
    read: dict[str, Any] = dict(zip(names, numbers[1:11], strict=True))
    read |= {"q": tuple(numbers[11:15]), "type": numbers[15], "position_valid": numbers[16]}
    same(read.__getitem__, target)
    obstacles = [float(word) for word in lines["330"]]
    assert obstacles[:8] == [12_500_000, 4, 5, 1, 2000, 5, 0, 12]
    assert obstacles[8:] == list(OBSTACLES.distances)
    assert lines["0"][:2] == ["18", "8"]
    assert " ".join(lines["253"]) == "6 edgeseg: landing spot found"
    assert lines["76"] == ["1", "1", "511", "30", "40000"]


@pytest.mark.parametrize(("key", "taken"), [(KEY, True), (bytes(32), False)], ids=["its key", "another key"])
def test_c_code_by_mavgen_checks_the_signature(
    c_reader: Path, landing: MakeOutput, key: bytes, taken: bool
) -> None:
    with Autopilot(key=KEY) as autopilot, told(f"udpout:127.0.0.1:{autopilot.port}", landing, KEY):
        wait_for(lambda: autopilot.of("LANDING_TARGET"))
        data = b"".join(list(autopilot.datagrams))
    done = subprocess.run([c_reader, key.hex()], input=data, capture_output=True, check=True, timeout=60)
    assert (b"\n149 1.191 " in done.stdout) == taken
    assert taken or not done.stdout
