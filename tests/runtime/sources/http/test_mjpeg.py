"""MJPEG over HTTP from a real server: what it may do wrong, and what is made of it."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from edgeseg.core.errors import SourceError
from edgeseg.core.images.bounds import PixelBudget
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.http import connection, mjpeg
from edgeseg.runtime.sources.http.body import HttpBody
from edgeseg.runtime.sources.http.digest import digest_answer
from edgeseg.runtime.sources.http.resolve import resolve
from edgeseg.runtime.sources.live import Interrupted, Interruption, LiveOptions, LiveSource
from edgeseg.runtime.sources.uri import parse

pytestmark = pytest.mark.timeout(60)
QUICK = LiveOptions(open_timeout_s=20, read_timeout_s=10, first_pause_s=0.02, most_pause_s=0.1)
SOON = LiveOptions(open_timeout_s=1, read_timeout_s=1, first_pause_s=0.02)


def read_until(source: LiveSource, wanted: object, most: int = 300) -> np.ndarray:
    """Reads until ``wanted(source, frame)`` holds."""
    for _ in range(most):
        frame = source.read()
        assert frame is not None
        if wanted(source, frame):
            return frame
    raise AssertionError("it never came")


@pytest.mark.parametrize(("length", "chunked"), [(True, False), (False, False), (True, True), (False, True)])
def test_frames_come_as_they_were_sent(mjpeg_server: Any, length: bool, chunked: bool) -> None:
    mjpeg_server.with_length, mjpeg_server.chunked = length, chunked
    with open_source(mjpeg_server.url, QUICK) as source:
        for _ in range(5):
            assert source.read().shape == (48, 64, 3)
            assert source.frame_fault == ""
        assert len(set(np.unique(source.read() // 8))) <= 12


def test_a_dropped_connection_comes_back_by_itself(mjpeg_server: Any) -> None:
    with open_source(mjpeg_server.url, QUICK) as source:
        source.read()
        mjpeg_server.drop()
        read_until(source, lambda source, frame: source.reconnects == 1)
        mjpeg_server.drop()
        read_until(source, lambda source, frame: source.reconnects == 2)


def test_a_server_that_restarts_is_waited_for(mjpeg_server: Any) -> None:
    with open_source(mjpeg_server.url, QUICK) as source:
        source.read()
        mjpeg_server.stop()
        threading.Timer(0.3, mjpeg_server.start).start()
        read_until(source, lambda source, frame: source.reconnects == 1)


def test_a_server_that_stalls_is_lost_after_the_read_timeout(
    mjpeg_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with open_source(mjpeg_server.url, SOON) as source:
        source.read()
        mjpeg_server.stall = True
        threading.Timer(2, setattr, (mjpeg_server, "stall", False)).start()
        read_until(source, lambda source, frame: source.reconnects > 0)
    assert "no whole frame came within 1 s" in caplog.text


def test_a_server_that_lets_everyone_in_and_sends_nothing_is_given_up(
    mjpeg_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    options = LiveOptions(open_timeout_s=20, read_timeout_s=0.3, give_up_after_s=1.5, first_pause_s=0.02)
    with open_source(mjpeg_server.url, options) as source:
        source.read()
        mjpeg_server.stall = True
        with pytest.raises(
            SourceError, match=r"has been gone for 1\.5 s, and is given up: no whole frame came"
        ):
            read_until(source, lambda source, frame: False)
        assert (source.connected, source.reconnects) == (False, 0)
    assert mjpeg_server.connections > 2
    assert [record.event for record in caplog.records] == ["source-lost"]


@pytest.mark.parametrize("length", [True, False])
def test_bytes_that_trickle_in_are_no_frame(length: bool) -> None:
    """A server that sends a byte now and then keeps any read alive, but no frame."""
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(4096)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n"
            client.sendall(head + (b"Content-Length: 9999\r\n\r\n" if length else b"\r\n"))
            try:
                while True:
                    client.sendall(b"x")
                    time.sleep(0.02)
            except OSError:
                pass

    with listener:
        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        uri = parse(url)
        source = mjpeg.MjpegSource(uri, SOON, Interruption())
        with source, pytest.raises(SourceError, match="no whole frame came within 1 s"):
            source.read()


def test_images_without_their_end_are_corrupt_and_still_frames(mjpeg_server: Any) -> None:
    mjpeg_server.truncate = 2
    with open_source(mjpeg_server.url, QUICK) as source:
        faults = []
        for _ in range(12):
            frame = source.read()
            assert frame.shape == (48, 64, 3)
            faults.append(source.frame_fault)
    assert set(faults) == {"", "corrupt"}
    assert source.reconnects == 0


def test_rubbish_in_place_of_images_is_corrupt_once_there_was_a_frame(mjpeg_server: Any) -> None:
    with open_source(mjpeg_server.url, SOON) as source:
        source.read()
        mjpeg_server.part = lambda number: b"no image at all" * 9
        frame = read_until(source, lambda source, frame: source.frame_fault == "corrupt")
        assert frame.shape == (48, 64, 3)
        assert not frame.any()
    first = mjpeg.MjpegSource(parse(mjpeg_server.url), SOON, Interruption())
    with first, pytest.raises(SourceError, match=r"no whole frame|sends no images that can be decoded"):
        first.read()


def scene(number: int, size_hw: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*size_hw, 3), np.uint8)


def forged(size_hw: tuple[int, int], padding: int = 0) -> bytes:
    """A small image whose head claims another size, and as many bytes more as are wanted."""
    data = cv2.imencode(".jpg", scene(0, (120, 160)))[1].tobytes()
    at = data.index(b"\xff\xc0") + 5
    size = b"".join(side.to_bytes(2, "big") for side in size_hw)
    return data[:at] + size + data[at + 4 : -2] + bytes(padding) + data[-2:]


@pytest.mark.parametrize(
    ("side", "padding", "message"),
    [
        (
            65520,
            0,
            r"sends no images that can be decoded: its head claims 65520 x 65520 pixels, which \d+ bytes cannot hold",
        ),
        (9000, 400_000, "sends an image of 9000 x 9000 pixels, more than 67108864"),
    ],
)
def test_a_size_that_no_image_has_is_refused_before_it_is_decoded(
    mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch, side: int, padding: int, message: str
) -> None:
    data = forged((side, side), padding)
    mjpeg_server.part = lambda number: data
    decoded: list[object] = []
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *args, **options: decoded.append(args))
    source = mjpeg.MjpegSource(parse(mjpeg_server.url), SOON, Interruption())
    with source, pytest.raises(SourceError, match=message):
        source.read()
    assert not decoded


def test_small_images_that_claim_to_be_large_are_corrupt_and_the_run_goes_on(mjpeg_server: Any) -> None:
    with open_source(mjpeg_server.url, QUICK) as source:
        source.read()
        mjpeg_server.part = lambda number: forged((16384, 16384))
        frame = read_until(source, lambda source, frame: source.frame_fault == "corrupt")
        assert frame.shape == (48, 64, 3)
        mjpeg_server.part = None
        read_until(source, lambda source, frame: source.frame_fault == "")
        assert source.reconnects == 0


def test_more_pixels_a_second_than_any_camera_sends_are_a_lost_source(
    mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # By a clock that stands still: three frames fit, and then no more.
    monkeypatch.setattr(mjpeg, "PixelBudget", lambda: PixelBudget(3 * 48 * 64, clock=lambda: 0.0))
    with open_source(mjpeg_server.url, QUICK) as source:
        read_until(source, lambda source, frame: source.reconnects == 2)
    assert "sends more than 1024 megapixels a second, more than any camera" in caplog.text


def test_images_that_were_cut_and_have_an_end_are_corrupt(mjpeg_server: Any) -> None:
    whole = [cv2.imencode(".jpg", scene(number, (48, 64)))[1].tobytes() for number in range(2)]
    cut = whole[1][: len(whole[1]) - 60] + b"\xff\xd9"
    assert cv2.imdecode(np.frombuffer(cut, np.uint8), cv2.IMREAD_COLOR) is not None
    mjpeg_server.part = lambda number: cut if number % 2 else whole[0]
    expected = {"": cv2.imdecode(np.frombuffer(whole[0], np.uint8), cv2.IMREAD_COLOR)}
    with open_source(mjpeg_server.url, QUICK) as source:
        for wanted in ("corrupt", "", "corrupt"):
            frame = read_until(source, lambda source, frame, wanted=wanted: source.frame_fault == wanted)
            assert frame.shape == (48, 64, 3)
            if wanted in expected:
                np.testing.assert_array_equal(frame, expected[wanted])


def test_images_of_a_form_that_is_not_read_are_named(mjpeg_server: Any) -> None:
    data = cv2.imencode(".jpg", scene(0, (48, 64)))[1].tobytes()
    at = data.index(b"\xff\xc0") + 4
    mjpeg_server.part = lambda number: data[:at] + b"\x0c" + data[at + 1 :]
    source = mjpeg.MjpegSource(parse(mjpeg_server.url), SOON, Interruption())
    with source, pytest.raises(SourceError, match="sends an image that is a JPEG of 12 bits a sample"):
        source.read()


def test_a_new_size_is_followed_and_said(mjpeg_server: Any) -> None:
    with open_source(mjpeg_server.url, QUICK) as source:
        source.read()
        mjpeg_server.size_hw = (60, 80)
        frame = read_until(source, lambda source, frame: source.frame_fault == "resolution-changed")
        assert frame.shape == (60, 80, 3)
        source.read()
        assert source.frame_fault == ""


@pytest.mark.parametrize("digest", [False, True])
def test_user_and_password_are_used_and_never_shown(
    mjpeg_server: Any, digest: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mjpeg_server.user_password, mjpeg_server.digest = "joe:ge heim", digest
    url = mjpeg_server.url.replace("//", "//joe:ge%20heim@") + "?key=geheim"
    with open_source(url, QUICK) as source:
        assert source.read() is not None
        assert source.name == mjpeg_server.url
    assert "GET /stream.mjpg?key=geheim HTTP/1.1" in mjpeg_server.requests[0]
    wrong = mjpeg_server.url.replace("//", "//joe:geheim@")
    with pytest.raises(
        SourceError, match=r"^http://[\d.:]+/stream\.mjpg answers 401: check user and password$"
    ):
        open_source(wrong, QUICK)
    with pytest.raises(
        SourceError, match="answers 401: check user and password; it wants a user and a password"
    ):
        open_source(mjpeg_server.url, QUICK)
    assert "geheim" not in caplog.text


def test_the_digest_of_the_standards_example() -> None:
    """RFC 2069, 2.4, with the response of its erratum; newer forms have a nonce that the client draws."""
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    answer = digest_answer(challenge, "GET", "/dir/index.html", "Mufasa", "CircleOfLife")
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in answer
    assert digest_answer(challenge + ", algorithm=SHA-512-256", "GET", "/", "a", "b") == ""
    assert "algorithm=SHA-256" in digest_answer(challenge + ", algorithm=SHA-256", "GET", "/", "a", "b")


def test_redirects_are_followed_but_not_away_from_http_and_not_with_the_password(mjpeg_server: Any) -> None:
    with type(mjpeg_server)() as first:
        first.status, first.location = 302, mjpeg_server.url
        with open_source(first.url.replace("//", "//joe:geheim@"), QUICK) as source:
            assert source.read() is not None
        mjpeg_server.user_password = "joe:geheim"
        with pytest.raises(SourceError, match="answers 401"):
            open_source(first.url.replace("//", "//joe:geheim@"), QUICK)
        assert "Authorization" not in "".join(mjpeg_server.requests)
        first.location = "file:///etc/passwd"
        with pytest.raises(SourceError, match="leads to file:///etc/passwd, which is no HTTP"):
            open_source(first.url, QUICK)
        first.location = first.url
        with pytest.raises(SourceError, match="more than 5 redirects"):
            open_source(first.url, QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"status": 503}, r"answers 503 \(Service Unavailable\)"),
        ({"status": 404}, r"answers 404 \(Not Found\)"),
        ({"content_type": "text/html"}, "sends text/html; expected an MJPEG stream"),
        ({"content_type": "multipart/x-mixed-replace"}, "sends multipart/x-mixed-replace; expected an MJPEG"),
        ({"refuse": True}, "the server ended the connection without an answer|the connection broke"),
        ({"mute": True}, "the server does not answer in time"),
    ],
)
def test_what_a_server_answers_instead_is_said(
    mjpeg_server: Any, settings: dict[str, Any], message: str
) -> None:
    for name, value in settings.items():
        setattr(mjpeg_server, name, value)
    with pytest.raises(SourceError, match=message):
        open_source(mjpeg_server.url, SOON)


def test_a_head_that_trickles_in_is_no_answer() -> None:
    """A server that sends a line now and then keeps any read alive, but does not answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        client, _ = listener.accept()
        with client, contextlib.suppress(OSError):  # the client has gone
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                client.sendall(b"A: b\r\n")
                time.sleep(0.02)

    with listener:
        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(SourceError, match="the server does not answer in time"):
            HttpBody(url, {}, 0.5, Interruption())


