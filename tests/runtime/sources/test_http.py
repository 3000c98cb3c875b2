"""Whatever an HTTP server sends is data: what cannot be understood is said in one line, soon."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.http import connection
from edgeseg.runtime.sources.http.body import HttpBody
from edgeseg.runtime.sources.http.digest import digest_answer
from edgeseg.runtime.sources.http.mjpeg import MjpegSource
from edgeseg.runtime.sources.http.resolve import resolve
from edgeseg.runtime.sources.live import Interruption, LiveOptions
from edgeseg.runtime.sources.uri import parse
from hypothesis import given, settings
from hypothesis import strategies as st

SOON = LiveOptions(open_timeout_s=3, read_timeout_s=3, first_pause_s=0.01, most_pause_s=0.05)


class Answers:
    """A server that gives answers, one for each connection; the last again and again. All names lead to it."""

    def __init__(self) -> None:
        self.data: list[bytes] = [b""]
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def addresses(self) -> list[Any]:
        """The addresses that a lookup of any name finds."""
        return [(socket.AF_INET, self._listener.getsockname())]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # the end
                return
            with client:
                request = b""
                while not request.endswith(b"\r\n\r\n") and (more := client.recv(1 << 16)):
                    request += more
                if not request:  # the client has given up before it asked
                    continue
                self.requests.append(request)
                with contextlib.suppress(OSError):  # the client has heard enough
                    client.sendall(self.data.pop(0) if len(self.data) > 1 else self.data[0])


@contextlib.contextmanager
def answering() -> Iterator[Answers]:
    with Answers() as answers, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(connection, "resolve", lambda *args: answers.addresses)
        yield answers


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as answers:
        yield answers


def what_is_said(answers: Answers, *data: bytes, url: str = "http://joe:geheim@camera/") -> str:
    """The error, after it has been checked for what all must keep to."""
    answers.data = list(data)
    began_at = time.monotonic()
    with pytest.raises(SourceError) as caught:
        MjpegSource(parse(url), SOON, Interruption()).read()
    message = str(caught.value)
    # A busy machine may need longer than the 3 s of the deadline; what is quadratic in 64 kB takes much longer.
    assert time.monotonic() - began_at < 8
    assert message.isprintable()
    assert len(message) < 500
    assert "geheim" not in message
    return message


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (b"http://[", "leads to http://[, which is no address"),
        (b"http://[::1", "which is no address"),
        (b"http://[zz]/", "which is no address"),
        (b"http://camera:99999/", "leads to http://camera:99999/, which is no address"),
        (b":99999", "which is no HTTP|more than 5 redirects"),
        (b"http://camera:99999999999999999999/", "which is no address"),
        (b"http://camera:-1/", "which is no address"),
        (b"http://camera:0/", "which is no address"),
        (b"http://camera:x/", "which is no address"),
        (b"http://camera:\xb2/", "which is no address"),
        (b"http://a\x00b/", "which is no address"),
        (b"http://a b/", "which is no address"),
        (b"http://\xe2\x84\x80.example/", "which is no address|is no host name"),
        (b"http://" + b"a" * 70 + b".\xe4\xe4/", "is no host name"),
        (b"http://" + b"\xe4" * 70 + b"/", "is no host name"),
        (b"http:///path", "more than 5 redirects"),
        (b"http://", "more than 5 redirects"),
        (b"ftp://camera/", "leads to ftp://camera/, which is no HTTP"),
        (b"file:///etc/passwd", "leads to file:///etc/passwd, which is no HTTP"),
        (b"javascript:\x1b[31mhi\x07", r"leads to javascript:\x1b[31mhi\x07, which is no HTTP"),
        (b"gopher://you:geheim@camera/?key=geheim", "leads to gopher://camera/"),
        (b"//[", "which is no address"),
        (b"://" * 15_000, "leads to an address of 45000 bytes, which is no address"),
        (b"x:/" * 1_000, "which is no HTTP"),
        (b"/" + b"a" * 3000, "more than 5 redirects"),
        (b"/a\x0bb c\x7f\xff", "more than 5 redirects"),
    ],
)
def test_a_redirect_that_leads_nowhere(answers: Answers, location: bytes, message: str) -> None:
    said = what_is_said(answers, b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % location)
    assert any(words in said for words in message.split("|")), said
    for request in answers.requests:
        head = request.split(b"\r\n")
        assert len(head[0].split(b" ")) == 3, "a blank of the server's would split the request's line"
        assert request.isascii()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the server ended the connection without an answer"),
        (b"\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 2000000 OK\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 -200 OK\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 000 \x1b[31m\r\n\r\n", "answers 0 (an unknown status)"),
        (b"HTTP/1.1 999 \x1b[31m\r\n\r\n", "answers 999 (an unknown status)"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "answers 302 (Found)"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "answers 100 (Continue)"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n", "cannot be read: got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\n" + b"A" * 70_000 + b"\r\n\r\n", "has no end of its head"),
        (b"HTTP/1.1 200 OK\r\n: \r\n:::\r\n\x00\r\n \r\n\r\n", "expected an MJPEG stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: \r\n\r\n", "expected an MJPEG stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: a/b\x1b[31m\x07\r\n\r\n", r"sends a/b\x1b[31m\x07; expected an MJPEG"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: " + b'"\\;' * 20_000 + b"\r\n\r\n", "expected an MJPEG stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: " + b"a/" * 400 + b"\r\n\r\n", "expected an MJPEG stream"),
        (STREAM.replace(b"boundary=b", b"boundary*=x'y"), "expected an MJPEG stream"),
        (STREAM.replace(b"boundary=b", b"boundary*=no-such-code''b"), "expected an MJPEG stream"),
        (STREAM.replace(b"boundary=b", b"boundary*0*=a''b; boundary*x*=%zz"), "expected an MJPEG stream"),
        (STREAM.replace(b"boundary=b", b'boundary=""'), "expected an MJPEG stream"),
        (STREAM, "the server ended the stream"),
        (STREAM + b"--b--", "the server ended the stream"),
        (STREAM + b"--b\r\nContent-Length: 999999999999\r\n\r\n", "more than 64 MiB"),
        (STREAM + b"--b\r\nContent-Length: 99999999999999999999\r\n\r\nx", "the server ended the stream"),
        (STREAM + b"--b\r\nContent-Length: -1\r\n\r\nx", "the server ended the stream"),
        (STREAM + b"--b\r\nContent-Length: 0\r\n\r\n" * 9, "the server ended the stream"),
        (STREAM + b"--b\r\n" + b"A: b\r\n" * 9000, "the head of a part of the stream has no end"),
        (STREAM + b"--b\r\nX-Timestamp: 9e999\r\nDate: \x00\r\n\r\n\xff\xd8\xff\xd9", "the server ended the stream"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_understood(answers: Answers, data: bytes, message: str) -> None:
    said = what_is_said(answers, data)
    assert any(words in said for words in message.split("|")), said


CHUNKED = STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (b"zz\r\n", "chunks without their sizes"),
        (b"-5\r\n", "chunks without their sizes"),
        (b"0x5\r\n", "chunks without their sizes"),
        (b"fffffffff\r\n", "chunks without their sizes"),
        (b"5" * 70_000, "chunks without their sizes"),
        (b"5;" + b"x" * 70_000, "chunks without their sizes"),
        (b"0\r\n\r\n", "the server ended the stream"),
        (b"ffffffff\r\n--b", "the server ended the stream"),
        (b"\x1b[31m\r\n", "chunks without their sizes"),
    ],
)
def test_chunks_that_are_none(answers: Answers, chunks: bytes, message: str) -> None:
    assert message in what_is_said(answers, CHUNKED + chunks)


KIND = b"Content-Type: multipart/x-mixed-replace; boundary=b\r\n"
JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8))[1].tobytes()
PART = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(JPEG), JPEG)


def images_of(answers: Answers) -> int:
    """Counts the images of a stream, those included that were skipped for newer ones."""
    source, shapes = MjpegSource(parse("http://camera/"), SOON, Interruption()), []

    def read_all() -> None:
        while (frame := source.read()) is not None:
            shapes.append(frame.shape)

    with pytest.raises(SourceError, match="the server ended the stream"):
        read_all()
    assert set(shapes) == {(16, 24, 3)}
    return len(shapes) + source.dropped


@pytest.mark.parametrize(
    "head",
    [
        # The HTTP server of many cheap cameras: github.com/home-assistant/core/issues/14960
        b"Server: GoaHead\r\nTue, 12 Jun 2012 01:56:34 GMT\r\n" + KIND,
        b"Tue, 12 Jun 2012 01:56:34 GMT\r\n ; boundary=other\r\n" + KIND,
        b": nothing\r\n" + KIND,
        b"Server : a blank before the colon\r\n" + KIND,
        KIND.replace(b":", b" \t:"),
        b"Server: a\x01b\xff\r\n" + KIND,
        (b"Server: lines end as in files\r\n" + KIND).replace(b"\r\n", b"\n"),
        b"Transfer-Encoding: identity\r\n" + KIND,
        # Lengths of the whole, which a stream does not have: github.com/mylisabox/flutter_mjpeg/issues/41
        b"Content-Length: 0\r\n" + KIND,
        b"Content-Length: -1\r\n" + KIND,
        b"Content-Length: endless\r\n" + KIND,
        b"Content-Length: 99\r\nContent-Length: 98\r\n" + KIND,
    ],
)
def test_heads_that_break_the_rules_and_cameras_send(answers: Answers, head: bytes) -> None:
    end = b"\r\n" if b"\r\n" in head else b"\n"
    answers.data = [b"HTTP/1.1 200" + end + head + end + PART * 2]
    assert images_of(answers) == 2


def test_chunks_that_follow_each_other_without_an_end_of_line(answers: Answers) -> None:
    answers.data = [CHUNKED + (b"%x\r\n" % len(PART) + PART) * 2]
    assert images_of(answers) == 2


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"Digest",
        b"digest realm",
        b'Digest realm="',
        b'Digest realm="a\r\n X-Evil: b", nonce="c"',
        b'Digest realm="\xff\xfe", nonce="\x80", qop="auth"',
        b"Digest nonce=,,,=,=, algorithm=\x00",
        b"Digest algorithm=SHA-512-256, nonce=a",
        b"Digest algorithm=" + b"M" * 40_000,
        b"Digest " + b"a" * 60_000,
        b"Digest " + b'a="' * 20_000,
        b"Digest " + b"a=" * 30_000,
        b"Basic realm=\x1b[31m",
        b"Bearer " + b'"' * 60_000,
        b"Digest nonce=1\r\nWWW-Authenticate: Digest nonce=2\r\nWWW-Authenticate: \xff",
    ],
)
def test_a_challenge_of_any_kind(answers: Answers, challenge: bytes) -> None:
    said = what_is_said(answers, b"HTTP/1.1 401 No\r\nWWW-Authenticate: %s\r\n\r\n" % challenge)
    assert "answers 401: check user and password" in said
    assert b"\r\nX-Evil" not in b"".join(answers.requests)


def test_a_users_name_in_any_script_is_sent_as_utf8(answers: Answers) -> None:
    url = "http://j%C3%B6%22%5C%E2%82%AC:p%E2%82%AC@camera/"
    challenge = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="\xc3\xa9", nonce="n"\r\n\r\n'
    what_is_said(answers, challenge, url=url)
    assert 'username="jö\\"\\\\€", realm="é"'.encode() in answers.requests[1]
    plain = digest_answer('Digest realm="e", nonce="n"', "GET", "/", "j", "p")
    assert 'username="j", realm="e", nonce="n", uri="/"' in plain


def test_a_host_that_is_no_name(answers: Answers) -> None:
    assert "is no host name" in what_is_said(answers, b"", url="http://" + "ä" * 70 + ".example/")
    answers.data = [STREAM]
    with pytest.raises(SourceError, match="ended the stream"):
        MjpegSource(parse("http://kämera:81/ä b".replace(" ", "%20")), SOON, Interruption()).read()
    assert answers.requests[-1].startswith(b"GET /%C3%A4%20b HTTP/1.1\r\nHost: xn--kmera-gra:81\r\n")


@pytest.mark.parametrize("name", ["a\x00b", "a" * 300, ".", "a..b", "\udc80", ""])
def test_a_name_that_cannot_be_looked_up(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError):
        HttpBody(f"https://{name}.invalid./", {}, 20.0, Interruption())
    with pytest.raises(SourceError, match="cannot resolve"):
        resolve(name + ".invalid", 80, time.monotonic() + 20, Interruption())
    assert "Traceback" not in capfd.readouterr().err


def test_a_tls_name_that_is_none(mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [(socket.AF_INET, ("127.0.0.1", mjpeg_server.port))]
    monkeypatch.setattr(connection, "resolve", lambda *args: addresses)
    with pytest.raises(SourceError, match=r"no TLS with \.a: it is no host name"):
        HttpBody("https://.a/", {}, 20.0, Interruption())


def test_a_family_of_addresses_that_this_machine_lacks(
    mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [(999, ("::", 1)), (socket.AF_INET, ("127.0.0.1", mjpeg_server.port))]
    monkeypatch.setattr(connection, "resolve", lambda *args: addresses)
    with open_source("http://camera/", SOON) as source:
        assert source.read() is not None


def test_a_camera_that_comes_back_with_nonsense_is_lost_and_then_back(
    mjpeg_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It drops its connections, then sends its clients nowhere for a while."""
    with open_source(mjpeg_server.url, SOON) as source:
        assert source.read() is not None
        mjpeg_server.status = 302
        for location, problem in (
            ("http://[", "leads to http://[, which is no address"),
            ("http://127.0.0.1:99999/", "leads to http://127.0.0.1:99999/, which is no address"),
        ):
            mjpeg_server.location = location
            seen, before = threading.Event(), mjpeg_server.connections

            def come_back(seen: threading.Event = seen, problem: str = problem, before: int = before) -> None:
                while not (problem in source.problem and mjpeg_server.connections > before + 1):
                    time.sleep(0.005)
                seen.set()
                mjpeg_server.status = 200

            thread = threading.Thread(target=come_back, daemon=True)
            mjpeg_server.drop()
            thread.start()
            while not seen.is_set() or not source.connected:
                assert source.read() is not None
            thread.join()
            mjpeg_server.status = 302
        assert source.reconnects == 2
    assert [record.event for record in caplog.records if record.event == "source-back"] == ["source-back"] * 2


