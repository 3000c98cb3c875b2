"""The installed TensorRT: NVIDIA's own or the one for RTX. All version differences are here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import BackendError, EdgesegError, MissingDependencyError


@dataclass(frozen=True)
class _Flavour:
    title: str
    extra: str
    at_least: str
    below: str | None

    @property
    def range(self) -> str:
        return f"{self.at_least} or later" + (f", below {self.below}" if self.below else "")


FLAVOURS = {
    "tensorrt": _Flavour("TensorRT", "tensorrt", "10.3", "12"),
    "tensorrt_rtx": _Flavour("TensorRT for RTX", "rtx", "1.1", None),
}
"""The flavours by the name of their Python module, in the order of the search."""


@dataclass(frozen=True)
class TensorRT:
    """One installed TensorRT.

    Attributes:
        flavour: ``tensorrt`` or ``tensorrt_rtx``.
        version: such as ``10.3.0``, with the build if the module has it: an engine belongs to one build.
        module: the imported module.
    """

    flavour: str
    version: str
    module: Any

    @property
    def title(self) -> str:
        """Flavour and version as text for display, such as ``TensorRT for RTX 1.7.1``."""
        return f"{FLAVOURS[self.flavour].title} {self.version}"

    @property
    def for_rtx(self) -> bool:
        """True if it builds without a GPU, for many GPUs at once, and finishes on the one that runs the engine."""
        return self.flavour == "tensorrt_rtx"


def find_tensorrt(flavour: str | None = None) -> TensorRT:
    """Imports TensorRT.

    Args:
        flavour: ``tensorrt`` or ``tensorrt_rtx``; if None the first that is installed.

    Raises:
        MissingDependencyError: it is not installed.
        BackendError: the flavour is unknown, the module does not load, or its version is not supported.
    """
    if flavour is not None and flavour not in FLAVOURS:
        raise BackendError(f"unknown TensorRT flavour {flavour!r}; known: {', '.join(FLAVOURS)}")
    for name in [flavour] if flavour else FLAVOURS:
        module = _import(name)
        if module is not None:
            return _checked(name, module)
    wanted = FLAVOURS[flavour or "tensorrt"]
    raise MissingDependencyError(wanted.title, wanted.extra, "building and running engines")


def why_missing(flavour: str | None = None) -> str:
    """Returns the reason that no TensorRT can be used here, and what to do; empty if one can."""
    try:
        find_tensorrt(flavour)
    except EdgesegError as error:
        return str(error)
    return ""


def network_flags(trt: Any) -> int:
    """The flags of a new network: strongly typed, which 10.x needs as a flag and later versions always are."""
    flags = trt.NetworkDefinitionCreationFlag
    return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0


def compute_capabilities(trt: Any) -> dict[str, Any]:
    """The GPUs that TensorRT can build for in their absence, by name such as ``8.6``; empty if it cannot do so."""
    if not hasattr(trt, "ComputeCapability"):
        return {}
    members = trt.ComputeCapability.__members__
    found = {f"{name[2:-1]}.{name[-1]}": value for name, value in members.items() if name.startswith("SM")}
    return dict(sorted(found.items(), key=lambda item: tuple(map(int, item[0].split(".")))))


def default_compute_capabilities(trt: Any) -> tuple[str, ...]:
    """The GPUs that TensorRT for RTX builds for if none is named: all that it knows except Turing."""
    return tuple(name for name in compute_capabilities(trt) if name != "7.5")


def set_compute_capabilities(trt: Any, config: Any, names: Sequence[str]) -> None:
    """Sets the GPUs that a builder builds for; the names are among :func:`compute_capabilities`'.

    Raises:
        BackendError: this TensorRT builds only for the GPU that is present.
    """
    known = compute_capabilities(trt)
    if not hasattr(config, "num_compute_capabilities") or not hasattr(config, "set_compute_capability"):
        raise BackendError(
            "this TensorRT builds only for the GPU of this machine; --flavour tensorrt_rtx builds for others"
        )
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        config.set_compute_capability(known[name], index)


def _import(name: str) -> Any | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise _broken(name, error) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> BackendError:
    wanted = FLAVOURS[name]
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return BackendError(
        f"{wanted.title} is installed but does not load: {cause};"
        f' pip install --force-reinstall "edgeseg[{wanted.extra}]"'
    )


def _checked(name: str, module: Any) -> TensorRT:
    from packaging.version import InvalidVersion, Version

    wanted, text = FLAVOURS[name], str(module.__version__)
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise BackendError(f"{wanted.title} gives its version as {text!r}, which is none") from error
    # A release candidate of 12 counts as 12, though it sorts before it.
    release = Version(version.base_version)
    if release < Version(wanted.at_least) or (wanted.below and release >= Version(wanted.below)):
        raise BackendError(
            f"{wanted.title} {text} is installed; edgeseg supports {wanted.range}:"
            f' pip install "edgeseg[{wanted.extra}]" (on a Jetson it comes with JetPack 6.1 or later)'
        )
    return TensorRT(name, ".".join(str(part) for part in version.release), module)
