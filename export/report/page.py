"""The verification page: the content of ``verification.json`` with images, in one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .images import REAL_RGB, TIE_RGB, WRONG_RGB, FrameImages
from .stability import stability_section
from .style import STYLE

_GATE_UNITS = {
    "finite logits": ("{:.0f}", 1.0, "frames with logits that are not finite"),
    "real disagreement": ("{:.4f} %", 100.0, "pixels that differ where the reference is no tie"),
    "mean IoU": ("{:.2f} points", 100.0, "what the mean over the classes loses"),
    "class IoU": ("{:.2f} points", 100.0, "most that one class loses"),
    "logit error": ("{:.3g} %", 100.0, "largest error of a logit, of their root mean square"),
    "float16 head-room": ("{:,.0f}", 1.0, "largest activation; float16 ends at 65,504"),
}


def render(verification: Mapping[str, Any], images: Sequence[FrameImages]) -> str:
    """Renders the page.

    Args:
        verification: the content of ``verification.json``.
        images: images of the frames to show.

    Returns:
        HTML, with the images inside.
    """
    variants = verification["variants"]
    sections = "".join(_variant(name, variant, verification["labels"]) for name, variant in variants.items())
    title = f"{verification['bundle']} against PyTorch"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>
{_header(verification)}
{sections}
{stability_section(verification)}
{_gallery(verification, images)}
{_footer(verification)}
</main></body></html>
"""


def _header(verification: Mapping[str, Any]) -> str:
    frames = verification["frames"]
    height, width = verification["input_size_hw"]
    return f"""<div class="top"><h1>{escape(verification["bundle"])}</h1>{_pill(verification["passed"])}</div>
<p class="lead">{escape(verification["weights"])} weights, {len(verification["labels"])} classes,
input {height} x {width}.
PyTorch in float32 and {_list(list(verification["variants"]))} ran on the same {frames["count"]} frames of
{escape(frames["source"])}{", with their labels" if frames["truth"] else ""}.</p>{_note(frames["note"])}"""