HEADS = st.lists(
    st.tuples(
        st.sampled_from(["Location", "Content-Type", "WWW-Authenticate", "Transfer-Encoding", "X"]),
        st.binary(max_size=60)
        | st.sampled_from(
            [
                b"multipart/x-mixed-replace; boundary=b",
                b"chunked",
                b"Digest nonce=a",
                b"http://[",
                b"//a:b@c:1/",
            ]
        ),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(status=st.integers(0, 999), heads=HEADS, body=st.binary(max_size=200))
def test_any_answer_is_data(status: int, heads: list[tuple[str, bytes]], body: bytes) -> None:
    with answering() as answers:
        lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in heads)
        answers.data = [b"HTTP/1.1 %03d x\r\n" % status + lines + b"\r\n" + body]
        what_is_said(answers, answers.data[0])


PIECES = st.binary(max_size=80) | st.sampled_from(
    [
        b"--b",
        b"\r\n\r\n",
        b"\xff\xd8",
        b"\xff\xd9",
        b"Content-Length: 3",
        b"X-Timestamp: 1.5",
        b"Date: 1",
        b"3\r\n",
    ]
)


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12), chunked=st.booleans())
def test_any_body_is_data(pieces: list[bytes], chunked: bool) -> None:
    with answering() as answers:
        what_is_said(answers, (CHUNKED if chunked else STREAM) + b"".join(pieces))
