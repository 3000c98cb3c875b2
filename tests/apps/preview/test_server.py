from __future__ import annotations

import io
import json
import logging
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import cv2
import httpx
import numpy as np
import pytest
from edgeseg.apps.preview.options import PreviewOptions
from edgeseg.apps.preview.server import PreviewServer
from edgeseg.core.errors import MissingDependencyError, OutputError
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

CLOSE_SECONDS = 0.5
SLACK_SECONDS = 4.0
"""For a machine that is busy: what is bounded is what close() waits for, not when its thread has its turn."""


def connected(url: str, request: bytes = b"") -> socket.socket:
    address = urlsplit(url)
    raw = socket.create_connection((address.hostname, address.port), timeout=20)
    raw.sendall(request)
    return raw


def test_a_port_that_is_taken_is_told_before_the_run(make_run: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            OutputError, match=rf"--preview 127\.0\.0\.1:{port}: address already in use"
        ) as caught:
            make_run(port=port).begin()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.77", "no.such.host.invalid", "a..b", "a" * 70 + ".invalid"])
def test_an_address_of_another_machine_is_told(make_run: Callable[..., Any], host: str) -> None:
    with pytest.raises(OutputError, match="address of this machine") as caught:
        make_run(host=host).begin()
    assert "\n" not in str(caught.value)


def test_the_port_is_free_again_at_once(make_run: Callable[..., Any]) -> None:
    first = make_run().begin()
    port = urlsplit(first.server.url).port
    with httpx.Client() as browser:
        assert browser.get(first.server.url).status_code == 200
        first.end()
        again = make_run(port=port).begin()
        assert browser.get(again.server.url).status_code == 200


