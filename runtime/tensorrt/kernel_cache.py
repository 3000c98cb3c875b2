"""The kernels that TensorRT for RTX compiles for an engine on one GPU, kept for the next start."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...core.errors import EdgesegError
from ..cache import Kind, Store, key_of_fields
from .identity import EngineIdentity

if TYPE_CHECKING:
    from .cuda.base import Gpu

log = logging.getLogger(__name__)

_KERNELS = Kind("kernels", "kernels", danger="kernels are executable code", key_of=key_of_fields)


class KernelCache:
    """Keeps the kernels that TensorRT for RTX would otherwise compile at each start.

    A start without the cache is slower but otherwise the same, so its errors are logged and not raised. TensorRT itself
    refuses kernels of another version, GPU or driver.

    Args:
        identity: the engine's.
        gpu: the GPU that runs it.
        store: where kernels are kept; the user's own cache if None.
    """

    def __init__(self, identity: EngineIdentity, gpu: Gpu, store: Store | None = None) -> None:
        self._identity = {"engine": identity.key, "gpu": gpu.name, "multiprocessors": gpu.multiprocessors}
        self._version = {identity.flavour: identity.version}
        self._key = key_of_fields(self._identity)
        self._store = store or Store(_KERNELS)
        self._kept = b""

    def attach(self, runtime_config: Any) -> None:
        """Gives a runtime configuration the kernels of earlier starts, and lets it collect new ones."""
        if not hasattr(runtime_config, "create_runtime_cache"):
            return
        self._cache = runtime_config.create_runtime_cache()
        try:
            content, why = self._store.load(self._key)
        except EdgesegError as error:
            content, why = None, str(error)
        if why:
            log.warning("compiling the engine's kernels again: %s", why)
        if content is not None and self._cache.deserialize(content):
            self._kept = content
        if hasattr(runtime_config, "set_runtime_cache"):
            runtime_config.set_runtime_cache(self._cache)

    def store(self) -> None:
        """Writes the compiled kernels if they differ from those that were read."""
        if "_cache" not in self.__dict__:
            return
        content = bytes(self._cache.serialize())
        if content == self._kept:
            return
        try:
            self._store.store(self._key, self._identity, content, self._version)
        except EdgesegError as error:
            log.warning("the engine's kernels are compiled again at the next start: %s", error)
        self._kept = content

    def close(self) -> None:
        """Drops TensorRT's object."""
        self.__dict__.pop("_cache", None)
