"""The page in a real browser: what a person would see."""

from __future__ import annotations

import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import quaternion
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.ground import GroundView
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.embedding.pose import Mount
from edgeseg.runtime.status import FindingStatus
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 30_000

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(url, **context)``: a page that is looked at; it must not complain on its console."""
    contexts, complaints = [], []

    def open_it(url: str, **options: object) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


def wait_for_state(page: Any, state: str) -> None:
    page.wait_for_selector(f"#screen[data-state={state}]")


def wait_for_text(page: Any, selector: str, text: str) -> None:
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).textContent.includes(text)",
        arg=[selector, text],
    )


def canvas_of(page: Any) -> np.ndarray:
    """The canvas's content, [H, W, 3] RGB: the image alone."""
    pixels = page.evaluate(
        """() => { const canvas = document.getElementById("canvas");
        return [canvas.width, canvas.height,
                Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)]; }"""
    )
    width, height, values = pixels
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def screenshot_of(page: Any) -> np.ndarray:
    """A screenshot of the image, [H, W, 3] RGB."""
    data = page.locator("#screen").screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def redness(image: np.ndarray) -> np.ndarray:
    return image[..., 0] - image[..., 1]


def test_the_page_shows_masks_that_move_in_the_classes_colours(
    run: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    seen = []
    for _ in range(3):
        seen.append(canvas_of(page))
        page.wait_for_timeout(200)
    assert seen[0].shape == (120, 160, 3)
    moved = [np.abs(one - other).max(axis=2) > 40 for one, other in itertools.pairwise(seen)]
    assert any(each.mean() > 0.01 for each in moved), "the car drives"
    # Half the frame's colour (90, g, 90) and half the class's.
    image = seen[-1]
    trees, road = image[22:28, 5:-5], image[34:58, 5:-5]
    assert np.median(trees[..., 2]) == pytest.approx((90 + 40) / 2, abs=6)
    assert np.median(trees[..., 0]) == pytest.approx((90 + 40) / 2, abs=6)
    assert np.median(road[..., 0]) == pytest.approx((90 + 128) / 2, abs=6)
    assert np.median(road[..., 2]) == pytest.approx((90 + 128) / 2, abs=6)
    assert page.text_content("#legend li:nth-child(3) .name") == "tree"
    assert page.text_content("#legend li:nth-child(3) output") == "25%"
    assert page.text_content("#pill-text") == "Live"
    wait_for_text(page, "#p99", "31.0")
    assert page.text_content("#fps") == "25.0"
    page.wait_for_selector("#rate-spark path.line", state="attached")
    assert "Reconnects2" in page.text_content("#facts")
    assert "no route to host" in page.text_content("#facts")


@pytest.mark.slow
def test_toggles_and_opacity_act_at_once_on_the_image_that_is_there(
    make_run: Callable[..., Any], make_output: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    run = make_run().begin(playing=False)
    run.write(make_output(0))
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    plain_blue, road_blue = 90, (90 + 128) / 2
    at = (slice(34, 58), slice(5, -5), 2)
    assert np.median(canvas_of(page)[at]) == pytest.approx(road_blue, abs=4)
    page.uncheck("#legend li:nth-child(1) input")
    assert np.median(canvas_of(page)[at]) == pytest.approx(plain_blue, abs=4)
    assert page.text_content("#hidden-classes") == "1 class hidden"
    assert page.is_visible("#hidden-classes")
    page.check("#legend li:nth-child(1) input")
    page.locator("#opacity").fill("100")
    assert np.median(canvas_of(page)[at]) == pytest.approx(128, abs=4)
    assert page.text_content("#opacity-text") == "100%"
    page.locator("#opacity").fill("0")
    assert np.median(canvas_of(page)[at]) == pytest.approx(plain_blue, abs=4)
    page.locator("#opacity").fill("100")
    border = canvas_of(page)[29, 5:-5, 1]
    page.uncheck("#borders")
    assert page.get_attribute("#screen", "data-state") == "live"
    assert np.median(canvas_of(page)[29, 5:-5, 1]) - np.median(border) > 60
    page.click("#none")
    assert np.median(canvas_of(page)[at]) == pytest.approx(plain_blue, abs=4)
    page.click("#all")
    assert np.median(canvas_of(page)[at]) == pytest.approx(128, abs=4)


def test_losing_the_source_is_unmistakable_and_so_is_its_return(
    run: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    live = screenshot_of(page)
    assert (redness(live) > 90).mean() < 0.001
    run.lost = True
    wait_for_state(page, "bad")
    wait_for_text(page, "#verdict", "No valid result: source-lost")
    assert page.text_content("#why") == "The source is not there; it is being opened again."
    wait_for_text(page, "#problem", "unplugged")
    wait_for_text(page, "#legend li:nth-child(1) output", "–")
    page.wait_for_function(
        "() => /1\\.[1-9] s old|[2-9]\\.\\d s old/.test(document.getElementById('since').textContent)"
    )
    struck = screenshot_of(page)
    grey = struck.max(axis=2) - struck.min(axis=2) < 12
    assert grey.mean() > 0.85, "the image is grey"
    height, width = struck.shape[:2]
    for y, x in ((0.15, 0.15), (0.85, 0.15), (0.15, 0.85)):
        near = redness(struck)[
            int(y * height) - 6 : int(y * height) + 7, int(x * width) - 6 : int(x * width) + 7
        ]
        assert near.max() > 100, "struck through"
    run.lost = False
    wait_for_state(page, "live")
    assert not page.is_visible("#verdict")
    assert (redness(screenshot_of(page)) > 90).mean() < 0.001


def test_a_server_that_is_gone_is_told_and_its_return_needs_no_hand(
    make_run: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    first = make_run().begin()
    port = urlsplit(first.server.url).port
    page = open_page(first.server.url)
    wait_for_state(page, "live")
    wait_for_text(page, "#legend li:nth-child(3) output", "25%")
    assert page.is_enabled("#snapshot")
    assert page.is_enabled("#record")
    page.uncheck("#legend li:nth-child(2) input")
    first.end()
    wait_for_state(page, "bad")
    assert page.text_content("#verdict") == "The run has ended"
    assert page.text_content("#pill-text") == "Ended"
    assert page.text_content("#legend li:nth-child(3) output") == "–"
    assert page.is_disabled("#snapshot")
    assert page.is_disabled("#record")
    make_run(port=port).begin()
    wait_for_state(page, "live")
    wait_for_text(page, "#legend li:nth-child(3) output", "25%")
    assert page.is_enabled("#snapshot")
    assert page.is_enabled("#record")
    assert page.text_content("#pill-text") == "Live"
    assert page.text_content("#hidden-classes") == "1 class hidden"


def test_a_connection_that_falls_silent_is_told(run: Any, open_page: Callable[..., Any]) -> None:
    """As when the network goes: nothing is closed, and nothing comes."""
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    run.pause()
    run.status_hangs.set()
    wait_for_state(page, "bad")
    run.status_hangs.clear()
    run.pause(False)
    wait_for_state(page, "live")


def test_an_image_that_stands_still_loses_its_mask_with_the_connection_and_has_it_again(
    make_run: Callable[..., Any], make_output: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    run = make_run().begin(playing=False)
    run.write(make_output(0))
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    masked = canvas_of(page)
    run.status_hangs.set()
    wait_for_state(page, "bad")
    assert np.median(canvas_of(page)[34:58, 5:-5, 2]) == pytest.approx(90, abs=4)
    run.status_hangs.clear()
    page.wait_for_function("() => document.getElementById('verdict').textContent !== 'Connection lost'")
    # Struck out meanwhile, if the silence was long enough for that; else as it was.
    if page.get_attribute("#screen", "data-state") == "live":
        np.testing.assert_array_equal(canvas_of(page), masked)
    run.write(make_output(0))
    wait_for_state(page, "live")
    page.wait_for_function(
        """() => { const [red] = document.getElementById("canvas").getContext("2d").getImageData(80, 45, 1, 1).data;
        return red > 100; }"""
    )


def test_a_page_without_a_place_says_so_and_takes_one_when_it_is_free(
    make_run: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    run = make_run(clients=1).begin()
    first = open_page(run.server.url)
    wait_for_state(first, "live")
    second = open_page(run.server.url)
    wait_for_text(second, "#verdict", "All places are taken")
    first.close()
    wait_for_state(second, "live")


def test_the_token_is_asked_for_and_opens_the_page(
    make_run: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    run = make_run(token="a-token-of-the-test").begin()
    page = open_page(run.server.url)
    assert "needs its token" in page.text_content("body")
    page.goto(run.server.url + "?token=a-token-of-the-test")
    wait_for_state(page, "live")
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""


def test_buttons_save_a_snapshot_and_switch_the_recording(
    run: Any, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    with page.expect_download() as download:
        page.click("#snapshot")
    download.value.save_as(tmp_path / "snapshot.zip")
    assert (tmp_path / "snapshot.zip").read_bytes().startswith(b"PK")
    page.click("#record")
    wait_for_text(page, "#record-text", "Stop recording")
    assert run.recording.active
    wait_for_text(page, "#toast", "takes/take-000001")
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=false]")
    assert not run.recording.active
    run.recording.problem = "the disk is full"
    page.click("#record")
    wait_for_text(page, "#toast", "could not be started: the disk is full")


def test_several_sources_have_tabs_that_keys_reach(
    make_run: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    run = make_run(numbers=(1, 2)).begin()
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    wait_for_text(page, "#source-name", "camera 1")
    page.focus("#tabs button:first-child")
    page.keyboard.press("ArrowRight")
    wait_for_text(page, "#source-name", "camera 2")
    wait_for_state(page, "live")
    assert page.get_attribute("#tabs button:nth-child(2)", "aria-selected") == "true"


def test_a_source_that_the_next_run_lacks_is_not_waited_for(
    make_run: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    first = make_run(numbers=(1, 2)).begin()
    page = open_page(first.server.url)
    wait_for_state(page, "live")
    page.click("#tabs button:nth-child(2)")
    wait_for_text(page, "#source-name", "camera 2")
    first.end()
    wait_for_state(page, "bad")
    make_run(port=urlsplit(first.server.url).port).begin()
    wait_for_state(page, "live")
    wait_for_text(page, "#source-name", "camera 0")


def test_what_runs_less_well_is_announced(run: Any, open_page: Callable[..., Any], make_status: Any) -> None:
    run.status_fields = {"degraded": "int8-cpu instead of fp32"}
    page = open_page(run.server.url)
    wait_for_text(page, "#degraded", "int8-cpu instead of fp32")
    assert page.is_visible("#degraded")
    run.status_fields = {}
    page.wait_for_selector("#degraded", state="hidden")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [
        (320, 568, "dark"),
        (1920, 1080, "light"),
        pytest.param(320, 568, "light", marks=pytest.mark.slow),
        pytest.param(390, 844, "light", marks=pytest.mark.slow),
        pytest.param(390, 844, "dark", marks=pytest.mark.slow),
        pytest.param(820, 1180, "light", marks=pytest.mark.slow),
        pytest.param(820, 1180, "dark", marks=pytest.mark.slow),
        pytest.param(1920, 1080, "dark", marks=pytest.mark.slow),
    ],
)
def test_it_fits_every_screen_in_both_schemes(
    run: Any, open_page: Callable[..., Any], scheme: str, width: int, height: int
) -> None:
    page = open_page(
        run.server.url,
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
    )
    wait_for_state(page, "live")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    values = page.locator("#facts dd").evaluate_all(
        "all => all.map((each) => each.clientWidth / each.parentElement.clientWidth)"
    )
    assert min(values) > 0.3, "a sink's long name leaves room for the values"
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(brightness.split("(")[1].split(",")[0])
    assert (red > 200) == (scheme == "light")
    box = page.locator("#canvas").bounding_box()
    assert box["width"] >= min(300, width - 30)
    if folder := os.environ.get("PREVIEW_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{scheme}-{width}.png")


def test_a_landing_spot_is_drawn_and_told_and_withdrawn(
    make_run: Callable[..., Any], make_output: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    camera = CameraModel((120, 160), 160.0, 160.0, 79.5, 59.5)
    pose = VehiclePose(0.0, quaternion(0, 0, 0), 20.0)
    view = GroundView.of(camera, Mount.looking_down(), pose)
    spot = LandingSpot(
        True, "", 0.0, (79.5, 59.5), (0.0, 0.0), (0.0, 0.0, 20.0), 20.0, 3.5, 2.5, 1.5, 2, view
    )
    run = make_run().begin(playing=False)
    run.findings = {"landing": FindingStatus(True, "", spot.caption, spot.facts(), {}, spot.blind_to)}
    output = make_output(0)
    run.write(replace(output, result=replace(output.result, findings={"landing": spot})))
    page = open_page(run.server.url)
    wait_for_state(page, "live")
    wait_for_text(page, "#findings", "Clearance, m3.5")
    assert page.text_content("#findings .warning") == "Blind to slope, wires, untaught surfaces"
    assert "Forward, right, down, m0, 0, 20" in page.text_content("#findings dl")
    # The footprint of 2.5 m is 20 pixels around the middle.
    green = canvas_of(page)[..., 1] - canvas_of(page)[..., 0]
    assert green[60, 97:103].max() > 120
    assert green[38:43, 80].max() > 120
    run.findings = {"landing": FindingStatus(False, "no-clear-area", "", {}, {})}
    wait_for_text(page, "#findings .problem", "no-clear-area")
    assert page.text_content("#findings dl") == ""
    run.end()
    wait_for_state(page, "bad")
    wait_for_text(page, "#findings .problem", "not known now")
