"""The value of --mavlink: what it may be, and one line for what it may not."""

from __future__ import annotations

import pytest
from edgeseg.core.errors import UsageError
from edgeseg.embedding.mavlink.address import LinkAddress, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udpout:127.0.0.1:14550", LinkAddress("udpout", "127.0.0.1", 14550)),
        ("udpin:0.0.0.0:14540", LinkAddress("udpin", "0.0.0.0", 14540)),
        ("udpout:[::1]:14550", LinkAddress("udpout", "::1", 14550)),
        ("serial:/dev/ttyTHS1?baud=921600", LinkAddress("serial", device="/dev/ttyTHS1", baud=921600)),
        ("serial:/dev/ttyACM0", LinkAddress("serial", device="/dev/ttyACM0", baud=57600)),
    ],
)
def test_the_three_forms(text: str, expected: LinkAddress) -> None:
    address = parse_address(text)
    assert address == expected
    assert parse_address(address.name) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("udp:127.0.0.1:14550", "expected udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE"),
        ("tcp:127.0.0.1:5760", "expected udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE"),
        ("udpout:127.0.0.1", "expected udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE"),
        ("serial:ttyACM0", "expected udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE"),
        ("", "expected udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE"),
        ("udpout:127.0.0.1:0", "expected a port from 1 to 65535"),
        ("udpin:127.0.0.1:70000", "expected a port from 1 to 65535"),
        ("serial:/dev/x?parity=1", "a serial port has the option baud alone, such as ?baud=921600"),
        ("serial:/dev/x?921600", "a serial port has the option baud alone, such as ?baud=921600"),
    ],
)
def test_what_is_no_address_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert str(caught.value) == f"--mavlink {text}: {message}"


@pytest.mark.parametrize("baud", ["1", "57601", "fast", "", "-9600"])
def test_a_rate_that_no_port_has(baud: str) -> None:
    with pytest.raises(UsageError, match=r"expected a baud rate of 9600, 19200, .*, 921600, "):
        parse_address(f"serial:/dev/x?baud={baud}")
