"""Files, devices and ports that are not as they should be: all reported before anything runs."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from edgeseg.core.libraries import load_onnxruntime

from .bench import Bench
from .outcome import NotHereError, Outcome, expect, fault
from .saboteur import BUNDLE_HANGS, GRAPH_EXCHANGED
from .servers import mjpeg_server

_AERIAL = ("--source", "aerial:7?frames=1")
_HARMLESS = b"\x2a\x00"
"""A field that changes nothing, so that a library would take the file."""
_REFUSED = "status 2 and one line that says what is wrong; nothing is written"


def _changed(bench: Bench, change: Callable[[Path], object]) -> Path:
    """A copy of the bundle that something has been done to."""
    folder = bench.new_folder() / "changed"
    shutil.copytree(bench.bundle, folder)
    change(folder)
    return folder


def _graph(folder: Path) -> Path:
    manifest = json.loads((folder / "bundle.json").read_text("utf-8"))
    return folder / str(manifest["variants"][manifest["default_variant"]]["file"])


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / "bundle.json"
        manifest = json.loads(path.read_text("utf-8"))
        change(manifest)
        path.write_text(json.dumps(manifest), "utf-8")

    return edit


def _cut(folder: Path) -> None:
    path = _graph(folder)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _alter(folder: Path) -> None:
    path = _graph(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@fault("wrong bundle", "`--bundle` is a folder of something else", _REFUSED)
def wrong_bundle(bench: Bench) -> Outcome:
    """A folder that is no bundle."""
    folder = bench.new_folder() / "images"
    folder.mkdir()
    return bench.refused("--bundle", str(folder), *_AERIAL, says=["bundle.json"])


@fault("truncated bundle", "half of the ONNX file is missing", _REFUSED)
def truncated_bundle(bench: Bench) -> Outcome:
    """A copy that broke off."""
    folder = _changed(bench, _cut)
    return bench.refused("--bundle", str(folder), *_AERIAL, says=[_graph(folder).name])


@fault("truncated manifest", "half of `bundle.json` is missing", _REFUSED)
def truncated_manifest(bench: Bench) -> Outcome:
    """The same of the manifest."""

    def cut(folder: Path) -> None:
        text = (folder / "bundle.json").read_text("utf-8")
        (folder / "bundle.json").write_text(text[: len(text) // 2], "utf-8")

    return bench.refused("--bundle", str(_changed(bench, cut)), *_AERIAL, says=["bundle.json"])


@fault("altered bundle", "one bit of the ONNX file has changed", _REFUSED)
def altered_bundle(bench: Bench) -> Outcome:
    """A worn card, or somebody's hand."""
    folder = _changed(bench, _alter)
    return bench.refused("--bundle", str(folder), *_AERIAL, says=[_graph(folder).name])


@fault(
    "exchanged file",
    "the ONNX file is replaced once it has been hashed and before it is opened, then put back",
    f"{_REFUSED}; the next run with the right file gives valid results, from a graph that is optimized anew",
)
def exchanged_file(bench: Bench) -> Outcome:
    """The bytes that were hashed run, and are kept for the next start."""
    folder = bench.new_folder()
    bundle, cache = folder / "bundle", {"EDGESEG_CACHE": str(folder / "own-cache")}
    shutil.copytree(bench.bundle, bundle)
    right = _graph(bundle).read_bytes()
    _graph(bundle).with_suffix(".other").write_bytes(right + _HARMLESS)
    source = str(folder / "frame.png")
    cv2.imwrite(source, np.full((120, 160, 3), 128, np.uint8))
    other = ("--bundle", str(bundle))
    with bench.start(
        source, *other, sabotaged=True, environment=cache, on=[GRAPH_EXCHANGED], events="none"
    ) as live_run:
        status = live_run.ends()
        seconds = time.monotonic() - live_run.began_at
    expect(status == 2, f"exit status {status}: {live_run.log}")
    expect("was altered since its bundle was opened" in live_run.log, f"it said: {live_run.log}")
    expect(len(live_run.log.strip().splitlines()) == 1, f"more than a line: {live_run.log}")
    kept = list((folder / "own-cache").rglob("*.graph"))
    expect(not kept, f"the graph that was put there is kept: {kept}")
    _graph(bundle).write_bytes(right)
    with bench.start(source, *other, environment=cache) as live_run:
        status = live_run.ends()
        live_run.poll()
        results = [event for event in live_run.events if event["type"] == "result"]
    expect(status == 0 and results and results[0]["valid"], f"exit status {status}: {live_run.log}")
    return Outcome("exit status 2, nothing of it in the cache; then valid", seconds)


