"""The C library refuses the graphs that Python refuses, before ONNX Runtime sees them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeseg.core.errors import BackendError
from edgeseg.runtime.backends.graph_form import check_graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ...support.bundles import brightness_graph
from ...support.c_library import Pieces

GRAPH = brightness_graph((8, 8)).SerializeToString()
few = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(graph: bytes) -> str:
    """Python's reason, empty where it accepts the graph."""
    try:
        check_graph(graph, Path("the graph"))
    except BackendError as error:
        return str(error)
    return ""


def test_a_graph_of_ours_is_accepted(pieces: Pieces) -> None:
    assert pieces.graph_refusal(GRAPH) == refusal(GRAPH) == ""


def test_a_changed_graph_is_judged_as_python_judges_it(pieces: Pieces) -> None:
    """Five thousand graphs, each a few bytes away from ours."""
    generator = random.Random(1)
    tags = [0x80, 0xFF, 0x6A, 0x72, 0x7A, 0x3A, 0x32, 0x0A, 0x08, 0x00]
    accepted = 0
    for _ in range(5000):
        graph = bytearray(GRAPH)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(graph))
            byte = generator.choice([generator.randrange(256), *tags])
            graph[place : place + generator.randint(0, 1)] = bytes([byte])
        if generator.random() < 0.1:
            del graph[generator.randrange(len(graph)) :]
        refused = refusal(bytes(graph))
        assert bool(pieces.graph_refusal(bytes(graph))) == bool(refused), (graph.hex(), refused)
        accepted += not refused
    assert 250 < accepted < 4750


@few
@given(st.binary(max_size=60))
def test_any_bytes_at_all(pieces: Pieces, graph: bytes) -> None:
    assert bool(pieces.graph_refusal(graph)) == bool(refusal(graph))


def changed(kind: str) -> bytes:
    model = brightness_graph((8, 8))
    if kind == "external":
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../secret")
    elif kind == "loop":
        body = helper.make_graph([], "body", [], [])
        model.graph.node.append(helper.make_node("Loop", ["a", "b"], ["c"], body=body))
    elif kind == "function":
        model.functions.add(name="f", domain="d")
    elif kind == "training":
        model.training_info.add()
    elif kind == "sparse":
        model.graph.sparse_initializer.add()
    elif kind == "domain":
        model.graph.node[0].domain = "com.microsoft"
    return model.SerializeToString()


@pytest.mark.parametrize("kind", ["external", "loop", "function", "training", "sparse"])
def test_the_reasons_are_pythons(pieces: Pieces, kind: str) -> None:
    said = pieces.graph_refusal(changed(kind))
    assert said
    assert said == refusal(changed(kind))


def test_operators_of_others(pieces: Pieces) -> None:
    assert "has operators of another domain than ONNX's" in pieces.graph_refusal(changed("domain"))
    assert "has operators of 'com.microsoft'" in refusal(changed("domain"))


def test_what_is_no_graph(pieces: Pieces) -> None:
    assert (
        pieces.graph_refusal(b"") == "the graph is no ONNX graph (it holds no graph); export the bundle again"
    )
    assert "(a field runs past its message)" in pieces.graph_refusal(GRAPH[:-1])


def test_the_longest_numbers(pieces: Pieces) -> None:
    """Numbers of 64 bits are a field's value, more are none, and a byte that adds nothing is not allowed."""
    for number in (
        b"\xff" * 9 + b"\x01",
        b"\xff" * 9 + b"\x02",
        b"\xff" * 10 + b"\x01",
        b"\x81\x00",
        b"\x00",
    ):
        graph = b"\x08" + number + GRAPH[2:]
        assert bool(pieces.graph_refusal(graph)) == bool(refusal(graph)), number


def test_a_graph_of_some_megabytes(pieces: Pieces) -> None:
    model = brightness_graph((8, 8))
    big = np.zeros(1 << 20, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(big, "big"))
    assert pieces.graph_refusal(model.SerializeToString()) == ""
