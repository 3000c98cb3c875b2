"""Starting a network from a checkpoint: its own, one of other classes, or the stage before it."""

from __future__ import annotations

from ..runtime.errors import CheckpointError
from .base import SegmentationNetwork
from .checkpoint import Checkpoint, load_state

_STAGE_BEFORE = {"fcn16s": "fcn32s", "fcn8s": "fcn16s"}


def start_from(
    network: SegmentationNetwork, architecture: str, checkpoint: Checkpoint, source: str
) -> tuple[str, ...]:
    """Loads a checkpoint to train on from.

    The same network takes all its weights. Where the checkpoint tells other classes apart, the tensors whose
    shape depends on their number stay fresh. FCN-16s starts from FCN-32s and FCN-8s from FCN-16s as in the paper.

    Args:
        network: fresh; changed in place.
        architecture: its name in the registry.
        checkpoint: to start from.
        source: what to call it in messages.

    Returns:
        The keys that stayed fresh; empty where everything was loaded.

    Raises:
        CheckpointError: the checkpoint is of another network.
    """
    before = checkpoint.info.architecture
    if before != architecture and before == _STAGE_BEFORE.get(architecture):
        from .fcn import FCN, load_previous_stage

        assert isinstance(network, FCN)
        load_previous_stage(network, checkpoint.state)
        return ()
    if before != architecture:
        also = (
            f", or {_STAGE_BEFORE[architecture]} (the stage before it)"
            if architecture in _STAGE_BEFORE
            else ""
        )
        raise CheckpointError(
            f"{source} is a {before} checkpoint; {architecture} starts from {architecture}{also}"
        )
    own = network.state_dict()
    fresh: tuple[str, ...] = ()
    if len(checkpoint.info.labels) != network.num_classes:
        fresh = tuple(
            key for key, value in checkpoint.state.items() if key in own and own[key].shape != value.shape
        )
    state = {**checkpoint.state, **{key: own[key] for key in fresh}}
    load_state(network, state, source)
    return fresh
