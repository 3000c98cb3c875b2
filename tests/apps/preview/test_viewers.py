"""Those who watch: what they are sent, how many there may be, and that none of them holds anything up."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

QUICK_SECONDS = 2.0
"""Handing an output over takes microseconds; whoever waited for a client would wait for its deadline, 5 s."""


def watch(url: str, source: str = "") -> Any:
    return connect(f"ws://{urlsplit(url).netloc}/live?source={source}", open_timeout=20, max_size=None)


class Page:
    """A browser's page, without drawing."""

    def __init__(self, url: str, source: str = "") -> None:
        self._connecting = watch(url, source)
        self.socket: ClientConnection = self._connecting.__enter__()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()

    def close(self) -> None:
        self._connecting.__exit__(None, None, None)

    def text(self, kind: str) -> Any:
        while True:
            message = self.socket.recv(20)
            if isinstance(message, str):
                said = json.loads(message)
                if said["type"] == kind:
                    return said
            else:
                self.drawn()

    def image(self) -> tuple[dict[str, Any], np.ndarray, np.ndarray | None]:
        while True:
            message = self.socket.recv(20)
            if isinstance(message, bytes):
                self.drawn()
                return unpack(message)

    def drawn(self) -> None:
        with contextlib.suppress(
            ConnectionClosed
        ):  # the server may have said goodbye; what it said is still read
            self.socket.send('{"drawn": true}')


def unpack(message: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray | None]:
    (length,) = struct.unpack_from("<I", message)
    head = json.loads(message[4 : 4 + length])
    jpeg = message[4 + length : 4 + length + head["jpeg_bytes"]]
    frame = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    rest = message[4 + length + head["jpeg_bytes"] :]
    if not rest:
        return head, frame, None
    classes = np.frombuffer(zlib.decompress(rest, -15), np.uint8).reshape(head["height"], head["width"])
    return head, frame, classes


def raw_viewer(url: str, path: str) -> socket.socket:
    """A client that asks and then never reads."""
    address = urlsplit(url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(20)
    raw.connect((address.hostname, address.port))
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n"
    )
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade if path == '/live' else ''}\r\n".encode()
    )
    return raw


def viewers(url: str) -> int:
    return int(httpx.get(url + "status").json()["viewers"])


def test_a_page_is_told_the_classes_and_sees_masks_that_move(run: Any) -> None:
    with Page(run.server.url) as page:
        hello = page.text("hello")
        assert hello["classes"][1] == {"name": "car", "rgb": [0, 0, 200]}
        assert hello["sources"] == [0]
        seen = []
        for _ in range(3):
            head, frame, classes = page.image()
            assert (head["valid"], head["source"], head["width"], head["height"]) == (True, 0, 160, 120)
            assert 0 <= head["age_ms"] < 20_000
            assert frame.shape == (120, 160, 3)
            assert classes is not None
            assert np.mean(classes == 2) == pytest.approx(head["shares"][2], abs=1e-3)
            seen.append(classes)
        assert not np.array_equal(seen[0], seen[-1])


def test_large_frames_are_made_small_and_their_classes_stay_whole(
    make_run: Callable[..., Any], make_output: Callable[..., Any]
) -> None:
    run = make_run().begin(playing=False)
    output = make_output(2, (1080, 1920))
    run.write(output)
    with Page(run.server.url) as page:
        head, frame, classes = page.image()
    assert (head["width"], head["height"], head["frame_hw"]) == (960, 540, [1080, 1920])
    assert frame.shape == (540, 960, 3)
    np.testing.assert_array_equal(classes, output.result.classes[::2, ::2])


def test_a_page_that_comes_late_sees_the_newest_image_at_once(
    make_run: Callable[..., Any], make_output: Callable[..., Any]
) -> None:
    run = make_run().begin(playing=False)
    for step in range(5):
        run.write(make_output(step))
    with Page(run.server.url) as page:
        assert page.image()[0]["frame_id"] == 4


def test_the_loss_of_the_source_reaches_the_page_in_words_and_without_a_mask(run: Any) -> None:
    with Page(run.server.url) as page:
        assert page.image()[0]["valid"]
        run.lost = True
        while (found := page.image())[0]["valid"]:
            pass
        head, frame, classes = found
        assert (head["reason"], head["beat"], head["shares"]) == ("source-lost", True, [])
        assert "not there" in head["meaning"]
        assert frame.shape == (120, 160, 3)
        assert classes is None
        while page.text("status")["run"]["sources"][0]["valid"]:
            pass
        run.lost = False
        while not page.image()[0]["valid"]:
            pass


def test_a_pipeline_that_says_no_more_is_struck_out(run: Any) -> None:
    """No beat comes, and the status says that the result is no longer valid; or there is no status either."""
    with Page(run.server.url) as page:
        assert page.image()[0]["valid"]
        run.pause()
        run.status_hangs.set()
        while (head := page.image()[0])["valid"]:
            pass
        assert head["reason"] == "stale"
        assert page.text("status")["run"] is None


