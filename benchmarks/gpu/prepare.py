"""The preparation of the folder for the proof: it needs the ``export`` extra, but no GPU."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ...core.callbacks import OnMessage
from ...core.errors import EdgesegError, OutputError, UsageError, VerificationError
from ...core.outputs import discard, prepare_output, put_in_place
from ...runtime.checked_files import file_sha256
from ..describe import installed_versions
from .prepared import BUNDLE, FILE_NAME, FRAMES, MASKS, PACKAGES, PROGRAM, PURE_PACKAGES, REFERENCE, SCHEMA

if TYPE_CHECKING:
    from ...export.verification.frames import LabelledFrame, LabelledFrames
    from ...runtime.bundle import Bundle

WORLD, CALIBRATION_WORLD = 7, 3
_MADE_WITH = ("edgeseg", "numpy", "torch", "torchvision", "onnx")


@dataclass(frozen=True)
class ExportRecipe:
    """The recipe for the preparation of one network.

    Attributes:
        name: in the registry.
        weights: as ``models.pretrained`` resolves it.
        num_classes: for random weights.
        arguments: the architecture's own options.
        size_hw: the input size; that of the weights if None.
    """

    name: str
    weights: str
    num_classes: int | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    size_hw: tuple[int, int] | None = None


RECIPES = (
    ExportRecipe("lraspp", "camvid"),
    ExportRecipe("fcn8s", "random", 6, {"width": 8}, (256, 320)),
    ExportRecipe("unet", "random", 6, {"width": 16}, (256, 320)),
    ExportRecipe("deeplabv3", "random", 6, {"aux": False}, (256, 320)),
)
"""Narrow where the paper's form is large, so that the folder is small to copy."""


@dataclass(frozen=True)
class Preparation:
    """The request for a preparation.

    Attributes:
        recipes: the networks.
        frames: the number of frames.
        frame_size_hw: their height and width.
        int8: whether to add INT8, calibrated for TensorRT.
        images: the number of calibration images.
    """

    recipes: Sequence[ExportRecipe] = RECIPES
    frames: int = 8
    frame_size_hw: tuple[int, int] = (480, 640)
    int8: bool = True
    images: int = 16


def choose_recipes(names: Sequence[str], weights: Mapping[str, str]) -> tuple[ExportRecipe, ...]:
    """Returns the recipes of the named networks, or all; with the user's weights if they are given.

    Raises:
        UsageError: a name is unknown.
    """
    known = {recipe.name: recipe for recipe in RECIPES}
    for name in (*names, *weights):
        if name not in known:
            raise UsageError(f"unknown network {name!r}; the proof has {', '.join(known)}")
    own = {name: ExportRecipe(name, file) for name, file in weights.items()}
    return tuple((known | own)[name] for name in names or known)


def prepare(
    out: Path, wanted: Preparation, force: bool = False, on_message: OnMessage = lambda line: None
) -> None:
    """Writes the folder, whole or not at all.

    Every bundle is verified on the CPU before it is added. INT8 that does not pass its gates is left out with a note.

    Raises:
        VerificationError: a float variant does not pass its gates.
        EdgesegError: weights, sizes or the folder cannot be used.
    """
    from ...export.dependencies import require_export_extra
    from ...export.verification.frames import AerialFrames

    require_export_extra("preparing the proof")
    partial = prepare_output(out, force, folder=True)
    frames = AerialFrames(WORLD, wanted.frame_size_hw, wanted.frames)
    try:
        partial.mkdir()
        looked_at = list(frames)
        _write_images(partial, looked_at)
        networks = {
            recipe.name: _prepare_network(partial / recipe.name, recipe, wanted, frames, on_message)
            for recipe in wanted.recipes
        }
        _copy_packages(partial / PACKAGES)
        entry = {
            "schema": SCHEMA,
            "source": frames.name,
            "truth": list(frames.labels.names),
            "made_with": installed_versions(_MADE_WITH),
            "networks": networks,
        }
        (partial / FILE_NAME).write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        put_in_place(partial, out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}") from error
    finally:
        discard(partial)


def _prepare_network(
    folder: Path,
    recipe: ExportRecipe,
    wanted: Preparation,
    frames: LabelledFrames,
    on_message: OnMessage,
) -> dict[str, object]:
    folder.mkdir()
    notes = _export(folder / BUNDLE, recipe, wanted, on_message)
    from ...runtime.bundle import Bundle

    bundle = Bundle.load(folder / BUNDLE)
    on_message(f"{recipe.name}: what PyTorch makes of {len(frames)} frames")
    _write_reference(folder / REFERENCE, bundle, frames)
    why = _write_program(folder / PROGRAM, bundle)
    if why:
        notes.append(f"no exported program: {why}")
    files = [name for name in (REFERENCE, PROGRAM) if (folder / name).exists()]
    return {"sha256": {name: file_sha256(folder / name) for name in files}, "notes": notes}


