"""ONNX Runtime's optimized graphs: a session optimizes a graph once a machine, and loads what came of it from then on.

An optimized graph is laid out for one CPU and one version of ONNX Runtime. It takes the place of a file whose SHA-256
the bundle names, so it is kept as engines are: in a folder of the user's alone, under the SHA-256 of the bytes that it
was made of, with its own. At each start it is read once, checked, and what was read is what runs. What is stale or
altered is made anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...core.errors import BackendError, OutputError
from ..bundle import Variant
from ..cache import Kind, Store, key_of_fields
from ..cpu import cpu_identity
from .base import Say

_GRAPHS = Kind(
    "graph", "graphs", danger="what lies there is run as if it were the bundle's", key_of=key_of_fields
)
_FORM = 2
"""What the session makes of a graph. Raised where its settings change, so that no older graph is taken."""
_MOST_BYTES = 1 << 30


class GraphCache:
    """The optimized form of one variant.

    Where the cache cannot be used, the variant runs without; that is said once.

    Args:
        variant: what is run.
        version: of ONNX Runtime.
        settings: of the session, as far as they change the optimized graph.
        say: is told where the cache cannot be used, and where something in it is not to be trusted.
        folder: the cache; the user's own where None.
    """

    def __init__(
        self,
        variant: Variant,
        version: str,
        settings: Mapping[str, str],
        say: Say,
        folder: Path | None = None,
    ) -> None:
        self._store = Store(_GRAPHS, folder)
        self._say = say
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
        """The optimized graph, every byte checked; None where there is none that may be used."""
        try:
            graph, why = self._store.load(self._key)
        except (BackendError, OutputError) as error:
            self._leave(error)
            return None
        if why:
            self._say(f"optimizing the graph again: {why}")
        return graph

    @contextmanager
    def writing(self) -> Iterator[Path | None]:
        """Where a session may write the graph that it optimizes, to be stored at the block's end; or None."""
        if not self._usable:
            yield None
            return
        try:
            folder = tempfile.TemporaryDirectory(prefix="edgeseg-")
        except OSError as error:
            self._leave(OutputError(f"there is no room for a temporary file: {error.strerror}"))
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
            self._leave(OutputError(f"ONNX Runtime wrote none: {error.strerror}"))
        except (BackendError, OutputError) as error:
            self._leave(error)

    def _leave(self, error: Exception) -> None:
        self._usable = False
        self._say(f"the optimized graph is not kept, and each start makes it again: {error}")
