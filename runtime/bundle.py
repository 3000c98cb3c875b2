"""A bundle: the folder that one deployment consists of. Every byte is checked when it is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.errors import BundleError, DataError
from ..core.labels import LabelMap
from ..core.outputs import MANIFEST_NAME
from .checked_files import file_sha256, read_checked
from .manifest import NamedFile, named_files, read_manifest


@dataclass(frozen=True)
class Variant:
    """One graph of a bundle: a precision, and a target.

    Attributes:
        name: its name in the bundle, for example ``fp32``.
        path: its ONNX file.
        sha256: the SHA-256 of that file.
        precision: ``fp32``, ``fp16`` or ``int8``.
        target: the target it is made for; ``any`` runs everywhere.
        parity: the parity with PyTorch that verification measured; None if it was not verified.
    """

    name: str
    path: Path
    sha256: str
    precision: str
    target: str
    parity: Mapping[str, Any] | None

    def read(self) -> bytes:
        """Reads the file's bytes, and checks that they are the ones the bundle was opened with.

        Raises:
            BundleError: the file has been altered since, or is gone.
        """
        return read_checked(self.path, self.sha256)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and files have been checked.

    It never changes, so threads and forked processes may share it.

    Example:
        >>> bundle = Bundle.load("bundle/lraspp")  # doctest: +SKIP
        >>> bundle.input_size_hw, bundle.labels.names  # doctest: +SKIP

    Attributes:
        path: the folder.
        labels: the classes, in order of their ids.
        manifest: the content of ``bundle.json``.
        variants: the variants by name, in the manifest's order.
    """

    path: Path
    labels: LabelMap
    manifest: Mapping[str, Any]
    variants: Mapping[str, Variant]

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """Opens a bundle and compares every file's SHA-256 with the manifest's.

        Raises:
            BundleError: the folder or its manifest is missing, malformed or of a newer schema, or a file is
                missing, altered or a link. The message names the file.
        """
        path = Path(folder)
        manifest = read_manifest(path)
        for file in named_files(manifest):
            _check_file(path, file)
        try:
            labels = LabelMap.from_pairs((label["name"], label["rgb"]) for label in manifest["labels"])
        except DataError as error:
            raise BundleError(f"{path / MANIFEST_NAME}: labels: {error}") from error
        variants = {
            name: Variant(
                name=name,
                path=path / entry["file"],
                sha256=entry["sha256"],
                precision=entry["precision"],
                target=entry["target"],
                parity=entry["parity"],
            )
            for name, entry in manifest["variants"].items()
        }
        return cls(path, labels, MappingProxyType(manifest), MappingProxyType(variants))

    @property
    def name(self) -> str:
        """The bundle's name."""
        return str(self.manifest["name"])

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The network's registry name and the arguments it was built with."""
        architecture: Mapping[str, Any] = self.manifest["architecture"]
        return architecture

    @property
    def input_size_hw(self) -> tuple[int, int]:
        """The height and width in pixels that every frame is resized to."""
        height, width = self.manifest["input"]["size_hw"]
        return height, width

    @property
    def output_size_hw(self) -> tuple[int, int]:
        """The height and width of the logits."""
        height, width = self.manifest["output"]["size_hw"]
        return height, width

    @property
    def stride(self) -> int:
        """The number of input pixels for one logit."""
        return int(self.manifest["output"]["stride"])

    @property
    def default_variant(self) -> str:
        """The variant that runs if none is asked for."""
        return str(self.manifest["default_variant"])

    @property
    def checkpoint_path(self) -> Path:
        """The path of the checkpoint from which the PyTorch reference can be rebuilt."""
        return self.path / str(self.manifest["weights"]["checkpoint"])

    def read_checkpoint(self) -> bytes:
        """Reads the checkpoint's bytes, and checks that they are the ones the bundle was opened with.

        Raises:
            BundleError: the file has been altered since, or is gone.
        """
        return read_checked(self.checkpoint_path, str(self.manifest["weights"]["sha256"]))

    def variant(self, name: str | None = None) -> Variant:
        """Returns the variant of a name, or the default one if ``name`` is None.

        Raises:
            BundleError: the bundle has no variant of that name; the message lists those it has.
        """
        wanted = self.default_variant if name is None else name
        try:
            return self.variants[wanted]
        except KeyError:
            known = ", ".join(self.variants)
            raise BundleError(f"bundle {self.path} has no variant {wanted!r}; it has {known}") from None

    def variant_for(self, targets: Collection[str]) -> Variant:
        """Returns the default variant if its target is in ``targets``, else the first variant whose target is.

        Args:
            targets: the targets that can run; include ``any`` if it can.

        Raises:
            BundleError: the bundle has no such variant; the message lists those it has.
        """
        for variant in (self.variant(), *self.variants.values()):
            if variant.target in targets:
                return variant
        known = ", ".join(f"{variant.name} (for {variant.target})" for variant in self.variants.values())
        raise BundleError(
            f"bundle {self.path} has no variant for {' or '.join(sorted(targets))}; it has {known}:"
            " name one of them, or export the bundle again with the precision you want"
        )


def _check_file(folder: Path, file: NamedFile) -> None:
    path = folder / file.name
    try:
        actual = file_sha256(path)
    except FileNotFoundError as error:
        raise BundleError(
            f"{path} is missing, though the manifest names it; copy or export the bundle again"
        ) from error
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    if actual != file.sha256:
        raise BundleError(
            f"{path} was altered: its SHA-256 is {actual[:12]}…, the manifest says {file.sha256[:12]}…;"
            " copy or export the bundle again"
        )
