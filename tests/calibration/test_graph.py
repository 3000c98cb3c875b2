"""The graph as calibration reads it: the work of each convolution, the gates, and the identity of the graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgeseg.calibration.graph import INPUT, LOGITS, Graph, groups, with_outputs
from edgeseg.calibration.session import open_session

from .conftest import SIZE_HW, Weights, build, nodes


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("stem", 3 * 8 * 9 * 16 * 24),
        ("depth", 8 * 9 * 16 * 24),
        ("point", 8 * 8 * 16 * 24),
        ("squeeze", 8 * 4),
        ("deep", 8 * 12 * 9 * 8 * 12),
        ("up", 12 * 8 * 4 * 8 * 12),  # once an input pixel
        ("score", 16 * 3 * 16 * 24),
    ],
)
def test_multiply_accumulates(graph: Graph, name: str, macs: int) -> None:
    assert graph.operators[name].macs == macs


def test_operators_say_what_they_are(graph: Graph) -> None:
    assert list(graph.operators) == [
        "stem", "depth", "point", "squeeze", "excite", "deep", "up", "score",
    ]  # fmt: skip
    assert graph.operators["depth"].description == "depth, 3 x 3, depthwise"
    assert graph.operators["up"].description == "up, 2 x 2, transposed"
    assert graph.operators["point"].description == "point, 1 x 1"
    assert [groups(node) for node in graph.nodes if node.name in ("depth", "point")] == [8, 1]


def test_only_convolutions_that_see_one_value_a_channel_are_gates(graph: Graph) -> None:
    assert graph.gates == {"squeeze", "excite"}


def test_shapes_are_those_of_one_frame(graph: Graph) -> None:
    assert graph.input_size_hw == SIZE_HW
    assert graph.shapes["sub"] == (1, 3, 32, 48)
    assert graph.shapes["h"] == (1, 12, 8, 12)
    assert graph.shapes["m"] == (1, 8, 1, 1)
    assert graph.shapes[LOGITS] == (1, 3, 16, 24)


def test_who_reads_a_tensor(graph: Graph) -> None:
    assert [node.name for node in graph.consumers["a"]] == ["ReduceMean_8", "Mul_13"]
    assert graph.only_consumer("a") is None
    assert graph.only_consumer(LOGITS) is None
    assert graph.only_consumer("p") is graph.nodes[7]


def test_any_number_of_frames(graph: Graph, frame: np.ndarray) -> None:
    session = open_session(graph.model)
    both = session.run([LOGITS], {INPUT: frame})[0]
    each = [session.run([LOGITS], {INPUT: one[None]})[0][0] for one in frame]
    assert both.shape == (2, 3, 16, 24)
    np.testing.assert_allclose(both, np.stack(each), atol=1e-5)  # sums of float32 in another order


def test_with_outputs_leaves_the_model_as_it_is(graph: Graph) -> None:
    before = graph.model.SerializeToString()
    other = with_outputs(graph.model, ["r", "a"])
    assert [output.name for output in other.graph.output] == ["r", "a"]
    assert graph.model.SerializeToString() == before


class TestDigest:
    def test_a_weight_changes_it(self, graph: Graph, weights: Weights) -> None:
        nudged = weights["deep.weight"].copy()
        nudged[0, 0, 0, 0] = np.nextafter(nudged[0, 0, 0, 0], np.float32(1))
        assert Graph(build({**weights, "deep.weight": nudged})).sha256 != graph.sha256

    def test_an_attribute_changes_it(self, graph: Graph, weights: Weights) -> None:
        operators = nodes()
        (pool,) = (node for node in operators if node.op_type == "MaxPool")
        pool.attribute.append(onnx.helper.make_attribute("ceil_mode", 1))
        assert Graph(build(weights, operators=operators)).sha256 != graph.sha256

    def test_the_wiring_changes_it(self, graph: Graph, weights: Weights) -> None:
        operators = nodes()
        (mul,) = (node for node in operators if node.op_type == "Mul")
        mul.input[0] = "r"
        assert Graph(build(weights, operators=operators)).sha256 != graph.sha256

    def test_the_input_size_changes_it(self, graph: Graph, weights: Weights) -> None:
        assert Graph(build(weights, (32, 64))).sha256 != graph.sha256

    def test_what_computes_nothing_does_not(self, graph: Graph, weights: Weights) -> None:
        model = build(dict(reversed(weights.items())))
        model.doc_string, model.producer_name, model.producer_version = "words", "another", "9"
        model.graph.doc_string = "words"
        for node in model.graph.node:
            node.doc_string = "words"
        assert Graph(model).sha256 == graph.sha256

    def test_the_order_of_attributes_does_not(self, graph: Graph, weights: Weights) -> None:
        operators = nodes()
        for node in operators:
            turned = list(node.attribute)[::-1]
            del node.attribute[:]
            node.attribute.extend(turned)
        assert Graph(build(weights, operators=operators)).sha256 == graph.sha256
