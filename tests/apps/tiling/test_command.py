"""``edgeseg run --tile``: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg import Segmenter
from edgeseg.cli.main import run_verb
from PIL import Image

Run = Callable[..., int]


@pytest.fixture
def run(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *args: run_verb(
        "run", ["--bundle", str(bundle_folder), *(str(arg) for arg in args)], prog="edgeseg run"
    )


@pytest.fixture
def image(tmp_path: Path, image_of: Callable[..., np.ndarray]) -> Path:
    cv2.imwrite(str(tmp_path / "p.png"), image_of((170, 250)))
    return tmp_path / "p.png"


def test_the_whole_road(
    run: Run, image: Path, bundle_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--source", "p.png", "--tile", 96, "--overlap", 16, "--stats", "s.json") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert re.search(r"^bundle +tiny, fp32 with onnxruntime on cpu$", out, re.M)
    assert re.search(r"^image +p\.png, 170 x 250, 0\.0 megapixels$", out, re.M)
    assert re.search(r"^tiles +12 of 64 x 96, overlap 16 x 16$", out, re.M)
    assert re.search(r"^rate +\d+\.\d megapixels a second, \d+\.\d s$", out, re.M)
    assert re.search(r"^grey +\d+\.\d%  #+$", out, re.M)
    assert "wrote class map p-classes.png\nwrote statistics s.json\n" in out
    mask = Image.open(tmp_path / "p-classes.png")
    mask.load()
    assert (mask.mode, mask.size) == ("P", (250, 170))
    classes = np.asarray(mask)
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["tiles"], stats["tile_hw"], stats["overlap_hw"]) == (12, [64, 96], [16, 16])
    assert (stats["pixels"], stats["void_share"]) == (170 * 250, 0)
    shares = [np.mean(classes == index) for index in range(3)]
    assert list(stats["class_share"].values()) == pytest.approx(shares)
    assert 20 < stats["peak_memory_mib"] < 2000
    with Segmenter(bundle_folder) as segmenter:
        palette = segmenter.labels.palette_rgb()
    np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), palette[classes])


def test_a_real_image_upright_and_with_the_networks_own_tiles(
    run: Run, shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photo = sorted((shared_data / "camvid" / "JPEGImages").iterdir())[0]
    assert run("--source", photo, "--tile", "--out", "deep/er/c.png") == 0
    assert re.search(r"^tiles +\d+ of 32 x 48, overlap 4 x 4$", capfd.readouterr().out, re.M)
    classes = np.asarray(Image.open(tmp_path / "deep/er/c.png"))
    grey = cv2.imread(str(photo)).mean(axis=2)
    assert classes.shape == grey.shape
    means = [grey[classes == index].mean() for index in np.unique(classes)]
    assert len(means) > 1
    assert means == sorted(means)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "p.png", "--overlap", "8"], "--overlap goes with --tile alone"),
        (["--source", "p.png", "--out", "c.png"], "--out goes with --tile alone"),
        (["--source", "p.png", "--tile", "--masks", "m"], "--masks does not go with --tile"),
        (["--source", "p.png", "--tile", "99999"], "--tile 99999: expected 1 to 16384"),
        (["--source", "p.png", "--tile", "20x20000"], "--tile 20x20000: expected sides of at most 16384"),
        (
            ["--source", "p.png", "--tile", "--out", "p.png", "--force"],
            "--out: p.png would replace the source",
        ),
        (["--source", "p.png", "--tile", "--show"], "--show does not go with --tile"),
        (["--source", "p.png", "--tile", "--events", "-"], "--events does not go with --tile"),
        (["--source", "p.png", "--tile", "--land", "a"], "--land does not go with --tile"),
        (["--source", "p.png", "--tile", "--ros2"], "--ros2 does not go with --tile"),
        (
            ["--source", "p.png", "--tile", "--mavlink", "udpout:1.2.3.4:5"],
            "--mavlink does not go with --tile",
        ),
        (["--source", "p.png", "--tile", "--frames", "3"], "--frames does not go with --tile"),
        (["--tile"], "--tile takes one image: name it with --source"),
        (["--source", "p.png", "--tile", "big"], "--tile big: expected the longer side in pixels"),
        (["--source", "p.png", "--tile", "0"], "--tile 0: expected 1 to 16384"),
        (["--source", "p.png", "--tile", "12x"], "'12x' is not a size"),
        (["--source", "p.png", "--tile", "--overlap", "32"], "expected 0 to 31, such as 4"),
        (["--source", "absent.png", "--tile"], "absent.png does not exist; tiling takes one image"),
        (["--source", ".", "--tile"], ". is no image; tiling takes one image"),
        (
            ["--source", "p.png", "--tile", "--out", "c.tif"],
            "the class map of p.png is a png file; got c.tif",
        ),
        (["--source", "p.png", "--tile", "--out", "cut.png"], "cut.png exists; give --force"),
        (["--source", "p.png", "--tile", "--stats", "cut.png"], "cut.png exists; give --force"),
        (["--source", "cut.png", "--tile"], "cut.png is damaged or truncated"),
        (["--source", "deep.png", "--tile"], "deep.png has pixels of uint16; expected 8 bits a channel"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    run: Run,
    image: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:900])
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((9, 9, 3), np.uint16))
    before = set(tmp_path.iterdir())
    assert run(*options) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("edgeseg run: error: ")
    assert message in err
    assert set(tmp_path.iterdir()) == before


def has_bytes(path: Path) -> bool:
    """Returns True if something has been written; a name that is only tried is gone again at once."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


@pytest.mark.timeout(90)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing_half_written(
    bundle_folder: Path, tmp_path: Path, number: signal.Signals, suffix: str
) -> None:
    if suffix == ".tif":
        pytest.importorskip("rasterio")
    source = tmp_path / f"large{suffix}"
    cv2.imwrite(str(source), np.tile(np.arange(250, dtype=np.uint8), (9000, 12))[..., None].repeat(3, axis=2))
    before = set(tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeseg.cli", "run", "--bundle", bundle_folder, "--source", source, "--tile"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(has_bytes(path) for path in tmp_path.glob(".large-classes.partial-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "edgeseg run: stopped\n")
    assert set(tmp_path.iterdir()) == before


MEASURED = """
import sys
from edgeseg.cli.main import run_verb
sys.exit(run_verb("run", sys.argv[1:], prog="edgeseg run"))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_image(
    open_segmenter: Callable[..., Segmenter], tmp_path: Path
) -> None:
    """A GeoTIFF of 2 megapixels and one of 64, each in a process of its own: 190 MB of pixels more, if held."""
    rasterio = pytest.importorskip("rasterio")
    bundle = open_segmenter((256, 256)).bundle.path
    peaks = []
    for height in (1000, 32000):
        path = tmp_path / f"{height}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint8", count=3, height=height, width=2000, crs="EPSG:32633",
            transform=rasterio.transform.from_origin(0, 0, 1, 1), tiled=True, compress="jpeg",
        ) as file:  # fmt: skip
            rows = np.tile(np.arange(250, dtype=np.uint8), (3, 1000, 8))
            for top in range(0, height, 1000):
                file.write(rows, window=rasterio.windows.Window(0, top, 2000, 1000))
        options = ["--bundle", bundle, "--source", path, "--tile", "--stats", path.with_suffix(".json")]
        subprocess.run(
            [sys.executable, "-c", MEASURED, *options],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=200,
        )
        peaks.append(json.loads(path.with_suffix(".json").read_text())["peak_memory_mib"])
    assert peaks[1] < 1.08 * peaks[0], peaks  # what GDAL's cache holds when it is full, and the heap's holes
