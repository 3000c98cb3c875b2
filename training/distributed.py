"""Training in several processes under torchrun, with the same result as in one: sums, batch norm, the writer."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_f
from torch import Tensor, nn


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins torchrun's group for the block, if there is one: gloo on the CPU, nccl on GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield
        return
    if device.index is not None:
        torch.cuda.set_device(device)  # nccl's barrier takes the current GPU
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        # A network in DistributedDataParallel is in a reference cycle, and holds the group. A thread of the group that
        # is alive while the interpreter ends may abort the process.
        gc.collect()
        dist.destroy_process_group()


def rank() -> int:
    """Returns this process's number under torchrun, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_writer() -> bool:
    """Returns True if this is the process that measures, writes and reports."""
    return rank() == 0


def world_size() -> int:
    """Returns the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_processes(value: Tensor) -> Tensor:
    """Returns the sum over all processes, without gradient."""
    if world_size() == 1:
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def differentiable_sum(value: Tensor) -> Tensor:
    """Returns the sum over all processes; gradients go back to each."""
    return dist_f.all_reduce(value)  # type: ignore[no-untyped-call, no-any-return]


def barrier() -> None:
    """Waits for all processes."""
    if dist.is_initialized():
        dist.barrier()


def synchronize_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Makes batch norm use the joint batch, in place. It also works on the CPU, unlike torch's SyncBatchNorm."""
    if world_size() == 1:
        return
    for name, child in list(network.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            gathered = _sync_batch_norm(child) if device.type == "cuda" else GatheredBatchNorm.of(child)
            setattr(network, name, gathered)
        else:
            synchronize_batch_norm(child, device)


def _sync_batch_norm(own: nn.BatchNorm2d) -> nn.Module:
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(own)  # type: ignore[no-untyped-call]
    return converted


class GatheredBatchNorm(nn.BatchNorm2d):
    """Batch norm over the joint batch of all processes."""

    @classmethod
    def of(cls, own: nn.BatchNorm2d) -> GatheredBatchNorm:
        """Returns one with the parameters and statistics of another batch norm."""
        gathered = cls(own.num_features, own.eps, own.momentum, own.affine, own.track_running_stats)
        gathered.weight, gathered.bias = own.weight, own.bias
        gathered.running_mean, gathered.running_var = own.running_mean, own.running_var
        gathered.num_batches_tracked = own.num_batches_tracked
        return gathered

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        x32 = x.float()
        # All in one message, because each one costs latency: the sums, the sums of squares and the count.
        count = x32.new_tensor([x.numel() / x.shape[1]])
        joint = differentiable_sum(torch.cat([x32.sum((0, 2, 3)), x32.square().sum((0, 2, 3)), count]))
        mean, square, count = joint[: x.shape[1]], joint[x.shape[1] : -1], joint[-1].detach()
        mean, square = mean / count, square / count
        variance = (square - mean.square()).clamp_min(0)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp_min(1), momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (x32 * scale[:, None, None] + shift[:, None, None]).to(x.dtype)