def _export(out: Path, recipe: ExportRecipe, wanted: Preparation, on_message: OnMessage) -> list[str]:
    """Exports and verifies; INT8 is tried first, and left out if it does not pass."""
    from ...calibration.request import CalibrationRequest
    from ...export.pipeline import ExportRequest, export_bundle
    from ...models.pretrained import shipped_calibration

    notes = []
    precisions = ("fp16", "int8") if wanted.int8 else ("fp16",)
    with tempfile.TemporaryDirectory(prefix="edgeseg-gpu-") as working:
        drawn = _random_weights(Path(working), recipe) if recipe.weights == "random" else None
        while True:
            calibration = None
            if "int8" in precisions:
                ships = shipped_calibration(recipe.name, recipe.weights) is not None
                calibration = CalibrationRequest(
                    source=None if ships else f"aerial:{CALIBRATION_WORLD}",
                    method="auto" if ships else "percentile",
                    images=None if ships else wanted.images,
                    targets=("tensorrt",),
                )
            request = ExportRequest(
                model=recipe.name,
                out=Path(working) / f"{len(precisions)}" / recipe.name,
                weights=recipe.weights if drawn is None else str(drawn),
                arguments=recipe.arguments,
                precisions=precisions,
                size_hw=recipe.size_hw,
                source=f"aerial:{WORLD}",
                frames=wanted.frames,
                calibration=calibration,
            )
            request.out.parent.mkdir()
            try:
                export_bundle(request, on_step=on_message)
            except (VerificationError, EdgesegError) as error:
                if calibration is None:
                    raise
                notes.append(f"INT8 is left out: {error}".replace(working, "…"))
                on_message(notes[-1])
                precisions = ("fp16",)
                continue
            shutil.move(request.out, out)
            return notes


def _random_weights(folder: Path, recipe: ExportRecipe) -> Path:
    """Draws weights, and rounds them to float16, so that the bundle's checkpoint is half as large."""
    import torch

    from ...models.checkpoint import save_checkpoint
    from ...models.pretrained import resolve_weights

    checkpoint = resolve_weights(recipe.name, recipe.weights, recipe.num_classes, recipe.arguments)
    network = checkpoint.build()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim > 1:
                tensor.copy_(tensor.half())
    path = folder / "random.safetensors"
    save_checkpoint(path, network, checkpoint.info, half=True)
    return path


def _write_images(folder: Path, frames: Sequence[LabelledFrame]) -> None:
    for kind in (FRAMES, MASKS):
        (folder / kind).mkdir()
    for number, frame in enumerate(frames):
        for kind, image in ((FRAMES, frame.frame_bgr), (MASKS, frame.mask)):
            path = folder / kind / f"{number:03}.png"
            if not cv2.imwrite(str(path), image):
                raise OutputError(f"cannot write {path}")


def _write_reference(path: Path, bundle: Bundle, frames: LabelledFrames) -> None:
    from ...export.verification.torch_backend import TorchBackend
    from ...runtime.preprocess import Preprocessor

    preprocess = Preprocessor(bundle.input_size_hw)
    with TorchBackend.of_bundle(bundle) as reference:
        logits = [reference.infer(preprocess(frame.frame_bgr))[0].copy() for frame in frames]
    np.savez_compressed(path, logits=np.stack(logits))


def _write_program(path: Path, bundle: Bundle) -> str:
    """Writes the network without its definition; returns the reason if it cannot, and then PyTorch is not timed."""
    import torch

    from ...models.checkpoint import load_checkpoint

    network = load_checkpoint(bundle.checkpoint_path, bundle.read_checkpoint()).build().requires_grad_(False)

    class Coarse(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return network.coarse(image)

    try:
        image = torch.zeros(1, 3, *bundle.input_size_hw, dtype=torch.float16)
        torch.export.save(torch.export.export(Coarse().half().eval(), (image,)), str(path))
    except Exception as error:
        # A compiler's error may be of any kind, and the rest of the proof does not need the program.
        path.unlink(missing_ok=True)
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    return ""


def _copy_packages(folder: Path) -> None:
    """Copies the pure Python packages, for a machine that lacks them and cannot download them."""
    for name in PURE_PACKAGES:
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            if file.suffix == ".py" and file.parts[0] == name:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(str(distribution.locate_file(file))), target)
