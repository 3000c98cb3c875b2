"""The preview's access control, tried over real connections."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

TOKEN = "a-token-of-the-test-0123456789"
PATHS = (
    "/",
    "/page.js",
    "/status",
    "/readyz",
    "/metrics",
    "/snapshot",
    "/stream.mjpg",
    "/recording",
    "/nothing",
)


@pytest.fixture(scope="module")
def guarded(make_lasting_run: Callable[..., Any]) -> Any:
    """A run whose page needs a token; ``cam.example`` is a proxy's name for it."""
    return make_lasting_run(token=TOKEN, hosts=("cam.example",)).begin()


@pytest.fixture(scope="module")
def run(make_lasting_run: Callable[..., Any]) -> Any:
    """A run that plays, on loopback."""
    return make_lasting_run().begin()


def live(url: str, **options: object) -> Any:
    return connect(f"ws://{urlsplit(url).netloc}/live", open_timeout=20, **options)


def refusal(url: str, **options: object) -> int:
    with pytest.raises(InvalidStatus) as caught, live(url, **options):
        pass
    return int(caught.value.response.status_code)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_needs_the_token(guarded: Any, path: str) -> None:
    url = guarded.server.url + path[1:]
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert httpx.get(f"{url}?token=wrong").status_code == 401
    assert httpx.get(url, headers={"cookie": "edgeseg-1=x"}).status_code == 401
    assert TOKEN not in httpx.get(url).text


def test_only_whether_it_lives_is_told_to_all(guarded: Any) -> None:
    answer = httpx.get(guarded.server.url + "healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert refusal(guarded.server.url) == 401


def test_the_token_opens_as_bearer_and_in_the_query(guarded: Any) -> None:
    url = guarded.server.url
    assert httpx.get(url + "status", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert httpx.get(url + f"status?token={TOKEN}").status_code == 200
    with live(url, additional_headers={"authorization": f"Bearer {TOKEN}"}) as socket_:
        assert '"hello"' in socket_.recv(20)


def test_the_link_is_turned_into_a_cookie_that_does_not_hold_the_token(guarded: Any) -> None:
    with httpx.Client(base_url=guarded.server.url) as browser:
        answer = browser.get(f"/?token={TOKEN}")
        cookie = answer.headers["set-cookie"]
        assert answer.status_code == 200
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert TOKEN not in answer.text
        assert "edgeseg" in browser.get("/").text
        assert browser.get("/status").status_code == 200
        name, _, value = cookie.split(";")[0].partition("=")
        with live(guarded.server.url, additional_headers={"cookie": f"{name}={value}"}) as socket_:
            assert '"hello"' in socket_.recv(20)
    assert (
        "Secure"
        in httpx.get(f"{guarded.server.url}?token={TOKEN}", headers={"x-forwarded-proto": "https"}).headers[
            "set-cookie"
        ]
    )


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "192.168.1.9",
        "[",
        "a:b",
    ],
)
def test_other_hosts_are_refused(run: Any, host: str) -> None:
    assert httpx.get(run.server.url + "healthz", headers={"host": host}).status_code in (400, 421)
    assert httpx.get(run.server.url, headers={"host": host}).status_code in (400, 421)


def test_a_websocket_of_another_host_is_refused(run: Any) -> None:
    address = urlsplit(run.server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
        raw.sendall(
            b"GET /live HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 421")


def test_a_second_host_header_does_not_pass(run: Any) -> None:
    address = urlsplit(run.server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert raw.recv(100).split()[1] in (b"400", b"421")


def test_names_that_are_ours_pass(guarded: Any) -> None:
    port = urlsplit(guarded.server.url).port
    for host in (
        "localhost",
        f"LOCALHOST:{port}",
        "[::1]:99",
        "127.0.0.1:9000",
        "cam.example",
        "cam.example.",
    ):
        assert httpx.get(guarded.server.url + "healthz", headers={"host": host}).status_code == 200, host


def test_where_all_addresses_are_listened_on_any_may_be_used_but_no_name(
    make_run: Callable[..., Any],
) -> None:
    run = make_run(host="0.0.0.0", token=TOKEN).begin()
    url = f"http://127.0.0.1:{urlsplit(run.server.url).port}/healthz"
    assert httpx.get(url, headers={"host": "10.1.2.3:8080"}).status_code == 200
    assert httpx.get(url, headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "file://", "https://", "http://["]
)
def test_other_origins_get_no_websocket_and_cannot_post(run: Any, origin: str) -> None:
    assert refusal(run.server.url, additional_headers={"origin": origin}) == 403
    answer = httpx.post(run.server.url + "recording", json={"active": True}, headers={"origin": origin})
    assert answer.status_code == 403
    assert not run.recording.active


def test_the_pages_own_origin_and_a_proxys_do(guarded: Any) -> None:
    url = guarded.server.url
    for origin in (url.rstrip("/"), "https://cam.example"):
        headers = {"origin": origin, "authorization": f"Bearer {TOKEN}"}
        with live(url, additional_headers=headers) as socket_:
            assert '"hello"' in socket_.recv(20)
        assert httpx.post(url + "recording", json={"active": False}, headers=headers).status_code == 200


def test_what_another_site_embeds_is_refused_and_what_it_links_to_is_not(run: Any) -> None:
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert httpx.get(run.server.url + "stream.mjpg", headers=embedded).status_code == 403
    assert httpx.get(run.server.url, headers=linked).status_code == 200


@pytest.mark.parametrize(
    "path", ["", "page.css", "status", "metrics", "nothing", "../options.py", "%2e%2e/access.py"]
)
def test_every_answer_is_guarded_and_names_no_software(run: Any, path: str) -> None:
    answer = httpx.get(run.server.url + path)
    assert answer.status_code == (404 if "no" in path or ("." in path and "css" not in path) else 200)
    headers = answer.headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control")]
