"""The writer of a bundle's folder, which appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.claims import claimed
from ..core.errors import OutputError
from ..core.outputs import MANIFEST_NAME, check_new, check_output
from ..models.base import SegmentationNetwork
from ..models.checkpoint import CheckpointInfo, save_checkpoint
from ..runtime.checked_files import file_sha256
from ..runtime.manifest import SCHEMA_VERSION, read_manifest, write_manifest
from .graph.onnx_file import INPUT_NAME, OUTPUT_NAME, save_graph
from .graph.variants import VariantGraph

CHECKPOINT_NAME = "checkpoint.safetensors"
VERIFICATION_NAME = "verification.json"


@contextmanager
def staged_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """Yields a temporary sibling of ``target`` to fill; it becomes ``target`` when the block ends without an error.

    When the block raises, the sibling is removed and ``target`` stays as it was. No other process can make the same
    folder in the meantime.

    Args:
        target: the folder to make.
        force: replace it if it exists.

    Raises:
        OutputError: it may not be written, it exists without ``force``, another process is making it, or the disk is
            full.
    """
    _check_target(target, force)
    with claimed(target):
        _check_target(target, force)  # the process that had the claim before may have made it
        yield from _staged(target)


def _check_target(target: Path, force: bool) -> None:
    check_output(target, folder=True, replaces_bundle=True)
    check_new(target, force)
    if target.is_symlink():
        raise OutputError(f"{target} is a link; name the folder itself")
    if target.exists() and any(target.iterdir()) and not (target / MANIFEST_NAME).is_file():
        raise OutputError(f"{target} holds files and is no bundle; --force replaces bundles only")


def _staged(target: Path) -> Iterator[Path]:
    try:
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from error
    try:
        yield staging
        staging.chmod(0o755)
        _sync(staging)
        _put_in_place(staging, target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {_reason(error)}; nothing was left there") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_bundle(
    folder: Path,
    network: SegmentationNetwork,
    info: CheckpointInfo,
    variants: Sequence[VariantGraph],
    *,
    weights_name: str,
    size_hw: tuple[int, int],
) -> None:
    """Writes a checkpoint, its ONNX files and the manifest into a folder; not yet verified.

    Args:
        folder: exists and is empty.
        network: float32, in evaluation mode.
        info: its description.
        variants: the graphs, at least one; the first is the default.
        weights_name: the name of the weights, for display.
        size_hw: the input size, (H, W).

    Raises:
        ModelError: a graph gives logits that are not finite, or is larger than 2 GiB.
        OutputError: the folder cannot be written.
    """
    name = info.architecture
    save_checkpoint(folder / CHECKPOINT_NAME, network, info, half=_fits_half(network))
    entries: dict[str, dict[str, Any]] = {}
    output_size_hw = size_hw
    for variant in variants:
        path = folder / f"{name}.{variant.name}.onnx"
        output_size_hw = save_graph(path, variant.model, variant.name)
        entries[variant.name] = {
            "file": path.name,
            "sha256": file_sha256(path),
            "bytes": path.stat().st_size,
            "precision": variant.precision,
            "target": variant.target,
            "opset": variant.model.opset_import[0].version,
            "calibration": variant.calibration,
            "parity": None,
        }
    manifest = {
        "schema": SCHEMA_VERSION,
        "name": name,
        "created_with": _versions(),
        "architecture": {"name": name, "arguments": dict(info.arguments)},
        "weights": {
            "name": weights_name,
            "checkpoint": CHECKPOINT_NAME,
            "sha256": file_sha256(folder / CHECKPOINT_NAME),
            "recipe": dict(info.recipe),
            "metrics": dict(info.metrics),
        },
        "labels": [{"name": label.name, "rgb": list(label.rgb)} for label in info.labels.labels],
        "input": {
            "name": INPUT_NAME,
            "dtype": "uint8",
            "layout": "NHWC",
            "channels": "BGR",
            "size_hw": list(size_hw),
            "resize": "stretch",
            "mean_rgb": list(info.mean),
            "std_rgb": list(info.std),
        },
        "output": {
            "name": OUTPUT_NAME,
            "dtype": "float32",
            "stride": network.stride,
            "size_hw": list(output_size_hw),
        },
        "default_variant": variants[0].name,
        "variants": entries,
        "verification": None,
    }
    write_manifest(folder, manifest)


def add_verification(
    folder: Path, verification: Mapping[str, Any], parity: Mapping[str, Mapping[str, Any]]
) -> None:
    """Stores what verification measured: all of it in ``verification.json``, each variant's summary in the manifest.

    Args:
        folder: a bundle that is still being written.
        verification: the content of ``verification.json``.
        parity: by variant, the manifest's ``parity``.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = folder / VERIFICATION_NAME
    try:
        path.write_text(json_text(verification), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_reason(error)}") from error
    manifest = read_manifest(folder)
    for name, measured in parity.items():
        manifest["variants"][name]["parity"] = dict(measured)
    manifest["verification"] = {"file": path.name, "sha256": file_sha256(path)}
    write_manifest(folder, manifest)


def json_text(content: Mapping[str, Any]) -> str:
    """Returns JSON that people and programs can read."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _put_in_place(staging: Path, target: Path) -> None:
    """Renames the folder. An old one is moved away first, and moved back if the new one cannot replace it."""
    if not target.exists():
        os.rename(staging, target)
        return
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    os.rename(target, aside / target.name)
    try:
        os.rename(staging, target)
    except OSError:
        os.rename(aside / target.name, target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Forces the files to the disk, so that a power cut after the rename finds them whole."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _reason(error: OSError) -> str:
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)


def _fits_half(network: SegmentationNetwork) -> bool:
    """Returns True if float16 stores the matrices and kernels without loss, as for shipped float16 weights."""
    matrices = (v for v in network.state_dict().values() if v.is_floating_point() and v.ndim > 1)
    return all(bool((value.half().to(value.dtype) == value).all()) for value in matrices)


def _versions() -> dict[str, str]:
    import onnx
    import torch

    from .._version import __version__

    return {"edgeseg": __version__, "torch": torch.__version__, "onnx": onnx.__version__}
