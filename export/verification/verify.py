"""Verification: PyTorch and every variant of a bundle on the same frames, measured and judged by the gates.

The reference is rebuilt from the bundle's own checkpoint. A variant runs through the runtime's own resize, backend and
decode, so that the deployed code is the code that is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from ...calibration.record import refuse_overlap
from ...core.errors import BackendError
from ...runtime.backends import backend_class
from ...runtime.backends.base import Backend
from ...runtime.bundle import Bundle
from ...runtime.preprocess import Preprocessor
from ...runtime.segmenter import Segmenter
from ..report.images import ComparedMask, FrameImages, Gallery
from .frames import LabelledFrames, class_note
from .gates import GateResult, Gates, failures, judge_headroom, note_of
from .headroom import LIMIT, Headroom, meter_of
from .parity import Parity, ParitySummary
from .reference import reference_masks
from .stability import SequenceStability, StabilitySummary
from .torch_backend import TorchBackend

REPORT_SCHEMA = 1
REFERENCE = "PyTorch"
"""The name of the reference among the variants' stability."""
_CALIBRATION_SHOWN = (
    "method", "excluded", "shifts", "budget", "class_budget", "int8_macs", "source", "pictures", "never_seen",
)  # fmt: skip


@dataclass(frozen=True)
class VariantResult:
    """The measurement and verdict of one variant.

    Attributes:
        name: of the variant.
        precision: of the variant.
        bytes: size of its ONNX file.
        backend: the backend that ran it.
        gates: the limits.
        calibration: of INT8, as in the manifest.
        summary: the measured figures.
        headroom: of its float16 activations; None if it has none.
        verdicts: one for each gate.
    """

    name: str
    precision: str
    bytes: int
    backend: str
    gates: Gates
    calibration: Mapping[str, Any] | None
    summary: ParitySummary
    headroom: Headroom | None
    verdicts: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """True if every gate passed."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def note(self) -> str:
        """A note that the reader of the verdict needs; empty if there is none."""
        return note_of(self.summary)

    def manifest_parity(self) -> dict[str, Any]:
        """Returns ``parity`` for the manifest: the few figures that a runtime shows."""
        worst = self.summary.worst_class
        return {
            "passed": self.passed,
            "frames": self.summary.frames,
            "pixel_agreement": self.summary.pixel_agreement,
            "real_disagreement": self.summary.real_disagreement,
            "worst_class_drop": worst.drop if worst is not None and worst.drop is not None else 0.0,
            "max_logit_error": self.summary.max_logit_error,
        }

    def as_json(self) -> dict[str, Any]:
        """Returns the variant's part of ``verification.json``."""
        return {
            "precision": self.precision,
            "bytes": self.bytes,
            "backend": self.backend,
            "calibration": None
            if self.calibration is None
            else {key: self.calibration[key] for key in _CALIBRATION_SHOWN},
            "passed": self.passed,
            "note": self.note,
            "gates": [
                {
                    "gate": verdict.gate,
                    "passed": verdict.passed,
                    "measured": verdict.measured,
                    "limit": verdict.limit,
                    "class": verdict.label or None,
                    "operator": verdict.operator or None,
                }
                for verdict in self.verdicts
            ],
            "headroom": None if self.headroom is None else asdict(self.headroom),
            "tie_margin": self.gates.tie_margin,
            "min_class_pixels": self.gates.min_class_pixels,
            **asdict(self.summary),
        }


