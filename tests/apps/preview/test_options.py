from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pytest
from edgeseg.apps.preview.options import PreviewOptions
from edgeseg.cli.preview_options import add_options, preview_options
from edgeseg.core.errors import UsageError


def parse(*words: str) -> PreviewOptions | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.add_argument("--log-json", action="store_true")
    return preview_options(parser.parse_args(words))


def test_without_the_option_there_is_no_page() -> None:
    assert parse() is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("8080", "127.0.0.1", 8080), ("localhost:0", "localhost", 0), ("[::1]:80", "::1", 80)],
)
def test_on_loopback_no_token_is_needed(text: str, host: str, port: int) -> None:
    options = parse("--preview", text)
    assert options is not None
    assert (options.host, options.port, options.token, options.clients) == (host, port, "", 8)


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "board.local:8080", "192.168.1.7:80"])
def test_beyond_loopback_a_token_is_made_up_each_time(text: str) -> None:
    one, other = parse("--preview", text), parse("--preview", text)
    assert one is not None
    assert other is not None
    assert one.generated
    assert len(one.token) >= 32
    assert one.token != other.token
    assert one.token not in repr(one)


def test_a_token_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbf0123456789abcdef\r\nwhatever\n")
    path.chmod(0o600)
    for where in ("8080", "0.0.0.0:8080"):
        options = parse("--preview", where, "--preview-token-file", str(path), "--log-json")
        assert options is not None
        assert (options.token, options.generated) == ("0123456789abcdef", False)


def test_a_token_that_all_users_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    path.write_text("0123456789abcdef")
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        parse("--preview", "1", "--preview-token-file", str(path))
    assert [record.event for record in caplog.records] == ["preview-token-readable"]
    assert "0123456789abcdef" not in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preview", "host"], "expected a port, or HOST:PORT"),
        (["--preview", "::1:80"], "expected a port, or HOST:PORT"),
        (["--preview", "1:2:3"], "expected a port, or HOST:PORT"),
        (["--preview", ""], "expected a port, or HOST:PORT"),
        (["--preview", "*:80"], "expected a port, or HOST:PORT"),
        (["--preview", "a b:80"], "expected a port, or HOST:PORT"),
        (["--preview", "a\0b:80"], "expected a port, or HOST:PORT"),
        (["--preview", "\ud800:80"], "expected a port, or HOST:PORT"),
        (["--preview", "99999"], "--preview 99999: ports end at 65535"),
        (["--preview", "[::1]:655360"], "ports end at 65535"),
        (["--preview", "0.0.0.0:80", "--log-json"], "with --log-json needs --preview-token-file FILE"),
        (["--preview", "http://a:80"], "expected a port, or HOST:PORT"),
        (["--preview", "1", "--preview-clients", "0"], "expected 1 to 1000"),
        (["--preview", "1", "--preview-hosts", "http://a"], "without http://"),
        (["--preview", "1", "--preview-hosts", "a,b:80"], "--preview-hosts b:80: expected names"),
        (["--preview", "1", "--preview-hosts", "*"], "without http://"),
        (["--preview-hosts", "a"], "needs --preview"),
        (["--preview-token-file", "a"], "needs --preview"),
        (["--preview", "1", "--preview-token-file", "/nowhere"], "No such file"),
        (["--preview", "1", "--preview-token-file", ""], "it is a folder"),
        (["--preview", "1", "--preview-token-file", "a\0b"], "no file can have this name"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "has 5 characters"),
        (b"", "has 0 characters"),
        (b"a" * 5000, "is larger than 4 KiB"),
        (b"\xff" * 20, "is not UTF-8 text"),
        ("0123456789abcdef".encode("utf-16"), "it is UTF-16, or no text"),
        ("0123456789abcdé".encode(), "one line"),
    ],
)
def test_a_weak_or_odd_token_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        parse("--preview", "1", "--preview-token-file", str(path))
