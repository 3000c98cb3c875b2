"""The files of examples/: what they say is understood, by the parser that reads them and in a real run."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgeseg.cli.configuration import parse_with_config
from edgeseg.cli.preview_options import preview_options
from edgeseg.cli.run import configure
from edgeseg.cli.run_options import limits_of, steps_of
from edgeseg.cli.sink_options import sink_options
from edgeseg.cli.source_options import live_options

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def read(path: Path, *argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parse_with_config(parser, ["--config", str(path), *argv])


def check(args: argparse.Namespace) -> None:
    """Does the checks of `edgeseg run` that come before anything is opened."""
    limits_of(args)
    steps_of(args.degrade)
    sink_options(args)
    live_options(args)
    preview_options(args)


def test_the_example_is_understood() -> None:
    args = read(EXAMPLES / "camera.toml")
    check(args)
    assert args.source == ["v4l2:///dev/video0?width=1280&height=720&fps=30"]
    assert args.wait_for_source
    assert args.preview == "8080"


def test_what_the_example_has_in_comments_is_understood_too(tmp_path: Path) -> None:
    text = (EXAMPLES / "camera.toml").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:# )?([a-z-]+) = (.+)$", text, re.MULTILINE)
    assert len(lines) > 20
    token_file = tmp_path / "token"
    token_file.write_text("0123456789abcdef0123456789abcdef\n")
    token_file.chmod(0o600)
    choices = {**dict(lines), "preview-token-file": f'"{token_file}"'}
    for key, value in lines:
        (tmp_path / "one.toml").write_text(f"{key} = {value}", encoding="utf-8")
        assert getattr(read(tmp_path / "one.toml"), key.replace("-", "_")) not in (None, False, [])
    (tmp_path / "all.toml").write_text("\n".join(f"{key} = {value}" for key, value in choices.items()))
    check(read(tmp_path / "all.toml"))


class Service:
    """A run as systemd would start it: told by a file what to do, and listened to."""

    def __init__(self, folder: Path, config: str, **environ: str) -> None:
        self.heard: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(0.2)
        (folder / "camera.toml").write_text(config, encoding="utf-8")
        self.stderr = folder / "stderr"
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgeseg.cli", "run", "--config", "camera.toml", "--log-json"],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), **environ},
            )

    def wait_for(self, line: str, times: int = 1) -> None:
        deadline = time.monotonic() + 60
        while self.heard.count(line) < times:
            assert time.monotonic() < deadline, (line, self.heard, self.stderr.read_text())
            assert self.process.poll() is None or line == "STOPPING=1", self.stderr.read_text()
            try:
                self.heard += self.socket.recv(4096).decode().split("\n")
            except TimeoutError:
                continue

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self.socket.close()


@pytest.fixture
def service(tmp_path: Path, bundle_folder: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(config: str, **environ: str) -> Service:
        started.append(Service(tmp_path, f'bundle = "{bundle_folder.name}"\n{config}', **environ))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_a_service_from_its_start_to_its_end(service: Callable[..., Service]) -> None:
    run = service('source = "aerial:7?size=48x48"\nevents = "events.jsonl"', WATCHDOG_USEC="1000000")
    run.wait_for("READY=1")
    assert "WATCHDOG=1" not in run.heard[: run.heard.index("READY=1")]
    run.wait_for("WATCHDOG=1", times=3)
    run.process.send_signal(signal.SIGTERM)
    run.wait_for("STOPPING=1")
    assert run.process.wait(60) == 0
    assert all(json.loads(line)["message"] for line in run.stderr.read_text().splitlines())


def test_all_that_a_service_tells_is_json(service: Callable[..., Service], tmp_path: Path) -> None:
    config = 'source = "aerial:7?size=48x48&frames=12"\nevents = "-"\nsave = "v.mp4"\nsegment = "1"\nstats = "s.json"'
    run = service(config)
    assert run.process.wait(60) == 0
    told = [json.loads(line) for line in run.stderr.read_text().splitlines()]
    (report,) = (line for line in told if line["event"] == "report")
    assert report["fields"] == json.loads((tmp_path / "s.json").read_text())
    assert report["fields"]["frames"] == 12
    assert report["message"].startswith("12 frames at ")
    (wrote,) = (line for line in told if line["event"] == "wrote")
    assert wrote["fields"]["outputs"] == ["statistics s.json", "video v-000001.mp4", "events standard output"]


def test_a_wrong_key_ends_a_service_with_status_2_and_a_line_of_json(service: Callable[..., Service]) -> None:
    run = service("max-aeg = 1")
    assert run.process.wait(60) == 2
    (line,) = run.stderr.read_text().splitlines()
    assert json.loads(line)["message"].endswith("there is no option 'max-aeg'; did you mean 'max-age'?")
    assert not run.heard
