"""Folding of constant operations into a network's weights, before the network becomes a graph.

Batch normalization folds into the convolution before it. The input's channel order and scale fold into the first
convolution. One forward pass on shapes alone shows which operator feeds which; names and nesting of modules are not
used. If a fold would not be exact, the network stays as it is. All arithmetic is in float64 and rounded once: folding
after rounding to float16 would cost accuracy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_CONVOLUTION = torch.ops.aten.convolution.default
_PADDING = torch.ops.aten.constant_pad_nd.default


class GlobalMean(nn.Module):
    """``AdaptiveAvgPool2d(1)`` as a plain mean, [N, C, H, W] -> [N, C, 1, 1].

    The exporter writes the adaptive form as a mean, a reshape and a gather. The sum over a whole feature map is in
    float32: in float16 it could exceed 65504.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((2, 3), keepdim=True).to(x.dtype)


def plain_pooling(network: nn.Module) -> None:
    """Replaces every global average pooling of a network with ``GlobalMean``, in place."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            network.set_submodule(name, GlobalMean())


def fold_batch_norms(network: nn.Module, size_hw: tuple[int, int]) -> int:
    """Folds each batch normalization into the convolution before it, in place, if only that convolution feeds it.

    Args:
        network: in evaluation mode.
        size_hw: an input size that it accepts.

    Returns:
        The number of folded layers.
    """
    flow = _record(network, size_hw)
    pairs = []
    for conv_name, conv in _modules(network, nn.Conv2d).items():
        call = flow.only_use_of(f"{conv_name}.weight")
        if call is None or call.function is not _CONVOLUTION:
            continue
        after = flow.only_consumer(call.output)
        if after is None:
            continue
        for norm_name, norm in _modules(network, nn.BatchNorm2d).items():
            if after is flow.only_use_of(f"{norm_name}.running_mean") and after.inputs[0] is call.output:
                pairs.append((conv, norm_name, norm))
    for conv, norm_name, norm in pairs:
        _fold_norm(conv, norm)
        network.set_submodule(norm_name, nn.Identity())
    return len(pairs)


def fold_input(network: nn.Module, size_hw: tuple[int, int], scale_rgb: Tensor) -> bool:
    """Makes a network take BGR at 0 to 255, minus the mean, instead of RGB times ``scale_rgb``; in place.

    The scale and the channel order commute with zero padding, so they fold into the weights of the convolution that
    reads the input, padded or not. The mean does not: folded into the bias it would also be subtracted from the
    padding, and the border would change. It stays in the graph.

    Args:
        network: in evaluation mode.
        size_hw: an input size that it accepts.
        scale_rgb: float [3], the factor of each channel.

    Returns:
        True if it was folded; False if the input is not read by exactly one plain convolution.
    """
    flow = _record(network, size_hw)
    call = flow.only_consumer(flow.input)
    while call is not None and call.pads_with_zeros:
        call = flow.only_consumer(call.output)
    if call is None or call.function is not _CONVOLUTION:
        return False
    for name, conv in _modules(network, nn.Conv2d).items():
        if call is flow.only_use_of(f"{name}.weight") and conv.groups == 1:
            scaled = conv.weight.double() * scale_rgb.double().view(1, 3, 1, 1)  # [O, 3, kh, kw], RGB
            conv.weight = nn.Parameter(scaled.flip(1).to(conv.weight.dtype), requires_grad=False)
            return True
    return False


def _fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    bias = -norm.running_mean.double() * gain
    if conv.bias is not None:
        bias = bias + conv.bias.double() * gain
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight = conv.weight.double() * gain.view(-1, 1, 1, 1)
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)


def _modules(network: nn.Module, kind: type[Any]) -> dict[str, Any]:
    return {name: module for name, module in network.named_modules() if isinstance(module, kind)}


@dataclass(frozen=True)
class _Call:
    """One operator of a forward pass, with its tensors by identity."""

    function: object
    inputs: tuple[Tensor, ...]
    output: Tensor
    constants: tuple[object, ...]

    @property
    def pads_with_zeros(self) -> bool:
        """True if it only pads with zeros. The operator's arguments are the tensor, the widths and the value."""
        return self.function is _PADDING and self.constants[2:] in ((), (0,), (0.0,))


@dataclass(frozen=True)
class _Flow:
    """Every operator of a forward pass; it holds the tensors so that their identities stay distinct."""

    calls: tuple[_Call, ...]
    input: Tensor
    named: Mapping[str, Tensor]

    def only_consumer(self, tensor: Tensor) -> _Call | None:
        """Returns the one operator that reads a tensor; None if there is none, or more than one."""
        calls = [call for call in self.calls if any(read is tensor for read in call.inputs)]
        return calls[0] if len(calls) == 1 else None

    def only_use_of(self, name: str) -> _Call | None:
        """Returns the one operator that reads a parameter or buffer."""
        return self.only_consumer(self.named[name]) if name in self.named else None


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = torch.utils._pytree.tree_leaves((args, kwargs))
        first = torch.utils._pytree.tree_leaves(result)[0]
        tensors = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
        constants = tuple(None if isinstance(value, Tensor) else value for value in args)
        self.calls.append(_Call(func, tensors, first, constants))
        return result


def _record(network: nn.Module, size_hw: tuple[int, int]) -> _Flow:
    """Runs the network on the meta device: only shapes, no arithmetic and no memory."""
    shadow = copy.deepcopy(network).to("meta")
    x = torch.empty(1, 3, *size_hw, device="meta")
    with torch.no_grad(), _Recorder() as recorder:
        shadow.coarse(x)  # type: ignore[operator]
    named = {**dict(shadow.named_parameters()), **dict(shadow.named_buffers())}
    return _Flow(tuple(recorder.calls), x, named)
