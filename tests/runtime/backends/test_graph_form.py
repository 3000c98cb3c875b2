"""The forms that a graph must not have, and must not hide from a reader that reads it otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeseg.core.errors import BackendError
from edgeseg.runtime.backends import graph_form
from edgeseg.runtime.backends.graph_form import check_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

ORIGIN = Path("bundle/x.onnx")
MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR = (
    onnx.ModelProto, onnx.GraphProto, onnx.NodeProto, onnx.AttributeProto, onnx.TensorProto
)  # fmt: skip
ELSEWHERE = "keeps tensors in other files"


def varint(value: int, more: int = 0) -> bytes:
    """A number, with ``more`` bytes that add nothing."""
    out = bytearray()
    while value > 0x7F or more:
        out.append(value & 0x7F | 0x80)
        more -= value <= 0x7F
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def model_of(tensor: bytes) -> bytes:
    """A model that gives one constant of four numbers, from its bytes."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "g", [], [helper.make_tensor_value_info("y", 1, [4])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model.ClearField("graph")
    return model.SerializeToString() + field(7, graph.SerializeToString() + field(5, tensor))


INSIDE = numpy_helper.from_array(np.ones(4, np.float32), "w").SerializeToString()
LOCATION = field(13, field(1, b"location") + field(2, b"elsewhere.bin"))


def a_model() -> onnx.ModelProto:
    return onnx.load_model_from_string(model_of(INSIDE))


def test_a_plain_graph_passes() -> None:
    check_graph(model_of(INSIDE), ORIGIN)


def test_a_tag_of_five_bytes_hides_nothing() -> None:
    """ONNX Runtime drops the bits above 32, and reads a tensor in another file."""
    high = 1 << 32
    hidden = varint(high | 14 << 3) + varint(1) + varint(high | 13 << 3 | 2) + LOCATION[1:]
    assert len(varint(high | 14 << 3)) == 5
    graph = model_of(INSIDE + hidden)
    with pytest.raises(Exception, match=r"elsewhere\.bin|[Ee]xternal"):
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    with pytest.raises(
        BackendError, match=r"x\.onnx is no ONNX graph \(the number at byte \d+ is not written"
    ):
        check_graph(graph, ORIGIN)


def _outside(tensor: TensorProto) -> None:
    tensor.dims.append(4)
    tensor.data_type = TensorProto.FLOAT
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "elsewhere.bin"


@pytest.mark.parametrize(
    "place",
    [
        lambda model: model.graph.initializer.add(),
        lambda model: model.graph.node.add().attribute.add().t,
        lambda model: model.graph.node.add().attribute.add().tensors.add(),
    ],
)
def test_external_data_is_found_wherever_a_tensor_can_be(place: Callable[..., Any]) -> None:
    model = a_model()
    _outside(place(model))
    with pytest.raises(BackendError, match=ELSEWHERE):
        check_graph(model.SerializeToString(), ORIGIN)


def test_a_location_alone_is_enough_and_the_usual_one_is_no_matter() -> None:
    model = a_model()
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    check_graph(model.SerializeToString(), ORIGIN)
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(BackendError, match=ELSEWHERE):
        check_graph(model.SerializeToString(), ORIGIN)


@pytest.mark.parametrize(
    ("add", "what"),
    [
        (lambda model: model.graph.node.add().attribute.add().g.SetInParent(), "a loop or a branch"),
        (lambda model: model.graph.node.add().attribute.add().graphs.add(), "a loop or a branch"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse tensors"),
        (lambda model: model.graph.node.add().attribute.add().sparse_tensor.SetInParent(), "sparse tensors"),
        (lambda model: model.graph.node.add().attribute.add().sparse_tensors.add(), "sparse tensors"),
        (lambda model: model.functions.add(), "functions"),
        (lambda model: model.training_info.add(), "training information"),
        (lambda model: setattr(model.graph.node.add(), "domain", "com.microsoft"), "operators of 'com.microsoft'"),
        (lambda model: setattr(model.graph.node.add(), "domain", "\x1b[31m"), r"operators of '\\x1b\[31m'"),
    ],
)  # fmt: skip
def test_what_edgesegs_graphs_do_not_have(add: Callable[[onnx.ModelProto], object], what: str) -> None:
    model = a_model()
    add(model)
    with pytest.raises(BackendError, match=rf"x\.onnx has {what}"):
        check_graph(model.SerializeToString(), ORIGIN)


def test_an_endless_loop_is_refused_before_anything_opens_it() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("c", 9, [])],
        [helper.make_tensor_value_info("d", 9, [])],
    )
    model = a_model()
    model.graph.node.append(helper.make_node("Loop", ["", "true"], [], body=body))
    with pytest.raises(
        BackendError, match="has a loop or a branch, and how long such a graph runs is not known"
    ):
        check_graph(model.SerializeToString(), ORIGIN)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it holds no graph"),
        (b"\xff" * 40, "is not written as numbers are"),
        (b"\xff" * 2_000_000, "is not written as numbers are"),
        (b"not a graph", "wire type|which ONNX has not|of another type"),
        (field(7, b"")[:-1] + b"\x05", "a field runs past its message"),
        (b"\x38\x00", "field 7 of its model is of another type"),
        (field(7, b"") * 2, "field 7 of its model comes twice"),
        (field(7, field(2, b"g") * 2), "field 2 of its graph comes twice"),
        (field(7, field(99, b"")), "its graph has a field 99, which ONNX has not"),
        (b"\x3b\x3c", "wire type 3"),
        (b"\xba\x00\x00", "is not written as numbers are"),
        (b"\x3a\x80\x00", "is not written as numbers are"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "is not written as numbers are"),
    ],
)
def test_what_is_not_written_as_graphs_are(data: bytes, why: str) -> None:
    with pytest.raises(BackendError, match=rf"x\.onnx is no ONNX graph \(.*({why})"):
        check_graph(data, ORIGIN)


