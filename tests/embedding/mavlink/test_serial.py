"""A serial link, with a pseudo terminal in place of the port."""

from __future__ import annotations

import logging
import os
import pty
import select
import termios
import time
import tty
from pathlib import Path

import pytest
from edgeseg.core.errors import OutputError
from edgeseg.embedding.mavlink.address import parse_address
from edgeseg.embedding.mavlink.link import MavlinkLink, MavlinkOptions
from edgeseg.embedding.mavlink.serial_port import SerialTransport

from .autopilot import dialect, wait_for


class Port:
    """A serial port that can be unplugged, at a path that stays the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug_in()

    def plug_in(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(self.master)
        os.set_blocking(self.master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self.master)

    def heartbeats(self) -> list[object]:
        """The messages that the other end has sent by now."""
        if not select.select([self.master], [], [], 0.05)[0]:
            return []
        try:
            return dialect().MAVLink(None).parse_buffer(os.read(self.master, 4096)) or []
        except OSError:
            return []  # nobody has the port open

    def tell(self, *pieces: slice) -> None:
        """Sends an autopilot's heartbeat, whole or in pieces."""
        packet = bytes(
            dialect().MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(dialect().MAVLink(None, 5, 1))
        )
        for piece in pieces or (slice(None),):
            os.write(self.master, packet[piece])
            time.sleep(0.02)


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path / "ttyX")


def options(path: Path) -> MavlinkOptions:
    return MavlinkOptions(parse_address(f"serial:{path}?baud=921600"))


def test_messages_go_both_ways_also_in_pieces(port: Port) -> None:
    with MavlinkLink(options(port.path)) as link:
        wait_for(port.heartbeats)
        port.tell(slice(0, 3), slice(3, 11), slice(11, None))
        wait_for(lambda: link.status.system == 5)
        speeds = termios.tcgetattr(port.master)[4:6]
        assert speeds == [termios.B921600] * 2


def test_a_port_that_is_unplugged_is_used_again_when_it_is_back(
    port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), MavlinkLink(options(port.path)) as link:
        port.tell()
        wait_for(lambda: link.status.system == 5)
        port.unplug()
        wait_for(lambda: link.status.problem)
        assert "No way to the autopilot by serial:" in caplog.text
        port.plug_in()
        wait_for(port.heartbeats)
        port.tell()
        wait_for(lambda: not link.status.problem)


def test_a_port_that_nobody_empties_loses_whole_messages(port: Port) -> None:
    transport = SerialTransport(parse_address(f"serial:{port.path}"))
    packet = bytes(dialect().MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(dialect().MAVLink(None, 5, 1)))
    went = [transport.send(packet) for _ in range(3000)]
    assert went[0]
    assert not went[-1]
    got = b""
    while select.select([port.master], [], [], 0.2)[0]:
        got += os.read(port.master, 4096)
        transport.maintain()
    transport.close()
    assert got == packet * sum(went)


def test_what_has_queued_up_is_dropped(port: Port) -> None:
    transport = SerialTransport(parse_address(f"serial:{port.path}"))
    os.write(port.master, b"old")
    assert select.select([transport.fileno()], [], [], 5)[0]
    transport.discard()
    assert transport.receive() is None
    os.write(port.master, b"new")
    assert select.select([transport.fileno()], [], [], 5)[0]
    assert transport.receive() == (b"new", None)
    transport.close()


def test_a_port_has_one_user(port: Port) -> None:
    transport = SerialTransport(parse_address(f"serial:{port.path}"))
    with pytest.raises(OutputError) as caught:
        SerialTransport(parse_address(f"serial:{port.path}"))
    transport.close()
    assert str(caught.value) == (
        f"--mavlink serial:{port.path}?baud=57600: another program has this port; end it first"
    )


def test_what_is_no_port_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^--mavlink serial:/\S+\?baud=57600: No such file or directory$"):
        SerialTransport(parse_address(f"serial:{tmp_path / 'none'}"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"/file is not a serial port$"):
        SerialTransport(parse_address(f"serial:{tmp_path / 'file'}"))
