"""A survey of the networks: cost and available weights, from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..core.errors import ModelError
from . import registry
from .pretrained import available_weights


@dataclass(frozen=True)
class NetworkFacts:
    """One row of ``edgeseg models``.

    Attributes:
        name, summary, paper: as in the registry.
        options: the architecture's own options with their defaults.
        parameters: trainable numbers.
        gflops: of the coarse logits of one image, 1e9 floating-point operations; a multiplication and the addition
            after it are two. The last upsampling is not included: deployment decodes without it. ``None`` if the
            network cannot be deployed at this size.
        stride: input pixels for one coarse logit.
        weights: the names that ``--weights`` accepts.
        refusal: why the network cannot be deployed at this size; empty if it can.
    """

    name: str
    summary: str
    paper: str
    options: dict[str, object]
    parameters: int
    gflops: float | None
    stride: int
    weights: tuple[str, ...]
    refusal: str = ""


def survey(size_hw: tuple[int, int], num_classes: int) -> list[NetworkFacts]:
    """Describes every registered network, on the meta device: only shapes, no memory and no arithmetic.

    Raises:
        ModelError: a class count outside 1 to 255.
    """
    return [_describe(name, size_hw, num_classes) for name in registry.names()]


def _describe(name: str, size_hw: tuple[int, int], num_classes: int) -> NetworkFacts:
    with torch.device("meta"):
        network = registry.build(name, num_classes).eval()
    gflops, refusal = None, ""
    try:
        network.check_input_size(size_hw)
    except ModelError as error:
        refusal = str(error)
    else:
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network.coarse(torch.empty(1, 3, *size_hw, device="meta"))
        gflops = counter.get_total_flops() / 1e9
    spec = registry.spec(name)
    return NetworkFacts(
        name=name,
        summary=spec.summary,
        paper=spec.paper,
        options=registry.options(name),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        gflops=gflops,
        stride=network.stride,
        weights=available_weights(name),
        refusal=refusal,
    )
