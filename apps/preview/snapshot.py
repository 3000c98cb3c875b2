"""A snapshot: the newest frame, its mask and its facts, in a zip file."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime, timezone
from typing import Any

import cv2

from ...core.errors import OutputError
from ...core.labels import VOID, LabelMap
from ...core.palette_png import encode
from ...runtime.clock import now
from ...runtime.reasons import MEANING
from ...runtime.sinks.base import Output
from ...runtime.status import Status

_PNG_COMPRESSION = 1


def snapshot(output: Output, labels: LabelMap, status: Status | None) -> bytes:
    """The zip file's bytes: ``frame.png`` as captured, ``mask.png`` with the classes' palette, ``result.json``.

    The mask of a result that is not valid is void everywhere, and ``result.json`` has the reason.

    Raises:
        OutputError: the frame cannot be encoded.
    """
    done, frame_png = cv2.imencode(".png", output.frame_bgr, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])
    if not done:
        raise OutputError("OpenCV cannot encode a PNG")
    files = {
        "frame.png": frame_png.tobytes(),
        "mask.png": encode(output.result.classes, labels.palette_rgb()),
        "result.json": (json.dumps(_result(output, labels, status), indent=2) + "\n").encode(),
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def _result(output: Output, labels: LabelMap, status: Status | None) -> dict[str, Any]:
    result = output.result
    age_seconds = max(0.0, now() - result.captured_at)
    facts: dict[str, Any] = {
        "source": output.source,
        "frame_id": result.frame_id,
        "name": output.name,
        "size_hw": list(output.frame_bgr.shape[:2]),
        "taken_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "age_ms": round(age_seconds * 1e3, 1),
        "valid": result.valid,
        "reason": result.reason,
        "meaning": MEANING.get(result.reason, ""),
        "timings_ms": {stage: round(ms, 3) for stage, ms in result.timings_ms.items()},
        "void": VOID,
        "classes": [
            {"id": number, "name": label.name, "rgb": list(label.rgb), "share": _share(output, number)}
            for number, label in enumerate(labels.labels)
        ],
    }
    if result.findings:
        facts["findings"] = {
            name: {**finding.facts(), "blind_to": finding.blind_to}
            for name, finding in result.findings.items()
        }
    if status is not None:
        facts |= {
            name: getattr(status, name) for name in ("bundle", "variant", "backend", "device", "precision")
        }
        facts["degraded"] = status.degraded
    return facts


def _share(output: Output, class_id: int) -> float | None:
    if not output.result.valid or class_id >= len(output.shares):
        return None
    return round(float(output.shares[class_id]), 6)
