"""Fixtures for all tests: the real data where it is, and a tiny data set made anew."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest
from edgeseg.core.labels import VOID, LabelMap
from PIL import Image

from .support.clone import exported
from .support.fixtures import (
    bundle_folder,
    edit_manifest,
    fake,
    fake_cameras,
    fake_tensorrt,
    films,
    gpu_module,
    install_fakes,
    make_bundle,
    mjpeg_server,
    open_kind,
    rtsp_server,
    streams,
    thin_link,
    tls_before,
)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("edgeseg", deadline=None)
hypothesis.settings.load_profile("edgeseg")

# A shell starts what it puts in the background with Ctrl-C ignored, and the tests send themselves that signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup does the same with the signal of a terminal that closes.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


LEFT_OUT = ("measurement", "slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what takes long or wants an idle machine, unless -m or the command line names it."""
    named = [mark for mark in LEFT_OUT if mark not in config.option.markexpr]
    if any("::" in arg for arg in config.args):
        return
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in named)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes names of files that are no text in what a test logged: no worker could hand the report on."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode("utf-8")) for title, text in report.sections
    ]
    return report


LABELS = LabelMap.from_pairs([("ground", (0, 0, 0)), ("road", (128, 64, 128)), ("car", (64, 0, 128))])


@pytest.fixture(scope="session")
def _session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(_session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the tests out of the user's own cache, and what they leave there out of the tests."""
    monkeypatch.setenv("EDGESEG_CACHE", str(_session_cache))


@pytest.fixture
def labels() -> LabelMap:
    return LABELS


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set: ``make_dataset(train=4, val=2, kind="palette"|"rgb")``."""
    return partial(_write_dataset, tmp_path / "set")


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of four and two images for many tests: read it, or copy it."""
    return _write_dataset(tmp_path_factory.mktemp("small") / "set")


def _write_dataset(
    root: Path, train: int = 4, val: int = 2, kind: str = "palette", size_hw: tuple[int, int] = (24, 32)
) -> Path:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    LABELS.write(root / "labelmap.txt")
    generator = np.random.Generator(np.random.PCG64(0))
    for split, count in (("train", train), ("val", val)):
        names = [f"{split}_{index}" for index in range(count)]
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            mask = np.kron(generator.integers(0, 3, (3, 4)), np.ones((8, 8), int)).astype(np.uint8)
            mask = cv2.resize(mask, size_hw[::-1], interpolation=cv2.INTER_NEAREST)
            image = LABELS.palette_rgb()[mask][..., ::-1] // 2 + generator.integers(
                0, 60, (*size_hw, 3), np.uint8
            )
            mask[0, :3] = VOID
            cv2.imwrite(str(root / f"JPEGImages/{name}.png"), image)
            _write_mask(root / f"SegmentationClass/{name}.png", mask, kind)
    return root


@pytest.fixture
def write_mask() -> Callable[..., None]:
    return _write_mask


def _write_mask(
    path: Path, mask: np.ndarray, kind: str = "palette", palette: np.ndarray | None = None
) -> None:
    """Writes class ids as a palette PNG or an RGB one."""
    colours = LABELS.palette_rgb() if palette is None else palette
    if kind == "rgb":
        Image.fromarray(colours[mask]).save(path)
        return
    image = Image.fromarray(mask)
    image.putpalette(colours.ravel().tolist())
    image.save(path)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real labelled images and video beside the checkout; skips where it is not there."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