def test_an_opening_that_waits_ends_when_interrupted(mjpeg_server: Any) -> None:
    mjpeg_server.mute = True
    interruption = Interruption()
    threading.Timer(0.1, interruption.set).start()
    with pytest.raises(Interrupted):
        HttpBody(mjpeg_server.url, {}, 50, interruption)


def test_what_is_no_http_and_what_is_not_there() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def greet() -> None:
        client, _ = listener.accept()
        client.sendall(b"220 ready for mail\r\n\r\n")
        client.close()

    threading.Thread(target=greet, daemon=True).start()
    with listener, pytest.raises(SourceError, match="the server does not answer in HTTP"):
        open_source(f"http://127.0.0.1:{port}/", QUICK)
    with pytest.raises(SourceError, match=rf"cannot connect to 127\.0\.0\.1:{port}: Connection refused"):
        open_source(f"http://127.0.0.1:{port}/", QUICK)


def test_a_name_that_takes_too_long_to_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(30) and [])
    with pytest.raises(SourceError, match=r"the name cam\.local is not resolved in time"):
        resolve("cam.local", 80, time.monotonic() + 0.2, Interruption())
    released.set()


def test_an_unknown_name_and_one_that_is_none() -> None:
    for name in ("no-such-host.invalid", "a" * 80 + ".example"):
        with pytest.raises(SourceError, match="cannot resolve"):
            resolve(name, 80, time.monotonic() + 30, Interruption())


