"""The closing lines of ``make demo``: the measured figures and the paths of the results."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def summary(folder: Path) -> str:
    """Summarises ``verification.json``, ``stats.json`` and, where there is one, ``landing.json`` of a demo folder."""
    verification = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    stats = json.loads((folder / "stats.json").read_text(encoding="utf-8"))
    name, variant = next(iter(verification["variants"].items()))
    frames = verification["frames"]
    stages = stats["stages_ms"]
    lines = ["", "Measured on this machine:"]
    if frames["truth"]:
        lines.append(
            f"  mIoU     {variant['miou_variant']:.4f} ({name}), {variant['miou_reference']:.4f} (PyTorch), "
            f"on {frames['count']} frames of {frames['source']} with exact labels"
        )
    lines += [
        f"  parity   {variant['pixel_agreement']:.4%} of the pixels as PyTorch has them, "
        f"{variant['real_disagreement']:.4%} really differ",
        f"  speed    {stats['fps']:.1f} frames/s over {stats['frames']} frames on {stats['device']}; "
        f"inference {stages['inference']['p50']:.0f} ms, decode {stages['decode']['p50']:.1f} ms (medians)",
    ]
    landing = folder / "landing.json"
    if landing.exists():
        lines.append(f"  landing  {json.loads(landing.read_text(encoding='utf-8'))['words']}")
    lines += ["", "Results:"]
    for file, text in (
        ("overlay.mp4", "the video with its masks"),
        ("landing.mp4", "a landing in the aerial world, with the flight from above"),
        ("contact-sheet.png", "frame, truth, mask, overlay"),
        ("verification.json", "every figure of the verification"),
        ("verification.html", "the same with images"),
    ):
        if (folder / file).exists():
            lines.append(f"  {folder / file!s:26} {text}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(summary(Path(sys.argv[1])))
