"""The page: complete, self-contained, and safe for any class name."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from edgeseg.core.labels import LabelMap
from edgeseg.export.report.console import show_verification
from edgeseg.export.report.images import REAL_RGB, TIE_RGB, ComparedMask, Gallery, difference_map
from edgeseg.export.report.page import render
from edgeseg.export.verification.frames import LabelledFrame
from edgeseg.export.verification.parity import AGREES, REAL, TIE
from edgeseg.export.verification.verify import Verification, verify
from edgeseg.runtime.bundle import Bundle
from rich.console import Console


class Balance(HTMLParser):
    """Counts tags that are open at the end, and collects what the page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module", params=["truth", "no-truth"])
def verification(request: pytest.FixtureRequest, bundle: Bundle) -> Verification:
    return verify(
        bundle, request.getfixturevalue("noise" if request.param == "truth" else "unlabelled_noise")
    )


def test_the_page_is_whole_and_needs_nothing_else(verification: Verification) -> None:
    page = render(verification.as_json(), verification.images)
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.fetched
    assert all(address.startswith("data:image/") for address in balance.fetched)
    assert "http" not in page
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_says_what_was_measured(verification: Verification) -> None:
    page = render(verification.as_json(), verification.images)
    text = re.sub(r"<[^>]+>", " ", page)
    for word in (
        "fp32",
        "fp16",
        "Real disagreement",
        "at most 0.0100 %",
        "at most 0.1000 %",
        "noise-0",
        "passed",
    ):
        assert word in text
    assert ("there is no truth" in text) == bool(verification.note)
    assert ("mIoU" in text) != bool(verification.note)


def test_a_name_cannot_become_markup(verification: Verification) -> None:
    content = verification.as_json()
    content["bundle"] = "<script>alert(1)</script>"
    content["variants"]["fp32"]["classes"][0]["name"] = "<img src=x>"
    page = render(content, ())
    assert "<script>" not in page
    assert "<img src=x>" not in page


def test_differences_stay_visible_in_a_smaller_image() -> None:
    kinds = np.full((1000, 2000), AGREES, np.uint8)
    kinds[500, 333] = TIE
    kinds[700, 1800] = REAL
    image = difference_map(np.zeros((1000, 2000, 3), np.uint8), kinds)
    assert image.shape == (240, 480, 3)
    assert (image[500 * 240 // 1000, 333 * 480 // 2000] == TIE_RGB[::-1]).all()
    assert (image[700 * 240 // 1000, 1800 * 480 // 2000] == REAL_RGB[::-1]).all()


def test_the_gallery_keeps_the_first_frame_and_the_worst() -> None:
    gallery = Gallery(LabelMap.generic(2), size=3)
    mask = np.zeros((8, 8), np.uint8)
    for index, differing in enumerate([0, 5, 1, 9, 2]):
        kinds = np.zeros((8, 8), np.uint8)
        kinds.flat[:differing] = REAL
        frame = LabelledFrame(str(index), np.zeros((8, 8, 3), np.uint8), mask)
        gallery.add(frame, mask, {"fp32": ComparedMask(mask, kinds)}, has_truth=False)
    assert [images.id for images in gallery.frames()] == ["0", "3", "1"]


def test_one_class_everywhere_is_said_beside_the_verdict(
    verification: Verification, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = replace(verification.variants[0].summary, only_class="a<b", frames=2)
    dull = replace(
        verification,
        variants=(replace(verification.variants[0], summary=summary), *verification.variants[1:]),
    )
    note = "redicts one class only, &#x27;a&lt;b&#x27;, on all 2 frames."
    assert note not in render(verification.as_json(), ())
    page = render(dull.as_json(), ())
    assert page.index("passed") < page.index(note)
    assert dull.as_json()["variants"]["fp32"]["note"] == "predicts one class only, 'a<b', on all 2 frames"
    assert dull.as_json()["variants"]["fp32"]["only_class"] == "a<b"
    show_verification(Console(width=80), dull)
    printed = " ".join(capsys.readouterr().out.split())
    assert "fp32 predicts one class only, 'a<b', on all 2 frames: parity says nothing" in printed
    show_verification(Console(width=80), verification)
    assert "one class only" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("note", "legend"),
    [
        (
            "",
            "real, all others. mIoU: PyTorch → variant, in percent. Worst class: points of IoU that it loses.",
        ),
        (
            "other classes",
            "real, all others. Worst class: points that its IoU with PyTorch's mask lacks to 100.",
        ),
    ],
)
def test_the_columns_of_the_table_are_explained_below_it(
    verification: Verification, capsys: pytest.CaptureFixture[str], note: str, legend: str
) -> None:
    show_verification(Console(width=80), replace(verification, note=note))
    printed = " ".join(capsys.readouterr().out.split())
    assert "ties, where rounding cannot tell the best two classes apart; " + legend in printed
