"""ONNX Runtime's optimized graphs: a graph is optimized once for each machine, and the result is loaded from then on.

An optimized graph fits one CPU and one version of ONNX Runtime. It replaces a file whose SHA-256 the bundle names, so
it is kept like engines: in a folder that is the user's alone, under the SHA-256 of the bytes it was made of, and with
its own SHA-256. Each start reads it once and checks it, and runs exactly the bytes that were read. A stale or altered
graph is made again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...core.callbacks import OnMessage
from ...core.errors import BackendError, OutputError
from ..bundle import Variant
from ..cache import Kind, Store, key_of_fields
from ..cpu import cpu_identity

_GRAPHS = Kind(
    "graph", "graphs", danger="what lies there is run as if it were the bundle's", key_of=key_of_fields
)
_FORM = 2
"""The version of what the session makes of a graph. It rises when its settings change, so that no older graph is
used."""
_MOST_BYTES = 1 << 30


class GraphCache:
    """The optimized form of one variant.

    If the cache cannot be used, the variant runs without it; ``on_message`` gets that once.

    Args:
        variant: the variant that is run.
        version: of ONNX Runtime.
        settings: those of the session that change the optimized graph.
        on_message: called if the cache cannot be used, or if a part of it cannot be trusted.
        folder: the cache; the user's own if None.
    """

    def __init__(
        self,
        variant: Variant,
        version: str,
        settings: Mapping[str, str],
        on_message: OnMessage,
        folder: Path | None = None,
    ) -> None:
        self._store = Store(_GRAPHS, folder)
        self._on_message = on_message
        self._version = version
        self._identity: dict[str, Any] = {
            "form": _FORM,
            "onnx_sha256": variant.sha256,
            "onnxruntime": version,
            "cpu": cpu_identity(),
            "settings": dict(settings),
        }
        self._key = key_of_fields(self._identity)
        self._usable = True

    def find(self) -> bytes | None:
        """Returns the optimized graph, every byte checked; None if no usable one exists."""
        try:
            graph, why = self._store.load(self._key)
        except (BackendError, OutputError) as error:
            self._give_up(error)
            return None
        if why:
            self._on_message(f"optimizing the graph again: {why}")
        return graph

    @contextmanager
    def writing(self) -> Iterator[Path | None]:
        """Gives a path for a session's optimized graph, which is stored at the block's end; None if it cannot be."""
        if not self._usable:
            yield None
            return
        try:
            folder = tempfile.TemporaryDirectory(prefix="edgeseg-")
        except OSError as error:
            self._give_up(OutputError(f"there is no room for a temporary file: {error.strerror}"))
            yield None
            return
        with folder:
            path = Path(folder.name) / "optimized.onnx"
            yield path
            self._keep(path)

    def _keep(self, optimized: Path) -> None:
        try:
            content = optimized.read_bytes()
            self._store.store(self._key, self._identity, content, {"onnxruntime": self._version})
            self._store.trim(_MOST_BYTES)
        except OSError as error:
            self._give_up(OutputError(f"ONNX Runtime wrote none: {error.strerror}"))
        except (BackendError, OutputError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        self._on_message(f"the optimized graph is not kept, and each start makes it again: {error}")
