"""The part of TensorRT's messages that is kept."""

from __future__ import annotations

import pytest
from edgeseg.runtime.tensorrt.messages import Messages, make_logger
from edgeseg.runtime.tensorrt.module import TensorRT


def test_a_warning_is_told_once() -> None:
    messages = Messages()
    for _ in range(3):
        messages.add_warning("the weights were rounded")
    assert messages.warnings() == ["the weights were rounded"]


def test_warnings_that_differ_in_names_alone_are_counted() -> None:
    messages = Messages()
    for name in ("/head/conv", "/head/relu", "/body/pool"):
        messages.add_warning(f"Layer '{name}' (SHUFFLE): Unsupported on DLA. Switching it to GPU.")
    messages.add_warning("something else")
    assert messages.warnings() == [
        "Layer '/head/conv' (SHUFFLE): Unsupported on DLA. Switching it to GPU. (and 2 like it)",
        "something else",
    ]


def test_what_is_kept_is_bounded() -> None:
    """A run of several days may warn at every frame."""
    messages = Messages()
    for number in range(1000):
        messages.add_error(f"error {number}")
        messages.add_warning(f"frame {number} was slow")
        messages.add_warning("strange " + "very " * number + "thing")
    assert len(messages.errors) == 100
    assert messages.cause("none") == "error 997; error 998; error 999"
    warnings = messages.warnings()
    assert warnings[0] == "frame 0 was slow (and 100 or more like it)"
    assert len(warnings) == 100


def test_noise_is_left_out() -> None:
    messages = Messages()
    messages.add_warning("CUDA lazy loading is not enabled. Enabling it can save memory.")
    messages.add_warning("")
    assert messages.warnings() == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("ModelImporter.cpp:140: While parsing node 1:", "While parsing node 1:"),
        ("[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda", "Error Code 1: Cuda"),
        ("two\nlines", "two lines"),
    ],
)
def test_errors_are_one_line_without_the_place_in_its_source(said: str, kept: str) -> None:
    messages = Messages()
    messages.add_error(said)
    messages.add_error(said)
    assert messages.errors == [kept]


def test_the_cause_is_the_last_errors() -> None:
    messages = Messages()
    assert messages.cause("none given") == "none given"
    for number in range(5):
        messages.add_error(f"error {number}")
    assert messages.cause("none given") == "error 2; error 3; error 4"


def test_the_logger_sorts_by_severity(rtx: TensorRT, capfd: pytest.CaptureFixture[str]) -> None:
    messages = Messages()
    logger = make_logger(rtx.module, messages)
    severity = rtx.module.ILogger
    logger.log(severity.INTERNAL_ERROR, "one")
    logger.log(severity.ERROR, "two")
    logger.log(severity.WARNING, "three")
    logger.log(severity.INFO, "four")
    logger.log(severity.VERBOSE, "five")
    assert (messages.errors, messages.warnings()) == (["one", "two"], ["three"])
    assert capfd.readouterr() == ("", "")


def test_a_process_has_one_logger_that_all_hear(rtx: TensorRT) -> None:
    """TensorRT ignores a second logger while anything of its own lives, a running backend for instance."""
    first, second = Messages(), Messages()
    logger = make_logger(rtx.module, first)
    runtime_or_builder = rtx.module.Builder(logger)
    assert make_logger(rtx.module, second) is logger
    another = rtx.module.Builder(logger)
    logger.log(rtx.module.ILogger.WARNING, "of the weather")
    assert first.warnings() == second.warnings() == ["of the weather"]
    del runtime_or_builder, another, first
    logger.log(rtx.module.ILogger.WARNING, "of a storm")
    assert second.warnings() == ["of the weather", "of a storm"]


@pytest.mark.parametrize(
    ("said", "node"),
    [
        (  # TensorRT 8.5, a depthwise convolution and a swish between Q and DQ
            "[optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error (Could not find any implementation for"
            " node w + node_of_dqconv.dwconv + PWN(node_of_swish.sigmoid, node_of_swish.mul).)",
            "w + node_of_dqconv.dwconv + PWN(node_of_swish.sigmoid, node_of_swish.mul)",
        ),
        (  # TensorRT 8.6, a depthwise convolution between Q and DQ
            "10: Could not find any implementation for node weights + node_of_weights_quantized + node_of_output.",
            "weights + node_of_weights_quantized + node_of_output",
        ),
        (  # TensorRT 8.2
            "[optimizer.cpp::computeCosts::2011] Error Code 10: Internal Error (Could not find any implementation for"
            " node conv1.weight + QuantizeLinear_7_quantize_scale_node + (Unnamed Layer* 14) [Shuffle] + Conv_9 +"
            " PWN(LeakyRelu_10).)",
            "conv1.weight + QuantizeLinear_7_quantize_scale_node + (Unnamed Layer* 14) [Shuffle] + Conv_9 +"
            " PWN(LeakyRelu_10)",
        ),
        (  # TensorRT 10.12, a foreign node
            "IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any implementation for"
            " node {ForeignNode[or_constant_out + ONNXTRT_Broadcast...node_of_output]}.)",
            "{ForeignNode[or_constant_out + ONNXTRT_Broadcast...node_of_output]}",
        ),
        (  # with the place in its source behind it, as TensorRT for RTX ends its messages
            "Error Code 10: Internal Error (Could not find any implementation for node Conv_57 + PWN(HardSwish_58)."
            " In computeCosts at /_src/optimizer/optimizer.cpp:4040)",
            "Conv_57 + PWN(HardSwish_58)",
        ),
        ("Error Code 2: Internal Error (Assertion engine != nullptr failed. )", ""),
    ],
)
def test_the_node_without_a_kernel_is_named(said: str, node: str) -> None:
    messages = Messages()
    messages.add_error(said)
    messages.add_error("Error Code 2: Internal Error (Assertion engine != nullptr failed. )")
    assert messages.node_without_kernel() == node
