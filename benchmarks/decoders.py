"""Decoding alone: from coarse logits to the class map at the frame's size, compared with other methods."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np

from ..core.arrays import ClassMap, Logits
from ..core.libraries import load_onnxruntime
from ..runtime.decode import Decoder
from .peers.graphs import decode_graph
from .rounds import clocked, run_rounds

Decode = Callable[[Logits], ClassMap]


def decoders(
    classes: int, coarse_hw: tuple[int, int], size_hw: tuple[int, int], threads: int
) -> dict[str, Decode]:
    """Returns the available methods by name; each decodes float32 [C, h, w] to uint8 [H, W]."""
    cv2.setNumThreads(threads)
    ways: dict[str, Decode] = {
        "edgeseg": _ours(size_hw, threads),
        "onnxruntime Resize + ArgMax": _onnxruntime(classes, coarse_hw, size_hw, threads),
        "OpenCV resize a class, running best": lambda logits: _running_best(logits, size_hw),
        "OpenCV resize, np.argmax": lambda logits: _naive(logits, size_hw),
    }
    if find_spec("torch") is not None:
        ways["torch interpolate + argmax"] = _torch(size_hw, threads)
    return ways


def time_decoders(
    logits: list[Logits], size_hw: tuple[int, int], threads: int, rounds: int
) -> dict[str, Any]:
    """Times every method on the frames' logits, in turn.

    Returns:
        For each: percentiles in milliseconds, ``agreement`` with the definition (0 to 1), and ``times``, its time as a
        multiple of edgeseg's.
    """
    classes, height, width = logits[0].shape
    ways = decoders(classes, (height, width), size_hw, threads)
    reference = [_naive(each, size_hw) for each in logits]
    agreement = {
        name: float(np.mean([(way(x) == truth).mean() for x, truth in zip(logits, reference, strict=True)]))
        for name, way in ways.items()
    }
    takes = {
        name: clocked(lambda number, way=way: way(logits[number % len(logits)]))  # type: ignore[misc]
        for name, way in ways.items()
    }
    timed = run_rounds(takes, rounds, pause_s=0.005)
    ours = timed["edgeseg"].percentiles()["p50"]
    return {
        name: {
            **result.percentiles(),
            "agreement": agreement[name],
            "times": result.percentiles()["p50"] / ours,
        }
        for name, result in timed.items()
    }


def mixed_share(logits: Logits) -> float:
    """Returns the share of cells between four coarse positions whose corners do not all have the same class."""
    best = logits.argmax(0)  # [h, w]
    corners = np.stack([best[:-1, :-1], best[:-1, 1:], best[1:, :-1], best[1:, 1:]])
    return float((corners != corners[0]).any(0).mean()) if corners.size else 0.0


def _ours(size_hw: tuple[int, int], threads: int) -> Decode:
    decoder, out = Decoder(threads), np.empty(size_hw, np.uint8)

    def run(logits: Logits) -> ClassMap:
        decoder(logits, out)
        return out

    return run


def _onnxruntime(classes: int, coarse_hw: tuple[int, int], size_hw: tuple[int, int], threads: int) -> Decode:
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    graph = decode_graph(classes, coarse_hw, size_hw).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(logits: Logits) -> ClassMap:
        classes: ClassMap = session.run(None, {"coarse": logits[None]})[0][0]
        return classes

    return run


def _running_best(logits: Logits, size_hw: tuple[int, int]) -> ClassMap:
    best = cv2.resize(logits[0], size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    classes = np.zeros(size_hw, np.uint8)
    for number in range(1, len(logits)):
        plane = cv2.resize(logits[number], size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        classes[plane > best] = number
        best = np.maximum(best, plane)
    return classes


def _naive(logits: Logits, size_hw: tuple[int, int]) -> ClassMap:
    planes = [cv2.resize(plane, size_hw[::-1], interpolation=cv2.INTER_LINEAR) for plane in logits]
    return np.asarray(np.argmax(np.stack(planes), axis=0), np.uint8)


def _torch(size_hw: tuple[int, int], threads: int) -> Decode:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)

    def run(logits: Logits) -> ClassMap:
        with torch.inference_mode():
            full = F.interpolate(torch.from_numpy(logits)[None], size=size_hw, mode="bilinear")
            classes: ClassMap = full[0].argmax(0).byte().numpy()
        return classes

    return run