def test_a_page_can_turn_to_another_source(make_run: Callable[..., Any]) -> None:
    run = make_run(numbers=(1, 2)).begin()
    with Page(run.server.url, "2") as page:
        assert page.text("hello")["sources"] == [1, 2]
        assert page.image()[0]["source"] == 2
        page.socket.send('{"watch": 1}')
        while page.image()[0]["source"] != 1:
            pass
        for nonsense in ('{"watch": 9}', "{", "[]", '{"drawn": 3}'):
            page.socket.send(nonsense)
        assert page.image()[0]["source"] == 1


def test_a_fresh_page_has_the_last_minute(run: Any, until: Callable[..., None]) -> None:
    def points() -> list[dict[str, Any]]:
        with Page(run.server.url) as page:
            return list(page.text("hello")["history"].get("0", []))

    until(lambda: len(points()) >= 2, "two seconds of history")
    assert points()[0].keys() == {"at", "fps", "p50", "p99", "valid"}
    assert points()[0]["fps"] == 25.0


def test_the_end_of_the_run_is_told(run: Any) -> None:
    with Page(run.server.url) as page:
        page.text("status")
        run.server.close()
        assert page.text("bye") == {"type": "bye"}


def test_places_are_counted_refused_and_given_back(
    make_run: Callable[..., Any], until: Callable[..., None]
) -> None:
    run = make_run(clients=2).begin(playing=False)  # who is sent no image is never too slow for it
    url = run.server.url
    with Page(url) as page, httpx.stream("GET", url + "stream.mjpg", timeout=20) as stream:
        page.text("hello")
        assert stream.status_code == 200
        assert viewers(url) == 2
        with pytest.raises(InvalidStatus) as caught, watch(url):
            pass
        assert caught.value.response.status_code == 503
        answer = httpx.get(url + "stream.mjpg")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert httpx.get(url).status_code == 200
    until(lambda: viewers(url) == 0, "the places are free again")
    with Page(url) as page:
        assert page.text("hello")


def test_clients_that_never_read_are_dropped_and_hold_nothing_up(
    make_run: Callable[..., Any], until: Callable[..., None]
) -> None:
    """Eight viewers, four of which never read: the others see images, and writing stays quick."""
    run = make_run(size_hw=(480, 640), clients=8).begin()
    url = run.server.url
    stuck = [raw_viewer(url, path) for path in ("/live", "/live", "/stream.mjpg", "/stream.mjpg")]
    pages = [Page(url) for _ in range(4)]
    until(lambda: viewers(url) == 8, "all eight watch")
    deadline = time.monotonic() + 30
    while viewers(url) > 4:
        assert time.monotonic() < deadline
        for page in pages:
            assert page.image()[0]["valid"]
    dropped = "seg_preview_clients_dropped_total 4.0"
    assert dropped in httpx.get(url + "metrics").text
    assert run.slowest_write_seconds < QUICK_SECONDS
    for page in pages:
        page.close()
    for raw in stuck:
        raw.close()


def test_a_page_that_does_not_draw_gets_no_more_than_two_images(run: Any) -> None:
    with watch(run.server.url) as lazy:
        images = 0
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            images += isinstance(lazy.recv(20), bytes)
        assert images == 2


def test_without_viewers_nothing_is_encoded(
    make_run: Callable[..., Any], make_output: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    monkeypatch.setattr(cv2, "imencode", lambda *words: encoded.append(words))
    run = make_run().begin(playing=False)
    for step in range(50):
        run.write(make_output(step))
    time.sleep(0.3)
    assert encoded == []
    assert run.slowest_write_seconds < QUICK_SECONDS


def test_an_image_is_encoded_once_for_all(
    make_run: Callable[..., Any], make_output: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run().begin(playing=False)
    encoded, encode = [], cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda *words: encoded.append(1) or encode(*words))
    pages = [Page(run.server.url) for _ in range(4)]
    for page in pages:
        page.text("hello")
    run.write(make_output(1))
    assert [page.image()[0]["frame_id"] for page in pages] == [1] * 4
    assert len(encoded) == 1
    for page in pages:
        page.close()


def test_the_plain_stream_is_the_overlay(run: Any) -> None:
    def images(count: int) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        data = b""
        with httpx.stream("GET", run.server.url + "stream.mjpg", timeout=20) as stream:
            assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=edgeseg-frame"
            for chunk in stream.iter_raw():
                data += chunk
                *parts, data = data.split(b"--edgeseg-frame\r\n")
                for part in filter(None, parts):
                    head, _, jpeg = part.partition(b"\r\n\r\n")
                    length = int(head.split(b"Content-Length: ")[1])
                    found.append(cv2.imdecode(np.frombuffer(jpeg[:length], np.uint8), cv2.IMREAD_COLOR))
                if len(found) >= count:
                    break
        return found

    moving = images(3)
    assert moving[0].shape == (120, 160, 3)
    assert np.abs(moving[0].astype(int) - moving[-1]).max() > 50
    run.lost = True
    time.sleep(0.5)
    struck = images(1)[0].astype(int)
    grey = np.abs(struck.max(axis=2) - struck.min(axis=2)) < 25
    red = (struck[..., 2] > 150) & (struck[..., 1] < 130)
    assert grey.mean() > 0.7
    assert red.mean() > 0.005
