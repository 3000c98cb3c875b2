"""What an engine is: all that decides whether it may run here, and whether it is the one that was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..bundle import Variant
from .module import FLAVOURS, TensorRT
from .options import BuildOptions

if TYPE_CHECKING:
    from ..cuda.base import Gpu

_FORM = 1
"""What the builder makes of a graph and these options. Raised where that changes, so that no older engine is taken."""

_ANY = "any GPU"
_FROM_AMPERE = "8.0 or later"
_NO_GPU = "no GPU"
_OPEN = "as TensorRT chooses"


@dataclass(frozen=True)
class EngineIdentity:
    """What an engine is.

    Attributes:
        bundle: the name of the bundle's folder. It and ``variant`` find the nearest engine; they are not part of
            the key, for a renamed bundle runs the same engine.
        variant: its name in the bundle.
        precision: ``fp32``, ``fp16`` or ``int8``.
        onnx_sha256: of the graph.
        flavour: the TensorRT module that built it, and alone can load it.
        version: of that.
        gpu: the GPU's name, or ``any GPU``.
        compute_capability: of the GPU, such as ``8.7``; those that were asked for, such as ``8.6, 8.9``; or
            ``8.0 or later``.
        options: how it was built, the size of the class map filled in.
    """

    bundle: str
    variant: str
    precision: str
    onnx_sha256: str
    flavour: str
    version: str
    gpu: str
    compute_capability: str
    options: BuildOptions

    @classmethod
    def of(
        cls,
        variant: Variant,
        input_size_hw: tuple[int, int],
        tensorrt: TensorRT,
        gpu: Gpu | None,
        options: BuildOptions,
    ) -> EngineIdentity:
        """The identity of the engine that these would build."""
        if options.compute_capabilities:
            name, capability = _ANY, ", ".join(options.compute_capabilities)
        elif tensorrt.for_rtx or options.portable:
            name, capability = _ANY, _FROM_AMPERE
        elif gpu is None:
            name = capability = _NO_GPU
        else:
            name, capability = gpu.name, gpu.compute_capability
        return cls(
            bundle=variant.path.resolve().parent.name,
            variant=variant.name,
            precision=variant.precision,
            onnx_sha256=variant.sha256,
            flavour=tensorrt.flavour,
            version=tensorrt.version,
            gpu=name,
            compute_capability=capability,
            options=replace(options, classes_size_hw=options.classes_size_hw or input_size_hw),
        )

    @property
    def key(self) -> str:
        """64 hex digits that no two engines share."""
        fields = {name: value for name, value in self.as_json().items() if name not in ("bundle", "variant")}
        text = json.dumps({"form": _FORM, **fields}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def made_for(self) -> str:
        """The GPUs it runs on, for a reader."""
        return f"{self.gpu} of compute capability {self.compute_capability}"

    def runs_on(self, gpu: Gpu) -> bool:
        """Whether a GPU can run it."""
        if self.gpu != _ANY:
            return (self.gpu, self.compute_capability) == (gpu.name, gpu.compute_capability)
        if self.options.compute_capabilities:
            return gpu.compute_capability in self.options.compute_capabilities
        return int(gpu.compute_capability.split(".")[0]) >= 8  # Ampere

    def differences(self, wanted: EngineIdentity) -> list[str]:
        """What this engine is and ``wanted`` is not, in plain words; empty where it will do."""
        this_is = "asked for" if self.gpu == wanted.gpu == _ANY else "this is"
        pairs = [
            ("built for {}, this is {}", self.gpu, wanted.gpu),
            (
                f"built for compute capability {{}}, {this_is} {{}}",
                self.compute_capability,
                wanted.compute_capability,
            ),
            ("built by {}, this is {}", self._builder(), wanted._builder()),
            ("built in {}, asked for {}", self.precision, wanted.precision),
            ("built from the graph {}, this is {}", self.onnx_sha256[:12], wanted.onnx_sha256[:12]),
        ]
        if self.gpu != wanted.gpu:
            del pairs[1]  # another GPU says it all
        theirs = describe(wanted.options)
        pairs += [
            (f"built with {words} {{}}, asked for {{}}", value, theirs[words])
            for words, value in describe(self.options).items()
        ]
        return [text.format(has, wants) for text, has, wants in pairs if has != wants]

    def as_json(self) -> dict[str, Any]:
        """Itself as JSON's types; :meth:`from_json` reads it."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> EngineIdentity:
        """Reads what :meth:`as_json` gave.

        Raises:
            EdgesegError, KeyError, TypeError, ValueError: it gave something else.
        """
        options = fields["options"]
        tuples = ("batch", "classes_size_hw", "compute_capabilities")
        read: dict[str, Any] = {
            name: tuple(value) if name in tuples and value is not None else value
            for name, value in options.items()
        }
        return cls(**{**fields, "options": BuildOptions(**read)})

    def _builder(self) -> str:
        flavour = FLAVOURS.get(self.flavour)
        return f"{flavour.title if flavour else self.flavour} {self.version}"


def describe(options: BuildOptions) -> dict[str, str]:
    """The options in plain words. The GPUs are left out: an identity names them itself."""
    smallest, largest = options.batch
    height, width = options.classes_size_hw or (None, None)
    workspace = options.workspace_bytes
    return {
        "batch": str(smallest) if options.static else f"{smallest}..{largest}",
        "classes of": f"{height}x{width}" if height else "the input's size",
        "DLA": "off" if options.dla_core is None else f"core {options.dla_core}",
        "workspace": _OPEN if workspace is None else f"{workspace / 2**20:g} MiB",
        "optimization level": _OPEN
        if options.optimization_level is None
        else str(options.optimization_level),
        "portability": "on" if options.portable else "off",
    }