def _variant(name: str, variant: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> str:
    return f"""<h2>{escape(name)} {_pill(variant["passed"])}</h2>{_note(variant["note"])}
{_calibration(variant["calibration"])}{_figures(variant)}
<div class="grid"><section class="card"><h3>Gates</h3>{_gates(variant)}</section>
<section class="card"><h3>Where pixels differ</h3>{_agreement(variant)}</section></div>
<section class="card wide" style="margin-top:16px"><h3>Classes</h3>{_classes(variant, labels)}</section>"""


def _note(text: str) -> str:
    """Renders the note beside a verdict."""
    return f'<p class="note">{escape(_upper(text))}.</p>' if text else ""


def _calibration(calibration: Mapping[str, Any] | None) -> str:
    """Renders one line on the calibration of an INT8 variant; nothing for others."""
    if calibration is None:
        return ""
    in_float = len(calibration["excluded"])
    return (
        "<p class=lead style='margin-bottom:14px'>"
        f"Calibrated on {calibration['pictures']} images of {escape(calibration['source'])}: "
        f"{escape(calibration['method'])} ranges, biases {'corrected' if calibration['shifts'] else 'as they are'}, "
        f"{in_float} convolution{'' if in_float == 1 else 's'} in float, "
        f"{100 * calibration['int8_macs']:.1f} % of the work in INT8.</p>"
    )


def _figures(variant: Mapping[str, Any]) -> str:
    cells = [("Same class", _percent(variant["pixel_agreement"], 3), "of all pixels")]
    if variant["has_truth"]:
        cells.append(
            ("mIoU", _points(variant["miou_variant"]), f"PyTorch {_points(variant['miou_reference'])}")
        )
        cells.append(
            (
                "Pixel accuracy",
                _points(variant["pixel_accuracy_variant"]),
                f"PyTorch {_points(variant['pixel_accuracy_reference'])}",
            )
        )
    cells.append(("Boundary IoU", _points(variant["boundary_iou"]), "against PyTorch's masks"))
    cells.append(
        ("Largest logit error", f"{variant['max_logit_error']:.2g}", f"class {variant['worst_logit_class']}")
    )
    cells.append(("ONNX file", f"{variant['bytes'] / 1e6:.1f} MB", variant["backend"]))
    return (
        '<dl class="figures">'
        + "".join(f"<div><dt>{a}</dt><dd>{b}<small>{escape(c)}</small></dd></div>" for a, b, c in cells)
        + "</dl>"
    )


def _gates(variant: Mapping[str, Any]) -> str:
    rows = []
    for gate in variant["gates"]:
        form, factor, meaning = _GATE_UNITS[gate["gate"]]
        measured, limit = gate["measured"] * factor, gate["limit"] * factor
        if limit == 0:
            share = 1.0 if measured > 0 else 0.0
        else:
            share = max(0.0, measured / limit)
        kind = "good" if gate["passed"] else "bad"
        hangs_on = gate["class"] or gate["operator"]
        whose = f" ({escape(hangs_on)})" if hangs_on else ""
        rows.append(
            f"<tr><td>{escape(_upper(gate['gate']))}<br><span class=faint>{meaning}{whose}</span></td>"
            f'<td class="bars">{_bar(min(1.0, share), kind)}</td>'
            f'<td class="number"><span class="{kind}text">{form.format(measured)}</span>'
            f"<br><span class=faint>at most {form.format(limit)}</span></td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _agreement(variant: Mapping[str, Any]) -> str:
    differing = variant["tie_share"] + variant["real_disagreement"]
    rows = (
        ("Ties", "--tie", variant["tie_share"], "PyTorch's best two classes are as good as equal there"),
        (
            "Real disagreements",
            "--real",
            variant["real_disagreement"],
            "PyTorch is sure, the variant differs",
        ),
    )
    body = "".join(
        f'<tr><td><span class="swatch" style="background:var({color})"></span>{label}'
        f'<br><span class=faint>{text}</span></td><td class="bars"><div class="bar">'
        f'<i style="width:{100 * share / differing if differing else 0:.1f}%;background:var({color})"></i></div></td>'
        f'<td class="number">{_percent(share, 4)}</td></tr>'
        for label, color, share, text in rows
    )
    worst = variant["worst_frame"]
    where = (
        f"Most of them are in frame {escape(worst)}."
        if differing
        else "Every pixel of every frame has the same class."
    )
    return (
        f"<table>{body}</table><p class=key>Bars show the share of the pixels that differ. {where} "
        f"A tie is a pixel whose two best logits are closer than {_percent(variant['tie_margin'], 2)} "
        "of the logits' root mean square.</p>"
    )


def _classes(variant: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> str:
    truth = variant["has_truth"]
    head = (
        "<th>Class</th><th class=number>Pixels</th><th class=bars>IoU</th>"
        + ("<th class=number>PyTorch</th>" if truth else "")
        + "<th class=number>Variant</th><th class=number>Loses</th>"
        + ("<th class=number>Boundary, PyTorch</th><th class=number>Boundary, variant</th>" if truth else "")
        + "<th class=number>Boundary, against PyTorch</th>"
    )
    failed = {
        gate["class"] for gate in variant["gates"] if gate["gate"] == "class IoU" and not gate["passed"]
    }
    rows = []
    for label, row in zip(labels, variant["classes"], strict=True):
        r, g, b = label["rgb"]
        bars = (_bar(row["iou_reference"], "reference") if truth else "") + _bar(
            row["iou_variant"], "variant"
        )
        loses = (
            _points(row["drop"], 2)
            if row["judged"]
            else f"<span class=faint>{_points(row['drop'], 2)} *</span>"
        )
        if row["name"] in failed:
            loses = f'<span class="badtext">{loses}</span>'
        cells = [
            f'<td class=name><span class="swatch" style="background:rgb({r},{g},{b})"></span>'
            f"{escape(row['name'])}</td>",
            f"<td class='number faint'>{row['pixels']:,}</td><td class=bars>{bars}</td>",
            f"<td class=number>{_points(row['iou_reference'])}</td>" if truth else "",
            f"<td class=number>{_points(row['iou_variant'])}</td><td class=number>{loses}</td>",
            f"<td class=number>{_points(row['boundary_iou_reference'])}</td>" if truth else "",
            f"<td class=number>{_points(row['boundary_iou_variant'])}</td>" if truth else "",
            f"<td class=number>{_points(row['boundary_iou'])}</td>",
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    key = (
        '<i style="background:var(--reference)"></i>PyTorch<i style="background:var(--variant)"></i>variant. '
        "IoU in points of 100, against the labels."
        if truth
        else "IoU in points of 100, against PyTorch's own masks; ties are left out."
    )
    few = any(not row["judged"] for row in variant["classes"])
    tail = f" * fewer than {variant['min_class_pixels']:,} pixels: shown, not judged." if few else ""
    return f"<table><tr>{head}</tr>{''.join(rows)}</table><p class=key>{key}{tail}</p>"


def _gallery(verification: Mapping[str, Any], images: Sequence[FrameImages]) -> str:
    if not images:
        return ""
    swatches = "".join(
        f'<span><span class="swatch" style="background:rgb({",".join(map(str, label["rgb"]))})"></span>'
        f"{escape(label['name'])}</span>"
        for label in verification["labels"]
    )
    kinds = [(TIE_RGB, "tie"), (REAL_RGB, "real disagreement")]
    if verification["frames"]["truth"]:
        kinds.append((WRONG_RGB, "PyTorch is wrong"))
    marks = "".join(
        f'<span><span class="swatch" style="background:rgb{rgb}"></span>{text}</span>' for rgb, text in kinds
    )
    frames = "".join(_frame(image) for image in images)
    return (
        "<h2>Frames</h2><p class=lead style='margin:-6px 0 14px'>The first frame, and those that differ most.</p>"
        f'<div class="legend">{swatches}</div><div class="legend">{marks}</div>{frames}'
    )


def _frame(image: FrameImages) -> str:
    upper = [_figure(image.frame_jpeg, "jpeg", "Frame")]
    lower = [_figure(image.reference_png, "png", "PyTorch")]
    if image.truth_png is not None and image.wrong_png is not None:
        upper.append(lower.pop())
        lower = [
            _figure(image.truth_png, "png", "Labels"),
            _figure(image.wrong_png, "png", "PyTorch is wrong"),
        ]
    for name, variant in image.variants.items():
        shares = f"{_percent(variant.tie_share, 3)} ties, {_percent(variant.real_share, 3)} real"
        upper.append(_figure(variant.mask_png, "png", name))
        lower.append(_figure(variant.difference_png, "png", f"{name} differs from PyTorch: {shares}"))
    # Narrow screens show the columns one below the other, so each column keeps its two images together.
    columns = "".join(f"<div>{top}{bottom}</div>" for top, bottom in zip(upper, lower, strict=True))
    return (
        f'<section class="card frame"><h4>{escape(image.id)}</h4><div class="row">{columns}</div></section>'
    )


def _figure(encoded: bytes, kind: str, caption: str) -> str:
    data = base64.b64encode(encoded).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/{kind};base64,{data}"><figcaption>{text}</figcaption></figure>'


def _footer(verification: Mapping[str, Any]) -> str:
    made = ", ".join(f"{name} {version}" for name, version in verification["created_with"].items())
    return (
        "<footer>The reference is PyTorch in float32 from the bundle's own checkpoint; "
        "a variant went through the runtime's own resize, backend and decode. "
        "Boundary IoU as in Cheng et al. 2021, bands of 2 % of the diagonal. "
        f"Exported with {escape(made)}.</footer>"
    )


def _bar(share: float | None, kind: str) -> str:
    return f'<div class="bar"><i class="{kind}" style="width:{100 * (share or 0):.1f}%"></i></div>'


def _pill(passed: bool) -> str:
    return f'<span class="pill {"good" if passed else "bad"}">{"passed" if passed else "refused"}</span>'


def _percent(share: float, digits: int) -> str:
    """Formats a share of 1 in per cent, with ``digits`` decimals and without trailing zeros."""
    text = f"{100 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def _points(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{round(100 * share, digits) + 0:.{digits}f}"


def _list(names: Sequence[str]) -> str:
    return escape(names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1])


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