@dataclass(frozen=True)
class Verification:
    """A bundle's verification.

    Attributes:
        bundle: the verified bundle.
        frames_name: the source of the frames.
        note: why there is no truth; empty if there is.
        variants: the results, in the requested order.
        images: images of some frames.
        stability: how much the class maps of PyTorch and of each variant flicker, by name; empty unless the frames
            follow each other in time.
    """

    bundle: Bundle
    frames_name: str
    note: str
    variants: tuple[VariantResult, ...]
    images: tuple[FrameImages, ...]
    stability: Mapping[str, StabilitySummary] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True if every variant passed every gate."""
        return all(variant.passed for variant in self.variants)

    def failures(self) -> str:
        """Returns the gates that did not pass, by variant; empty if all did."""
        return "; ".join(f"{v.name}: {failures(v.verdicts)}" for v in self.variants if not v.passed)

    def as_json(self) -> dict[str, Any]:
        """Returns the content of ``verification.json``, without dates and paths: the same for the same inputs."""
        manifest = self.bundle.manifest
        return {
            "schema": REPORT_SCHEMA,
            "bundle": self.bundle.name,
            "weights": manifest["weights"]["name"],
            "created_with": manifest["created_with"],
            "input_size_hw": list(self.bundle.input_size_hw),
            "labels": manifest["labels"],
            "frames": {
                "source": self.frames_name,
                "count": self.variants[0].summary.frames,
                "truth": not self.note,
                "note": self.note,
            },
            "reference": {"backend": "torch", "device": "cpu", "precision": "fp32"},
            "passed": self.passed,
            "variants": {variant.name: variant.as_json() for variant in self.variants},
            **self._stability_json(),
        }

    def _stability_json(self) -> dict[str, Any]:
        if not self.stability:
            return {}
        return {"stability": {name: summary.as_json() for name, summary in self.stability.items()}}


@dataclass(frozen=True)
class VerifyRequest:
    """A request for a verification.

    Attributes:
        variants: their names; if empty, all that the backend accepts. ONNX Runtime on a CPU accepts all, for measuring.
        gates: by variant, to replace the defaults of the precision that it runs in.
        backend: runs the variants.
        device: one that the backend knows; its own choice if None.
    """

    variants: Sequence[str] = ()
    gates: Mapping[str, Gates] = field(default_factory=dict)
    backend: str = "onnxruntime"
    device: str | None = None


def verify(
    bundle: Bundle,
    frames: LabelledFrames,
    request: VerifyRequest | None = None,
    *,
    on_frame: Callable[[], None] = lambda: None,
) -> Verification:
    """Compares a bundle with PyTorch.

    Args:
        bundle: checked and open.
        frames: the frames to compare on; if their classes are not the network's, their masks are not used.
        request: what is verified, and how; all variants by their own gates if None.
        on_frame: called after each frame, for a progress bar.

    Raises:
        BackendError: the backend or its device is not available, or does not accept a variant.
        BundleError: the bundle has no such variant.
        CheckpointError: the bundle's checkpoint does not fit its architecture.
        DataError: an INT8 variant was calibrated on one of the frames.
        VerificationError: PyTorch itself gives logits that are not finite. A gate that does not pass raises nothing.
    """
    request = request or VerifyRequest()
    kind = backend_class(request.backend)
    on = request.device or kind.default_device
    if reason := kind.why_unavailable(on):
        raise BackendError(reason)
    chosen = [bundle.variant(name) for name in request.variants or _taken_by(kind, on, bundle)]
    calibrations = {v.name: bundle.manifest["variants"][v.name]["calibration"] for v in chosen}
    hashes = {digest for c in calibrations.values() if c is not None for digest in c["picture_hashes"]}
    if hashes:
        refuse_overlap(hashes, ((frame.id, frame.frame_bgr) for frame in frames))
    note = class_note(frames, bundle.labels)
    gallery = Gallery(bundle.labels)
    with ExitStack() as stack:
        reference_backend = TorchBackend.of_bundle(bundle)
        stack.enter_context(reference_backend)
        preprocess = Preprocessor(bundle.input_size_hw)
        segmenters = {
            v.name: stack.enter_context(Segmenter(bundle, v.name, request.backend, request.device))
            for v in chosen
        }
        meters = {v.name: meter for v in chosen if (meter := meter_of(v)) is not None}
        precisions = {name: s.backend.precision for name, s in segmenters.items()}
        limits = {
            v.name: request.gates.get(v.name)
            or Gates.for_precision(
                precisions[v.name], calibrations[v.name], continuous=reference_backend.continuous
            )
            for v in chosen
        }
        parities = {
            v.name: Parity(
                bundle.labels,
                tie_margin=limits[v.name].tie_margin,
                min_class_pixels=limits[v.name].min_class_pixels,
                has_truth=not note,
            )
            for v in chosen
        }
        stability = SequenceStability(bundle.labels) if frames.in_sequence else None
        for frame in frames:
            size_hw = (frame.frame_bgr.shape[0], frame.frame_bgr.shape[1])
            image = preprocess(frame.frame_bgr)
            reference = reference_masks(reference_backend.infer(image), size_hw)
            for meter in meters.values():
                meter.add(image)
            truth = None if note else frame.mask
            masks = {}
            for name, segmenter in segmenters.items():
                inference = segmenter.infer(segmenter.prepare(frame.frame_bgr), logits=True)
                assert inference.logits is not None
                classes = segmenter.decode(inference).classes
                kinds = parities[name].update(frame.id, reference, classes, inference.logits, truth)
                masks[name] = ComparedMask(classes, kinds)
            if stability is not None:
                maps = {name: mask.classes for name, mask in masks.items()}
                stability.add(frame.frame_bgr, {REFERENCE: reference.classes, **maps})
            gallery.add(frame, reference.classes, masks, has_truth=not note)
            on_frame()
        backends = {name: _described(s) for name, s in segmenters.items()}
    results = []
    for v in chosen:
        summary = parities[v.name].summary()
        headroom = meters[v.name].result() if v.name in meters else None
        verdicts = limits[v.name].judge(summary)
        results.append(
            VariantResult(
                name=v.name,
                precision=v.precision,
                bytes=v.path.stat().st_size,
                backend=backends[v.name],
                gates=limits[v.name],
                calibration=calibrations[v.name],
                summary=summary,
                headroom=headroom,
                verdicts=verdicts if headroom is None else (*verdicts, judge_headroom(headroom, LIMIT)),
            )
        )
    summaries = {} if stability is None else stability.summaries()
    return Verification(bundle, frames.name, note, tuple(results), gallery.frames(), summaries)


def _described(segmenter: Segmenter) -> str:
    """Describes the backend that ran a variant, for display."""
    backend = segmenter.backend
    coarser = "" if backend.precision == segmenter.variant.precision else f", in {backend.precision}"
    return f"{backend.name}, {backend.device}{coarser}"


def _taken_by(backend: type[Backend], device: str, bundle: Bundle) -> tuple[str, ...]:
    """Returns the variants that a backend accepts, in the bundle's order."""
    if (backend.name, device) == ("onnxruntime", "cpu"):
        return tuple(bundle.variants)
    targets = backend.targets(device)
    return tuple(name for name, variant in bundle.variants.items() if variant.target in targets)