def test_the_second_address_is_tried_where_the_first_does_not_answer(
    mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    address = closed.getsockname()
    closed.close()
    addresses = [(socket.AF_INET, address), (socket.AF_INET, ("127.0.0.1", mjpeg_server.port))]
    monkeypatch.setattr(connection, "resolve", lambda *args: addresses)
    with open_source("http://cam.local/stream.mjpg", QUICK) as source:
        assert source.read() is not None


def test_certificates_are_checked(mjpeg_server: Any, tls_before: Any, tmp_path: Path) -> None:
    front = tls_before(mjpeg_server.port)
    url, certificate = f"https://{front.address}/stream.mjpg", front.certificate
    with pytest.raises(
        SourceError, match=r"certificate of localhost is not trusted \(self-signed certificate\)"
    ):
        open_source(url, QUICK)
    for fragment in (f"#ca={certificate}", "#verify=0"):
        with open_source(url + fragment, QUICK) as source:
            for _ in range(3):
                assert source.read() is not None
    with pytest.raises(SourceError, match=r"cannot read the certificates /none\.pem: No such file"):
        open_source(url + "#ca=/none.pem", QUICK)
    os.mkfifo(tmp_path / "pipe.pem")
    with pytest.raises(SourceError, match=r"cannot read the certificates .*pipe\.pem: it is a pipe"):
        open_source(f"{url}#ca={tmp_path / 'pipe.pem'}", QUICK)
