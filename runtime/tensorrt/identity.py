"""An engine's identity: all that decides if it can run here and if it is the requested one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..bundle import Variant
from .module import FLAVOURS, TensorRT, default_compute_capabilities
from .options import BuildOptions

if TYPE_CHECKING:
    from .cuda.base import Gpu

_FORM = 2
"""The version of what the builder makes of a graph and these options. It rises when that changes, so that no older
engine is used."""

_ANY = "any GPU"
_DESKTOP_FROM_AMPERE = "8.0 or later, no Jetson's"
TEGRA = frozenset(("5.3", "6.2", "7.2", "8.7", "10.1", "11.0"))
"""Compute capabilities of the GPUs of Jetson and DRIVE, for which TensorRT builds no portable engines."""

_NO_GPU = "no GPU"
_OPEN = "as TensorRT chooses"


@dataclass(frozen=True)
class EngineIdentity:
    """An engine's identity.

    Attributes:
        bundle: the name of the bundle's folder. It and ``variant`` find the most similar engine; they are not part of
            the key, because a renamed bundle runs the same engine.
        variant: its name in the bundle.
        precision: ``fp32``, ``fp16`` or ``int8``.
        onnx_sha256: of the graph.
        flavour: the TensorRT module that built it; no other can load it.
        version: of that module, with its build.
        gpu: the GPU's name, or ``any GPU``.
        compute_capability: of the GPU, such as ``8.7``, or of all GPUs that it was built for, such as ``8.6, 8.9``.
        multiprocessors: of the GPU, because all Orins have one name; 0 if the engine is for any GPU.
        options: how it was built.
    """

    bundle: str
    variant: str
    precision: str
    onnx_sha256: str
    flavour: str
    version: str
    gpu: str
    compute_capability: str
    multiprocessors: int
    options: BuildOptions

    @classmethod
    def of(
        cls,
        variant: Variant,
        tensorrt: TensorRT,
        gpu: Gpu | None,
        options: BuildOptions,
    ) -> EngineIdentity:
        """The identity of the engine that these arguments would build."""
        multiprocessors = 0
        if tensorrt.for_rtx or options.compute_capabilities:
            built_for = options.compute_capabilities or default_compute_capabilities(tensorrt.module)
            name, capability = _ANY, ", ".join(built_for)
        elif options.portable:
            name, capability = _ANY, _DESKTOP_FROM_AMPERE
        elif gpu is None:
            name = capability = _NO_GPU
        else:
            name, capability, multiprocessors = gpu.name, gpu.compute_capability, gpu.multiprocessors
        return cls(
            bundle=variant.path.resolve().parent.name,
            variant=variant.name,
            precision=variant.precision,
            onnx_sha256=variant.sha256,
            flavour=tensorrt.flavour,
            version=tensorrt.version,
            gpu=name,
            compute_capability=capability,
            multiprocessors=multiprocessors,
            options=options,
        )

    @property
    def key(self) -> str:
        """64 hex digits that no two engines share."""
        fields = {name: value for name, value in self.as_json().items() if name not in ("bundle", "variant")}
        text = json.dumps({"form": _FORM, **fields}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def made_for(self) -> str:
        """The GPUs it runs on, as text for display."""
        size = f" and {self.multiprocessors} multiprocessors" if self.multiprocessors else ""
        return f"{self.gpu} of compute capability {self.compute_capability}{size}"

    def runs_on(self, gpu: Gpu) -> bool:
        """Returns True if a GPU can run it."""
        if self.gpu != _ANY:
            this = (gpu.name, gpu.compute_capability, gpu.multiprocessors)
            return (self.gpu, self.compute_capability, self.multiprocessors) == this
        if self.options.portable:
            ampere_or_later = int(gpu.compute_capability.split(".")[0]) >= 8
            return ampere_or_later and gpu.compute_capability not in TEGRA
        return gpu.compute_capability in self.compute_capability.split(", ")

    def differences(self, wanted: EngineIdentity) -> list[str]:
        """The differences between this engine and ``wanted``, in plain words; empty if it can be used."""
        this_is = "asked for" if self.gpu == wanted.gpu == _ANY else "this is"
        pairs = [
            ("built for {}, this is {}", self.gpu, wanted.gpu),
            (
                f"built for compute capability {{}}, {this_is} {{}}",
                self.compute_capability,
                wanted.compute_capability,
            ),
            (
                "built for {} multiprocessors, this is a GPU of {}",
                str(self.multiprocessors),
                str(wanted.multiprocessors),
            ),
            ("built by {}, this is {}", self._builder(), wanted._builder()),
            ("built in {}, asked for {}", self.precision, wanted.precision),
            ("built from the graph {}, this is {}", self.onnx_sha256[:12], wanted.onnx_sha256[:12]),
        ]
        if self.gpu != wanted.gpu:
            del pairs[1:3]  # they follow from the other GPU
        theirs = describe(wanted.options)
        pairs += [
            (f"built with {words} {{}}, asked for {{}}", value, theirs[words])
            for words, value in describe(self.options).items()
        ]
        return [text.format(has, wants) for text, has, wants in pairs if has != wants]

    def as_json(self) -> dict[str, Any]:
        """The identity as JSON's types; :meth:`from_json` reads it."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> EngineIdentity:
        """Reads the output of :meth:`as_json`.

        Raises:
            EdgesegError, KeyError, TypeError, ValueError: the fields are not that.
        """
        options = fields["options"]
        tuples = ("batch", "frame_size_hw", "compute_capabilities")
        read: dict[str, Any] = {
            name: tuple(value) if name in tuples and value is not None else value
            for name, value in options.items()
        }
        return cls(**{**fields, "options": BuildOptions(**read)})

    def _builder(self) -> str:
        flavour = FLAVOURS.get(self.flavour)
        return f"{flavour.title if flavour else self.flavour} {self.version}"


def describe(options: BuildOptions) -> dict[str, str]:
    """The options in plain words, without the GPUs, which an identity names itself."""
    smallest, largest = options.batch
    height, width = options.frame_size_hw or (None, None)
    workspace = options.workspace_bytes
    return {
        "batch": str(smallest) if options.static else f"{smallest}..{largest}",
        "decoding": f"frames of {height}x{width}" if height else "left to the host",
        "DLA": "off" if options.dla_core is None else f"core {options.dla_core}",
        "workspace": _OPEN if workspace is None else f"{workspace / 2**20:g} MiB",
        "optimization level": _OPEN
        if options.optimization_level is None
        else str(options.optimization_level),
        "portability": "on" if options.portable else "off",
    }
