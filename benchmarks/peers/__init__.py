"""The contenders of the benchmark by name: edgeseg on each backend, and the usual ways to use its peers."""

from __future__ import annotations

from typing import cast

from ...core.errors import UsageError
from ...core.registry import Registry, load
from ...runtime import backends
from .base import Peer

OURS = "edgeseg"
_PEERS: Registry[str] = Registry("contender", UsageError)
"""The name of each contender; the part before the first hyphen is the name of its group."""

register, names = _PEERS.register, _PEERS.names


def groups() -> tuple[str, ...]:
    """Returns the projects that edgeseg is compared with, in order of registration."""
    return tuple(dict.fromkeys(group for group in map(group_of, _PEERS) if group != OURS))


def group_of(name: str) -> str:
    """Returns the project of a contender."""
    return name.partition("-")[0]


def peer_class(name: str) -> type[Peer]:
    """Returns a contender's class. Its module imports nothing heavy.

    Raises:
        UsageError: there is none of this name; the message lists the known ones.
    """
    return cast("type[Peer]", load(_PEERS.entry(name)))


for _backend in backends.names():
    register(f"{OURS}-{_backend}", "edgeseg.benchmarks.peers.ours:EdgesegPeer")
register(f"{OURS}-onnxruntime-spin", "edgeseg.benchmarks.peers.ours:EdgesegPeer")
register(f"{OURS}-openvino-f32", "edgeseg.benchmarks.peers.ours:EdgesegPeer")
register("onnxruntime-frame", "edgeseg.benchmarks.peers.onnxruntime:FrameSizedLogits")
register("onnxruntime-frame-argmax", "edgeseg.benchmarks.peers.onnxruntime:FrameSizedArgMax")
register("onnxruntime-input", "edgeseg.benchmarks.peers.onnxruntime:InputSizedLogits")
register("onnxruntime-input-argmax", "edgeseg.benchmarks.peers.onnxruntime:InputSizedArgMax")
register("openvino-frame", "edgeseg.benchmarks.peers.openvino:FrameSized")
register("openvino-frame-f32", "edgeseg.benchmarks.peers.openvino:FrameSizedFloat32")
register("openvino-input", "edgeseg.benchmarks.peers.openvino:InputSized")
register("openvino-input-f32", "edgeseg.benchmarks.peers.openvino:InputSizedFloat32")
register("torch-eager", "edgeseg.benchmarks.peers.torch:Eager")
register("torch-eager-bf16", "edgeseg.benchmarks.peers.torch:EagerBfloat16")
register("torch-compile", "edgeseg.benchmarks.peers.torch:Compiled")
register("torch-compile-bf16", "edgeseg.benchmarks.peers.torch:CompiledBfloat16")
