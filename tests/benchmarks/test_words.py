"""What is said follows from the figures, for us and against us."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgeseg.benchmarks.decoders import decoders, mixed_share
from edgeseg.benchmarks.plots import latency_plot
from edgeseg.benchmarks.tables import Table
from edgeseg.benchmarks.words import read_out


def row(name: str, p50: float, **over: Any) -> dict[str, Any]:
    group = name.partition("-")[0]
    return {
        "name": name, "group": group, "precision": "fp32", "same_map": True, "agreement": 1.0,
        "ms": {"p50": p50, "p90": p50 + 1, "p99": p50 + 2},
        "bare_network": "onnxruntime fp32", "bare_ms": {"p50": 10.0, "p90": 11.0, "p99": 12.0},
        "times_bare": p50 / 10, "memory_mb": 100.0, "peak_memory_mb": 100.0,
        "start_ms": {"total": 500.0}, "joules_per_frame": None, **over,
    }  # fmt: skip


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    ways = {"edgeseg": (1.0, 1.0), "onnxruntime Resize + ArgMax": (20.0, 20.0), "OpenCV": (5.0, 5.0)}
    return {
        "contenders": list(rows),
        "decode": {"mixed_cells": 0.2, "ways": {k: {"p50": p, "times": t} for k, (p, t) in ways.items()}},
        "bundle": {"architecture": "lraspp"},
        "frames": {"size_hw": [720, 1280]},
        "threads": 2,
    }


def test_a_win_is_said_with_its_ratio() -> None:
    text = "\n".join(read_out(result(row("edgeseg-onnxruntime", 11), row("onnxruntime-frame", 22))))
    assert (
        "edgeseg-onnxruntime takes 11.0 ms from frame to class map, 1.10 times its bare network (10.0 ms)."
        in text
    )
    assert "Against onnxruntime-frame (22.0 ms, the same map)" in text
    assert "edgeseg-onnxruntime is 2.00 times as fast." in text
    assert "No peer wins in latency, memory, start or agreement." in text
    assert (
        "takes 20.0 times as long, and the fastest other way (OpenCV) 5.0 times. Of the cells, 20.0 %" in text
    )


def test_a_loss_is_said_as_plainly() -> None:
    lines = read_out(
        result(
            row("edgeseg-onnxruntime", 30, memory_mb=150.0),
            row("onnxruntime-frame", 20),
            row("onnxruntime-input", 15, same_map=False, agreement=0.99),
        )
    )
    text = "\n".join(lines)
    assert "edgeseg-onnxruntime is slower: 1.50 times as long." in text
    assert (
        "A peer wins in median latency: onnxruntime-input, whose map is made at the network's size, 15.0 ms against"
        " 30.0 ms of edgeseg-onnxruntime." in text
    )
    assert (
        "A peer wins in memory: onnxruntime-frame, 100.0 MB against 150.0 MB of edgeseg-onnxruntime." in text
    )
    assert "disagreement" not in text


def test_only_the_same_provider_and_precision_are_held_against_each_other() -> None:
    text = "\n".join(
        read_out(
            result(row("edgeseg-onnxruntime", 10), row("openvino-frame", 5, bare_network="openvino bf16"))
        )
    )
    assert "Against openvino-frame" not in text
    assert "A peer wins in median latency: openvino-frame, 5.0 ms" in text


def test_the_plot_is_a_picture_and_the_same_every_time() -> None:
    data = result(
        row("edgeseg-onnxruntime", 11), row("torch-eager", 40), row("onnxruntime-input", 15, same_map=False)
    )
    first = latency_plot(data)
    assert first.startswith(b"\x89PNG")
    assert latency_plot(data) == first


def test_tables_line_up() -> None:
    table = Table(["name", "ms"], [["a", "1.0"], ["long", "10.0"]])
    assert table.plain() == "name    ms\na      1.0\nlong  10.0"
    assert table.markdown() == "| name | ms |\n| --- | ---: |\n| a | 1.0 |\n| long | 10.0 |"


@pytest.mark.parametrize(("coarse_hw", "size_hw"), [((9, 12), (70, 100)), ((16, 20), (16, 20))])
def test_all_ways_to_decode_agree(coarse_hw: tuple[int, int], size_hw: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).standard_normal((5, *coarse_hw), np.float32)
    ways = decoders(5, coarse_hw, size_hw, 1)
    assert {"edgeseg", "onnxruntime Resize + ArgMax"} <= set(ways)
    maps = {name: way(logits).copy() for name, way in ways.items()}
    for name, classes in maps.items():
        assert classes.dtype == np.uint8, name
        # Random logits nearly tie in places, where rounding decides.
        assert (classes == maps["edgeseg"]).mean() > 0.999, name


def test_mixed_cells_are_counted_between_coarse_positions() -> None:
    logits = np.zeros((2, 3, 3), np.float32)
    assert mixed_share(logits) == 0
    logits[1, 0, 0] = 1  # touches one cell of four
    assert mixed_share(logits) == 0.25
    logits[1, 1, 1] = 1  # touches all
    assert mixed_share(logits) == 1
    assert mixed_share(np.zeros((2, 1, 1), np.float32)) == 0