@fault(
    "network that is never ready",
    "opening the bundle hangs inside the C library, `--start-timeout 1`",
    "status 1 and one line at `--start-timeout`",
)
def never_ready(bench: Bench) -> Outcome:
    """A graph that computes without end."""
    with bench.start(
        "aerial:7", "--start-timeout", "1", sabotaged=True, on=[BUNDLE_HANGS], events="none"
    ) as live_run:
        status = live_run.ends()
        seconds = time.monotonic() - live_run.began_at
    lines = live_run.log.strip().splitlines()
    expect(status == 1 and len(lines) == 1, f"exit status {status}: {live_run.log}")
    expect("the network was not ready after 1 s" in lines[0], f"it said: {lines[0]}")
    return Outcome(f"exit status 1: “{lines[0].partition('error: ')[2]}”", seconds)


@fault("malformed label map", "two classes of `bundle.json` have one name", _REFUSED)
def malformed_labels(bench: Bench) -> Outcome:
    """Classes that cannot be told apart."""

    def twice(manifest: dict[str, Any]) -> None:
        manifest["labels"][1]["name"] = manifest["labels"][0]["name"]

    return bench.refused("--bundle", str(_changed(bench, _edit(twice))), *_AERIAL, says=["label"])


@fault("malformed labelmap.txt", "the folder of `--masks` has one that cannot be read", _REFUSED)
def malformed_labelmap(bench: Bench) -> Outcome:
    """A folder of masks that somebody has edited by hand."""
    folder = bench.new_folder() / "masks"
    folder.mkdir()
    (folder / "labelmap.txt").write_text("road:1,2\n", "utf-8")
    with mjpeg_server() as server:
        arguments = ["--bundle", str(bench.bundle), "--source", server.url, "--masks", str(folder)]
        return bench.refused(*arguments, says=["labelmap.txt"])


def _configured(bench: Bench, text: str, says: list[str]) -> Outcome:
    path = bench.new_folder() / "camera.toml"
    path.write_text(text, "utf-8")
    return bench.refused("--config", str(path), says=["camera.toml", *says])


@fault("malformed configuration", "`--config` is no TOML", _REFUSED)
def malformed_configuration(bench: Bench) -> Outcome:
    """A file with a typing error."""
    return _configured(bench, "source = [0\n", [])


@fault("wrong key in the configuration", "`max_age` in `--config`", f"{_REFUSED}, and names the right key")
def wrong_key(bench: Bench) -> Outcome:
    """A word that is not known."""
    return _configured(bench, "max_age = 1\n", ["max_age", "did you mean 'max-age'?"])


@fault("provider that is not there", "`--device cuda` on a machine without", _REFUSED)
def no_provider(bench: Bench) -> Outcome:
    """A GPU that the installation cannot use."""
    if "CUDAExecutionProvider" in load_onnxruntime().get_available_providers():
        raise NotHereError("this machine has the CUDA provider")
    return bench.refused("--bundle", str(bench.bundle), "--device", "cuda", *_AERIAL, says=["cuda"])


@fault("port taken", "`--preview` names a port that another program listens on", _REFUSED)
def port_taken(bench: Bench) -> Outcome:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        outcome = bench.refused(
            "--bundle", str(bench.bundle), *_AERIAL, "--preview", str(port), says=[str(port), "in use"]
        )
    return Outcome(outcome.observed.replace(str(port), "PORT"), outcome.told_seconds)
