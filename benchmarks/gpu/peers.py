"""Peers on the same GPU, from a frame to its class map: PyTorch in FP16, eager and compiled; ONNX Runtime's CUDA."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from ...core.arrays import Frame
from ...runtime.backends import backend_class
from ...runtime.bundle import Bundle
from ...runtime.segmenter import Segmenter
from .nvml import Nvml
from .opened import WARM_UPS, Subject
from .order import Note, NotRunError, StepOrder, first_line
from .timing import timed


def torch_eager(order: StepOrder, note: Note) -> None:
    """Runs eager PyTorch: bytes go to the GPU, all work up to the argmax is there, one byte for each pixel returns."""
    _run_torch(order, note, compiled=False)


def torch_compiled(order: StepOrder, note: Note) -> None:
    """Runs the same by ``torch.compile``, with CUDA graphs if they can be made."""
    _run_torch(order, note, compiled=True)


def onnxruntime_cuda(order: StepOrder, note: Note) -> None:
    """Runs ONNX Runtime's CUDA provider on the FP16 graph, by ``Segmenter``."""
    why = _no_onnxruntime()
    if why:
        raise NotRunError(why)
    subject = Subject(order)
    frames, nvml = subject.frames, Nvml()
    before = nvml.memory_mb()
    with Segmenter(subject.bundle, subject.variant("fp16").name, "onnxruntime", "cuda") as segmenter:
        for frame in frames[:WARM_UPS]:
            segmenter(frame)
        after = nvml.memory_mb()
        memory = None if before is None or after is None else round(after - before, 1)
        note(**timed(order.frames, lambda i: segmenter(frames[i % len(frames)])), device_memory_mb=memory)


def _no_onnxruntime() -> str:
    try:
        return backend_class("onnxruntime").why_unavailable("cuda")
    except ImportError as error:
        return f"ONNX Runtime is not installed ({first_line(error)})"


def _run_torch(order: StepOrder, note: Note, compiled: bool) -> None:
    try:
        import torch
    except ImportError as error:
        raise NotRunError(f"PyTorch is not installed ({first_line(error)})") from error
    if order.torch_device == "cuda" and not torch.cuda.is_available():
        raise NotRunError("this PyTorch sees no GPU")
    subject = Subject(order)
    on_gpu = order.torch_device == "cuda"
    network, dtype, origin = _network(subject, order.torch_device)
    note(precision=str(dtype).removeprefix("torch."), network=origin, torch=str(torch.__version__))
    classes = _classes(subject, network, dtype, order.torch_device)
    if compiled:
        classes = torch.compile(classes, mode="reduce-overhead" if on_gpu else None)
    segment = _segment(subject.bundle, classes, order.torch_device)
    frames = subject.frames
    start = time.perf_counter()
    segment(frames[0])
    note(first_frame_seconds=round(time.perf_counter() - start, 2))
    for frame in frames[:WARM_UPS]:
        segment(frame)
    facts = timed(order.frames, lambda i: segment(frames[i % len(frames)]))
    memory = round(torch.cuda.max_memory_reserved() / 1e6, 1) if on_gpu else None
    note(**facts, device_memory_mb=memory, agreement=_agreement(subject, segment))


def _network(subject: Subject, device: str) -> tuple[Any, Any, str]:
    """Returns the network on a device, its dtype and its origin: the checkpoint, if its packages are installed."""
    import torch

    half = torch.float16 if device == "cuda" else torch.float32
    try:
        from ...models.checkpoint import load_checkpoint

        bundle = subject.bundle
        network: Any = load_checkpoint(bundle.checkpoint_path, bundle.read_checkpoint()).build()
        network = network.requires_grad_(False).to(device, half, memory_format=torch.channels_last)
        return network.coarse, half, "the checkpoint"
    except ModuleNotFoundError as error:
        path = subject.network.program()
        if path is None:
            raise NotRunError(
                f"{first_line(error)}, and the network was not prepared as a program"
            ) from error
    program: Any = torch.export.load(str(path))
    return program.module().to(device), torch.float16, "the exported program"


def _classes(subject: Subject, coarse: Any, dtype: Any, device: str) -> Any:
    """Computes from an image on the device, uint8 RGB [1, h, w, 3], the classes at the frame's size, uint8 [H, W]."""
    import torch
    import torch.nn.functional as F

    entry = subject.bundle.manifest["input"]
    mean = torch.tensor(entry["mean_rgb"], device=device).view(1, 3, 1, 1)
    std = torch.tensor(entry["std_rgb"], device=device).view(1, 3, 1, 1)
    size_hw = subject.frame_size_hw

    def classes(image_rgb: torch.Tensor) -> torch.Tensor:
        image = ((image_rgb.permute(0, 3, 1, 2).float() / 255 - mean) / std).to(dtype)  # [1, 3, h, w]
        logits = F.interpolate(coarse(image).float(), size_hw, mode="bilinear", align_corners=False)
        return logits[0].argmax(0).to(torch.uint8)

    return classes


def _segment(bundle: Bundle, classes: Any, device: str) -> Callable[[Frame], Frame]:
    import torch

    size_wh = bundle.input_size_hw[::-1]

    def segment(frame_bgr: Frame) -> Frame:
        small = cv2.resize(frame_bgr, size_wh, interpolation=cv2.INTER_LINEAR)
        image = torch.from_numpy(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[None]).to(device)
        with torch.inference_mode():
            found: Frame = classes(image).cpu().numpy()
        return found

    return segment


def _agreement(subject: Subject, segment: Callable[[Frame], Frame]) -> float:
    """Returns the share of pixels with the reference's class, so that all are timed on the same task."""
    from ...export.verification.reference import reference_masks

    logits = subject.network.reference_logits()
    shares = [
        np.mean(segment(frame) == reference_masks(each[None], subject.frame_size_hw).classes)
        for frame, each in zip(subject.frames, logits, strict=True)
    ]
    return float(np.mean(shares))