def test_numbers_are_taken_packed_and_one_by_one_and_below_zero() -> None:
    one_by_one = b"".join(b"\x08" + varint(value) for value in (1, (1 << 64) - 1))
    for dims in (one_by_one, field(1, varint(1) + varint((1 << 64) - 1))):
        check_graph(field(7, field(5, dims)), ORIGIN)


def test_reading_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_form, "_MOST_FIELDS", 1000)
    with pytest.raises(BackendError, match="it has more than 1000 fields"):
        check_graph(field(7, field(1, b"") * 2000), ORIGIN)


def test_the_fields_are_those_of_onnx() -> None:
    """A message that another version of ONNX lets lead to a tensor is noticed here."""
    for name, kind in {
        "model": MODEL,
        "graph": GRAPH,
        "node": NODE,
        "attribute": ATTRIBUTE,
        "tensor": TENSOR,
    }.items():
        known = graph_form._MESSAGES[name]
        there = {each.number: each for each in kind.DESCRIPTOR.fields}
        assert set(known) == set(there), name
        for number, each in there.items():
            leads = each.message_type is not None and each.message_type.name in _LEADING
            assert bool(known[number].child or known[number].refused) == (
                leads or (number in (13, 14) and name == "tensor")
            )
            assert known[number].repeated == each.is_repeated or known[number].refused, (name, number)


_LEADING = ("GraphProto", "NodeProto", "AttributeProto", "TensorProto", "SparseTensorProto", "FunctionProto",
            "TrainingInfoProto")  # fmt: skip

_SPELLINGS = st.fixed_dictionaries(
    {
        "high": st.integers(0, (1 << 35) - 1),
        "more": st.integers(0, 6),
        "wire": st.sampled_from((0, 1, 2, 3, 4, 5, 6, 7)),
        "value": st.integers(0, (1 << 64) - 1),
        "twice": st.booleans(),
        "last": st.booleans(),
    }
)


def _spelled(number: int, body: bytes | None, how: dict[str, Any], usual: bool) -> bytes:
    """A field in the usual spelling, or in one that is not."""
    wire = (0 if body is None else 2) if usual else how["wire"]
    tag = varint((0 if usual else how["high"] << 32) | number << 3 | wire, 0 if usual else how["more"])
    value = varint(1 if usual else how["value"] % 3, 0 if usual else how["more"])
    data = value if body is None else varint(len(body), 0 if usual else how["more"]) + body
    return (tag + data) * (1 + how["twice"])


@settings(max_examples=100, deadline=None)
@given(
    location=_SPELLINGS,
    data=_SPELLINGS,
    usual=st.tuples(st.booleans(), st.booleans()),
    parts=st.tuples(st.booleans(), st.booleans()),
    place=st.sampled_from(("after", "before", "merged")),
)
def test_either_it_is_refused_or_onnx_runtime_sees_no_other_file(
    location: dict[str, Any],
    data: dict[str, Any],
    usual: tuple[bool, bool],
    parts: tuple[bool, bool],
    place: str,
) -> None:
    hidden = b""
    if parts[0]:
        hidden += _spelled(14, None, location, usual[0])
    if parts[1]:
        hidden += _spelled(13, field(1, b"location") + field(2, b"elsewhere.bin"), data, usual[1])
    tensor = {"after": INSIDE + hidden, "before": hidden + INSIDE, "merged": INSIDE}[place]
    graph = model_of(tensor)
    if place == "merged":  # a second graph, which the library adds to the first
        graph += field(7, field(5, hidden))
    try:
        check_graph(graph, ORIGIN)
    except BackendError:
        return
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {})[0], np.ones(4, np.float32))