def test_ipv6_works_too(make_run: Callable[..., Any]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    run = make_run(host="::1").begin()
    assert run.server.url.startswith("http://[::1]:")
    assert httpx.get(run.server.url).status_code == 200


def test_the_link_is_told_once_and_its_token_only_where_it_was_made_up(make_run: Callable[..., Any]) -> None:
    token = "0123456789abcdef"
    made_up, given = make_run(token=token, generated=True).begin(), make_run(token=token).begin()
    assert made_up.messages == [f"preview: {made_up.server.url}?token={token}"]
    assert given.messages == [f"preview: {given.server.url}"]
    assert token not in made_up.server.url


def test_the_log_holds_no_token(make_run: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run = make_run(token="0123456789abcdef", generated=True).begin()
        httpx.get(run.server.url + "status?token=0123456789abcdef")
        run.end()
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert "preview-started" in [getattr(record, "event", "") for record in ours]
    assert not [record for record in ours if "0123456789abcdef" in record.getMessage()]


def test_a_missing_package_is_named(labels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r"uvicorn.*edgeseg\[preview\]"):
        PreviewServer(PreviewOptions(), labels)


def test_ready_follows_the_run(run: Any, until: Callable[..., None]) -> None:
    def ready() -> tuple[int, Any]:
        answer = httpx.get(run.server.url + "readyz")
        return answer.status_code, answer.json()

    until(lambda: ready() == (200, {"ready": True, "why": []}), "ready")
    run.lost = True
    until(lambda: ready() == (503, {"ready": False, "why": ["source 0: source-lost"]}), "lost")
    run.lost = False
    until(lambda: ready()[0] == 200, "ready again")
    run.status_fields = {"ready": False, "state": "starting"}
    until(lambda: ready() == (503, {"ready": False, "why": ["the run is starting"]}), "starting")


@pytest.mark.parametrize("how", ["hangs", "fails"])
def test_a_run_that_does_not_answer_is_alive_and_not_ready(
    run: Any, until: Callable[..., None], how: str
) -> None:
    until(lambda: httpx.get(run.server.url + "readyz").status_code == 200, "ready")
    if how == "hangs":
        run.status_hangs.set()
    else:
        run.status_fails = True
    until(lambda: httpx.get(run.server.url + "readyz").status_code == 503, "not ready")
    assert httpx.get(run.server.url + "readyz").json()["why"] == ["the run does not answer"]
    assert httpx.get(run.server.url + "healthz").status_code == 200
    assert httpx.get(run.server.url + "status").json()["run"] is None


@pytest.mark.parametrize("number", ["9", "x", "01", "-1", "\N{SUPERSCRIPT TWO}"])
def test_a_source_that_is_not_there_is_told(make_run: Callable[..., Any], number: str) -> None:
    run = make_run(numbers=(1, 2)).begin()
    told = "there is no source of this number; there is 1, 2\n"
    for path in ("snapshot", "stream.mjpg"):
        answer = httpx.get(run.server.url + path, params={"source": number})
        assert (answer.status_code, answer.text) == (404, told)
    address = run.server.url.replace("http", "ws", 1) + f"live?source={quote(number)}"
    with pytest.raises(InvalidStatus) as refused, connect(address, open_timeout=20):
        pass
    assert (refused.value.response.status_code, refused.value.response.body.decode()) == (404, told)


def test_the_status_is_whole_and_plain_json(run: Any, until: Callable[..., None]) -> None:
    def facts() -> Any:
        return httpx.get(run.server.url + "status").json()

    until(lambda: facts()["run"], "a status")
    assert facts()["run"]["sources"][0]["latency_ms"]["p99"] == 31.0
    assert facts()["run"]["board"]["temperatures"] == {"cpu-thermal": 61.5}
    assert (facts()["viewers"], facts()["most_viewers"], facts()["recording"]) == (0, 8, {"active": False})
    run.status_fields = {"uptime_seconds": float("nan")}
    until(lambda: facts()["run"]["uptime_seconds"] is None, "null for what JSON does not know")


def test_a_snapshot_holds_frame_mask_and_facts(
    make_run: Callable[..., Any], make_output: Callable[..., Any]
) -> None:
    run = make_run(numbers=(1, 2)).begin(playing=False)
    assert httpx.get(run.server.url + "snapshot").status_code == 503
    output = make_output(3, (90, 120), source=2)
    run.write(output)
    answer = httpx.get(run.server.url + "snapshot?source=2")
    assert answer.headers["content-disposition"] == 'attachment; filename="snapshot-2-3.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        frame = cv2.imdecode(np.frombuffer(archive.read("frame.png"), np.uint8), cv2.IMREAD_COLOR)
        mask = np.asarray(Image.open(io.BytesIO(archive.read("mask.png"))))
        facts = json.loads(archive.read("result.json"))
    np.testing.assert_array_equal(frame, output.frame_bgr)
    np.testing.assert_array_equal(mask, output.result.classes)
    assert (facts["valid"], facts["reason"], facts["frame_id"], facts["source"]) == (True, "", 3, 2)
    assert [each["name"] for each in facts["classes"]] == ["road", "car", "tree"]
    assert sum(each["share"] for each in facts["classes"]) == pytest.approx(1, abs=1e-4)


def test_a_snapshot_of_what_is_not_valid_says_so(
    make_run: Callable[..., Any], make_output: Callable[..., Any]
) -> None:
    run = make_run().begin(playing=False)
    run.write(make_output(1, reason="frozen"))
    with zipfile.ZipFile(io.BytesIO(httpx.get(run.server.url + "snapshot").content)) as archive:
        facts = json.loads(archive.read("result.json"))
        mask = np.asarray(Image.open(io.BytesIO(archive.read("mask.png"))))
    assert (facts["valid"], facts["reason"]) == (False, "frozen")
    assert {each["share"] for each in facts["classes"]} == {None}
    assert (mask == 255).all()


def test_the_recording_is_switched_by_post_alone(run: Any) -> None:
    url = run.server.url + "recording"
    assert httpx.get(url).status_code == 405
    for body in (b"", b"[]", b'{"active": 1}', b"\xff", b"{"):
        assert httpx.post(url, content=body).status_code == 400
    assert httpx.post(url, content=b" " * 2000).status_code == 413
    assert not run.recording.active
    assert httpx.post(url, json={"active": True}).json() == {"active": True, "where": "takes/take-000001"}
    assert run.recording.active
    assert httpx.post(url, json={"active": False}).json() == {"active": False, "where": "takes/take-000001"}
    run.recording.problem = "the disk is full"
    answer = httpx.post(url, json={"active": True})
    assert (answer.status_code, answer.json()) == (500, {"active": False, "error": "the disk is full"})


def test_nothing_else_takes_a_post(run: Any) -> None:
    for path in ("", "status", "snapshot", "metrics", "stream.mjpg", "healthz"):
        assert httpx.post(run.server.url + path).status_code == 405, path
        assert httpx.request("DELETE", run.server.url + path).status_code == 405, path


def test_where_nothing_records_there_is_no_switch(labels: Any, make_status: Callable[..., Any]) -> None:
    server = PreviewServer(PreviewOptions(), labels, on_message=lambda line: None)
    server.sink(0)
    server.start(make_status)
    try:
        assert httpx.post(server.url + "recording", json={"active": True}).status_code == 404
    finally:
        server.close()


def test_a_request_that_never_ends_is_cut_off(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose head does not come, and one of 40 kB of headers."""
    monkeypatch.setattr("edgeseg.apps.preview.connections.IDLE_SECONDS", 1.0)
    with (
        connected(run.server.url, b"GET / HTTP/1.1\r\nHost: local") as raw,
        pytest.raises(ConnectionResetError),
    ):
        raw.recv(10)
    with connected(run.server.url, b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000) as raw:
        assert raw.recv(100).startswith(b"HTTP/1.1 431")


def test_it_closes_in_half_a_second_whatever_its_clients_do(make_run: Callable[..., Any], until: Any) -> None:
    run = make_run(size_hw=(720, 1280)).begin()
    requests = (
        b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /recording HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"",
    )
    stuck = [connected(run.server.url, request) for request in requests]
    until(lambda: httpx.get(run.server.url + "status").json()["viewers"] == 2, "two viewers")
    start = time.monotonic()
    run.server.close()
    assert time.monotonic() - start < CLOSE_SECONDS + SLACK_SECONDS
    until(
        lambda: "edgeseg preview" not in [thread.name for thread in threading.enumerate()], "the thread's end"
    )
    with pytest.raises(OSError, match="refused"):
        connected(run.server.url)
    for raw in stuck:
        raw.close()


def test_it_closes_where_it_never_started(make_run: Callable[..., Any]) -> None:
    run = make_run()
    run.server.close()
    run.server.close()
    assert run.server.url == ""


def test_the_page_needs_nothing_from_elsewhere(run: Any) -> None:
    for path in ("", "page.css", "page.js", "panels.js", "drawing.js", "icon.svg"):
        answer = httpx.get(run.server.url + path)
        assert answer.status_code == 200
        elsewhere = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in elsewhere, path
        assert "https://" not in elsewhere, path
