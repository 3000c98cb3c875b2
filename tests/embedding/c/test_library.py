"""The whole C library: Python's masks bit for bit, and nothing that a caller hands in brings it down."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from edgeseg import Segmenter, open_source
from edgeseg._version import __version__
from edgeseg.core.arrays import Frame
from onnx import helper, numpy_helper

from ...support import c_library
from ...support.bundles import brightness_graph
from ...support.c_library import Driver
from ...support.clone import ROOT, shell

Edit = Callable[[Callable[[dict[str, Any]], None]], None]

SIZES = [
    (720, 1280), (480, 640), (512, 512), (1024, 1024), (360, 480), (513, 511), (1080, 1920), (64, 64), (333, 777),
    (1, 1), (1, 999), (700, 3),
]  # fmt: skip


def test_it_has_the_projects_version() -> None:
    text = (ROOT / "embedding/c/CMakeLists.txt").read_text()
    assert f"project(edgeseg VERSION {__version__} " in text


class TestMasks:
    """Frames of several sizes: views from above, and noise, where every rounding shows."""

    @staticmethod
    def frames(count: int) -> list[Frame]:
        generator = np.random.default_rng(7)
        frames = []
        with open_source("aerial:11?size=640x512") as source:
            for index, size_hw in zip(range(count), itertools.cycle(SIZES), strict=False):
                view = source.read()
                assert view is not None
                noise = generator.integers(0, 256, (*size_hw, 3), np.uint8)
                frames.append(
                    noise if index % 4 == 3 else cv2.resize(view, size_hw[::-1], interpolation=cv2.INTER_AREA)
                )
        return frames

    def check(self, driver: Driver, ort: Path, bundle: Path, count: int, variant: str = "fp32") -> None:
        assert driver.open(bundle, ort, variant) == (0, "")
        seen: set[int] = set()
        with Segmenter(bundle, variant) as segmenter:
            for frame_bgr in self.frames(count):
                expected = segmenter(frame_bgr).classes
                np.testing.assert_array_equal(driver.segment(frame_bgr), expected, str(frame_bgr.shape))
                seen.update(np.unique(expected))
        assert len(seen) > 2

    def test_those_of_weights_that_ship(self, fast_driver: Driver, ort: Path, exported: Path) -> None:
        self.check(fast_driver, ort, exported, len(SIZES))

    def test_those_under_the_sanitizers(self, driver: Driver, ort: Path, exported: Path) -> None:
        self.check(driver, ort, exported, 4)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_any_number_of_threads(
        self, fast_driver: Driver, ort: Path, bundle_folder: Path, threads: int
    ) -> None:
        frame_bgr = self.frames(4)[3]
        assert fast_driver.open(bundle_folder, ort, threads=threads) == (0, "")
        with Segmenter(bundle_folder) as segmenter:
            np.testing.assert_array_equal(fast_driver.segment(frame_bgr), segmenter(frame_bgr).classes)

    @pytest.mark.slow
    @pytest.mark.parametrize("weights", ["aerial", "camvid"])
    def test_two_hundred_frames_in_each_precision(
        self, fast_driver: Driver, ort: Path, tmp_path: Path, weights: str
    ) -> None:
        options = f"--weights {weights} --precision fp32,int8 --frames 10 --out {tmp_path / weights}"
        shell(f"python export.py --model lraspp {options}", ROOT)
        self.check(fast_driver, ort, tmp_path / weights, 200)
        self.check(fast_driver, ort, tmp_path / weights, 24, "int8-cpu")


def test_one_frame_after_another_of_any_size(driver: Driver, ort: Path, bundle_folder: Path) -> None:
    assert driver.open(bundle_folder, ort) == (0, "")
    with Segmenter(bundle_folder) as segmenter:
        for size_hw in (*SIZES, *reversed(SIZES)):
            frame_bgr = np.random.default_rng(size_hw[0]).integers(0, 256, (*size_hw, 3), np.uint8)
            np.testing.assert_array_equal(driver.segment(frame_bgr), segmenter(frame_bgr).classes)


def test_labels(driver: Driver, ort: Path, bundle_folder: Path) -> None:
    driver.open(bundle_folder, ort)
    assert driver.labels() == ["128 64 128 dark", "70 160 70 grey", "220 60 60 bright"]


def test_a_stride(driver: Driver, ort: Path, bundle_folder: Path) -> None:
    """A row may be followed by bytes that are no pixels; the last one need not be."""
    driver.open(bundle_folder, ort)
    frame_bgr = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    padded = np.full((20, 97), 255, np.uint8)
    padded[:, :90] = frame_bgr.reshape(20, 90)
    answer, classes = driver.run(padded.tobytes()[: 19 * 97 + 90], 30, 20, 97)
    assert answer == (0, "")
    assert classes == driver.segment(frame_bgr).tobytes()


class TestMisuse:
    PIXELS = bytes(20 * 30 * 3)

    @pytest.fixture(autouse=True)
    def _open(self, driver: Driver, ort: Path, bundle_folder: Path) -> None:
        assert driver.open(bundle_folder, ort) == (0, "")

    @pytest.mark.parametrize(
        ("width", "height", "stride", "room", "reason"),
        [
            (0, 20, 0, 600, "a frame of 0 x 20 pixels; expected 1 to 65535 each"),
            (30, -1, 0, 600, "a frame of 30 x -1 pixels; expected 1 to 65535 each"),
            (65536, 1, 0, 600, "a frame of 65536 x 1 pixels; expected 1 to 65535 each"),
            (-(2**31), 2**31 - 1, 0, 600, "pixels; expected 1 to 65535 each"),
            (30, 20, 89, 600, "a stride of 89 bytes; expected at least 90 for a width of 30"),
            (30, 20, 2**64 - 1, 600, "a stride of 18446744073709551615 bytes; expected at least 90"),
            (30, 20, 2**63, 600, "a stride of 9223372036854775808 bytes; expected at least 90"),
            (30, 20, 91, 600, "a frame of 1800 bytes; 30 x 20 pixels with a stride of 91 need 1819"),
            (30, 21, 0, 630, "a frame of 1800 bytes; 30 x 21 pixels with a stride of 90 need 1890"),
            (65535, 65535, 0, 600, "a frame of 1800 bytes; 65535 x 65535 pixels"),
            (30, 20, 0, 599, "room for a class map of 599 bytes; this frame's has 600"),
            (30, 20, 0, 0, "room for a class map of 0 bytes; this frame's has 600"),
        ],
    )
    def test_sizes_that_do_not_fit(
        self, driver: Driver, width: int, height: int, stride: int, room: int, reason: str
    ) -> None:
        answer, classes = driver.run(self.PIXELS, width, height, stride, room)
        assert answer.status == 1
        assert reason in answer.reason
        assert classes == b"M" * room  # untouched
        assert driver.run(self.PIXELS, 30, 20)[0] == (0, "")

    def test_null(self, driver: Driver) -> None:
        assert driver.command("null", 12) == [
            "open without a handle: 1",
            "open without a bundle: 1 the bundle's path is NULL; give its folder",
            "run what is not open: 1 the bundle's path is NULL; give its folder",
            "its labels: 0",
            "run without a handle: 1",
            "run without a frame: 1 the frame is NULL; give memory",
            "run without pixels: 1 the frame's bgr is NULL; give memory",
            "run without a class map: 1 the class map is NULL; give memory",
            "run after all that: 0 ",
            "labels of no handle: 0",
            "labels to nowhere: 3",
            "error of no handle: there is no handle: edgeseg_open() had no memory for one",
        ]

    def test_a_forked_child(self, driver: Driver) -> None:
        assert driver.command("child", 3) == [
            "child: 1 the handle belongs to the process that opened it; open another one in this process",
            "ended: 0",
            "parent: 0 ",
        ]

    def test_close_and_open_again(self, driver: Driver, ort: Path, bundle_folder: Path) -> None:
        for _ in range(3):
            assert driver.command("close", 1) == ["closed"]
            assert driver.open(bundle_folder, ort) == (0, "")
            assert driver.open(bundle_folder, ort) == (0, "")
            assert driver.run(self.PIXELS, 30, 20)[0] == (0, "")


class TestNoMemory:
    """The address sanitizer gives no more than 64 MiB at once."""

    MESSAGE = "there is not enough memory; close other programs"

    @pytest.fixture
    def poor(self, sanitized: Path) -> Iterator[Driver]:
        options = {"ASAN_OPTIONS": "max_allocation_size_mb=64:allocator_may_return_null=1"}
        with Driver(sanitized / "driver" / "driver", env=options) as program:
            yield program

    def test_for_the_graph(self, poor: Driver, ort: Path, bundle_folder: Path, edit_manifest: Edit) -> None:
        def enlarge(manifest: dict[str, Any]) -> None:
            manifest["variants"]["fp32"]["bytes"] = 1 << 30

        edit_manifest(enlarge)
        with (bundle_folder / "tiny.fp32.onnx").open("r+b") as file:
            file.truncate(1 << 30)
        assert poor.open(bundle_folder, ort) == (4, self.MESSAGE)
        assert poor.run(bytes(3), 1, 1)[0] == (4, self.MESSAGE)

    def test_for_the_input(self, poor: Driver, ort: Path, bundle_folder: Path, edit_manifest: Edit) -> None:
        def enlarge(manifest: dict[str, Any]) -> None:
            manifest["input"]["size_hw"] = [16384, 16384]

        edit_manifest(enlarge)
        assert poor.open(bundle_folder, ort) == (4, self.MESSAGE)

    def test_for_all_that_is_needed_there_is_enough(
        self, poor: Driver, ort: Path, bundle_folder: Path
    ) -> None:
        assert poor.open(bundle_folder, ort) == (0, "")
        assert poor.run(bytes(3), 1, 1)[0] == (0, "")


class TestThreads:
    """In one handle every call runs or is told that it is busy; with one each all of them run."""

    @staticmethod
    def check(driver: Driver, ort: Path, bundle: Path) -> None:
        assert driver.open(bundle, ort) == (0, "")
        one, each = driver.command("threads 8 50", 2)
        words = one.split()
        assert words[2::2] == ["ran", "busy", "failed"]
        assert (int(words[3]) + int(words[5]), words[7]) == (400, "0")
        assert int(words[3]) > 0
        assert each == "one each: ran 400 busy 0 failed 0"

    def test_memory(self, driver: Driver, ort: Path, bundle_folder: Path) -> None:
        self.check(driver, ort, bundle_folder)

    def test_races(self, raced: Driver, ort: Path, bundle_folder: Path) -> None:
        self.check(raced, ort, bundle_folder)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"size": 0}, "the options' size is 0, expected 32; start from EDGESEG_OPTIONS_INIT"),
            ({"size": 31}, "the options' size is 31, expected 32"),
            ({"size": 1 << 40}, "the options' size is 1099511627776, expected 32"),
            ({"size": -1}, f"an option is set that edgeseg {__version__} does not know; use a newer library"),
            ({"threads": -1}, "-1 threads were asked for, expected 0 to 4096"),
            ({"threads": 5000}, "5000 threads were asked for, expected 0 to 4096"),
            ({"reserved": 1}, "the reserved option is 1, expected 0"),
        ],
    )
    def test_what_no_option_can_be(
        self, driver: Driver, ort: Path, bundle_folder: Path, options: dict[str, int], reason: str
    ) -> None:
        answer = driver.open(bundle_folder, ort, **options)
        assert answer.status == 1
        assert reason in answer.reason
        assert driver.run(bytes(3), 1, 1)[0] == answer  # it says so again, and does nothing
        assert driver.labels() == []

    def test_a_later_versions_options(self, driver: Driver, ort: Path, bundle_folder: Path) -> None:
        """They are longer; what this one does not know is zero."""
        assert driver.open(bundle_folder, ort, size=40) == (0, "")


class TestOnnxRuntime:
    def test_a_library_that_is_not_there(self, driver: Driver, bundle_folder: Path) -> None:
        answer = driver.open(bundle_folder, "/nowhere/libonnxruntime.so")
        assert answer.status == 3
        assert "library does not load (/nowhere/libonnxruntime.so: cannot open" in answer.reason
        assert "install it, or name its file in the options" in answer.reason

    def test_another_library(self, driver: Driver, bundle_folder: Path) -> None:
        answer = driver.open(bundle_folder, "libm.so.6")
        assert answer == (3, "libm.so.6 is not ONNX Runtime: it has no OrtGetApiBase; name another file")

    def test_one_that_is_too_old(self, driver: Driver, bundle_folder: Path, tmp_path: Path) -> None:
        source = tmp_path / "old.c"
        source.write_text(
            "static const void *api(unsigned v) { (void)v; return 0; }\n"
            'static const char *version(void) { return "1.16.3"; }\n'
            "struct { const void *(*api)(unsigned); const char *(*version)(void); } base = {api, version};\n"
            "void *OrtGetApiBase(void) { return &base; }\n"
        )
        old = tmp_path / "libold.so"
        subprocess.run([c_library.compiler(), "-shared", "-fPIC", source, "-o", old], check=True)
        answer = driver.open(bundle_folder, old)
        assert answer == (3, f"{old} is ONNX Runtime 1.16.3, expected 1.17 or newer; install that")


class TestGraphs:
    """Graphs that are the bundle's own by their SHA-256, and are none of ours."""

    @pytest.fixture
    def put(self, bundle_folder: Path) -> Callable[[onnx.ModelProto], Path]:
        def put_graph(model: onnx.ModelProto) -> Path:
            content = model.SerializeToString()
            path = bundle_folder / "bundle.json"
            manifest: dict[str, Any] = json.loads(path.read_text())
            entry = manifest["variants"]["fp32"]
            (bundle_folder / entry["file"]).write_bytes(content)
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            path.write_text(json.dumps(manifest))
            return bundle_folder

        return put_graph

    def test_other_logits_than_promised(self, driver: Driver, ort: Path, put: Callable[..., Path]) -> None:
        answer = driver.open(put(brightness_graph(stride=8)), ort)
        assert answer == (
            3,
            "the graph gave other logits than float32 [1, 3, 8, 12], which the bundle promises;"
            " export the bundle again",
        )

    def test_another_input_size(self, driver: Driver, ort: Path, put: Callable[..., Path]) -> None:
        answer = driver.open(put(brightness_graph((64, 64))), ort)
        assert answer.status == 3
        assert answer.reason.startswith("ONNX Runtime failed on a frame: ")

    def test_other_names(self, driver: Driver, ort: Path, put: Callable[..., Path]) -> None:
        model = brightness_graph()
        model.graph.node[0].input[0] = model.graph.input[0].name = "image"
        answer = driver.open(put(model), ort)
        assert answer.status == 3
        assert answer.reason.endswith(
            "tiny.fp32.onnx has other inputs and outputs than frame and logits; export the bundle again"
        )

    def test_an_operator_that_is_not_there(self, driver: Driver, ort: Path, put: Callable[..., Path]) -> None:
        model = brightness_graph()
        model.graph.node.append(helper.make_node("Nonsense", ["squared"], ["more"]))
        answer = driver.open(put(model), ort)
        assert answer.status == 3
        assert answer.reason.startswith("ONNX Runtime cannot load ")
        assert "Nonsense" in answer.reason

    def test_bytes_that_are_no_graph(self, driver: Driver, ort: Path, bundle_folder: Path) -> None:
        (bundle_folder / "tiny.fp32.onnx").write_bytes(b"")
        answer = driver.open(bundle_folder, ort)
        assert answer.status == 2
        assert "was altered" in answer.reason

    def test_logits_that_are_not_finite(self, driver: Driver, ort: Path, put: Callable[..., Path]) -> None:
        """As in Python: the class map is void, and the next frame may be well again."""
        model = brightness_graph()
        scale = next(tensor for tensor in model.graph.initializer if tensor.name == "scale")
        scale.CopyFrom(numpy_helper.from_array(np.float32([-3e38]), "scale"))
        mean = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
        mean.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(mean) * 1e3, "kernel"))
        bundle = put(model)
        assert driver.open(bundle, ort) == (0, "")
        answer, classes = driver.run(b"\xff" * 1800, 30, 20)
        assert answer == (
            5,
            "the network gave NaN or infinity for this frame; do not act on its class map, which is void",
        )
        assert classes == b"\xff" * 600
        assert driver.run(bytes(1800), 30, 20)[0] == (0, "")
        with Segmenter(bundle) as segmenter:
            result = segmenter(np.full((20, 30, 3), 255, np.uint8))
        assert (result.valid, result.reason) == (False, "not-finite")
        assert (result.classes == 255).all()


class TestExamples:
    @pytest.fixture
    def programs(self, built: Callable[..., Path], installed: Path) -> Path:
        """The examples, built with the installed library by ``find_package``."""
        if shutil.which("c++") is None:
            pytest.skip("no C++ compiler: the examples are not built")
        flags = "-Wall -Wextra -Werror"
        options = (
            f"-DCMAKE_PREFIX_PATH={installed / 'installed'}",
            f"-DCMAKE_C_FLAGS={flags}",
            f"-DCMAKE_CXX_FLAGS={flags}",
        )
        return built("examples", lambda folder: c_library.cmake(ROOT / "examples/c", folder, *options))

    @pytest.fixture
    def frame_bgr(self, tmp_path: Path) -> Frame:
        frame_bgr = np.random.default_rng(2).integers(0, 256, (60, 70, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "frame.ppm"), frame_bgr)
        return frame_bgr

    def test_an_image(
        self, programs: Path, ort: Path, bundle_folder: Path, tmp_path: Path, frame_bgr: Frame
    ) -> None:
        words = [programs / "segment", bundle_folder, tmp_path / "frame.ppm", tmp_path / "classes.pgm", ort]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        with Segmenter(bundle_folder) as segmenter:
            classes = segmenter(frame_bgr).classes
        np.testing.assert_array_equal(
            cv2.imread(str(tmp_path / "classes.pgm"), cv2.IMREAD_GRAYSCALE), classes
        )
        assert f"{100 * (classes == 1).mean():5.1f} % grey\n" in done.stdout

    def test_an_image_that_is_cut_off(
        self, programs: Path, ort: Path, bundle_folder: Path, tmp_path: Path, frame_bgr: Frame
    ) -> None:
        image = tmp_path / "frame.ppm"
        image.write_bytes(image.read_bytes()[:-1])
        words = [programs / "segment", bundle_folder, image, tmp_path / "classes.pgm", ort]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "segment: the image is cut off, or too large for the memory\n"

    @pytest.fixture
    def camera(self, programs: Path, tmp_path: Path) -> tuple[Path, Path]:
        """The example in C++, and a video of three white frames."""
        if not (programs / "camera").exists():
            pytest.skip("no OpenCV for C++: the example with a camera is not built")
        path = tmp_path / "film.avi"
        film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
        for _ in range(3):
            film.write(np.full((48, 64, 3), 255, np.uint8))
        film.release()
        return programs / "camera", path

    def test_a_video_in_cpp(self, camera: tuple[Path, Path], ort: Path, bundle_folder: Path) -> None:
        program, film = camera
        done = subprocess.run([program, bundle_folder, film, ort], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("in the middle: bright\n") == 3

    def test_a_wrong_bundle_in_cpp(self, camera: tuple[Path, Path], ort: Path, tmp_path: Path) -> None:
        program, film = camera
        done = subprocess.run([program, tmp_path, film, ort], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.endswith(
            f"camera: {tmp_path}/bundle.json is missing, so this is no bundle; `edgeseg export` makes one\n"
        )


def test_the_cpp_header(sanitized: Path, ort: Path, bundle_folder: Path, tmp_path: Path) -> None:
    """It closes what it opened, moves, and throws what the library reports; under the sanitizers."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler: the C++ header is not tested")
    prefix = sanitized / "installed"
    libraries = next(path.parent for path in prefix.rglob("libedgeseg.so"))
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wpedantic", *c_library.SANITIZERS.split()]
    program = tmp_path / "wrapper"
    done = subprocess.run(
        [
            compiler, *flags, f"-I{prefix / 'include'}", c_library.TESTS / "wrapper.cpp", f"-L{libraries}", "-ledgeseg",
            f"-Wl,-rpath,{libraries}", "-o", program,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = subprocess.run([program, bundle_folder, ort], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "3 labels, the first dark",
        "a white frame of 5 x 4: 20 pixels, all bright",
        "moved: still bright",
        "1: this segmenter was moved from",
        "1: a frame of 0 x 4 pixels; expected 1 to 65535 each",
        f"2: {bundle_folder}/gone/bundle.json is missing, so this is no bundle; `edgeseg export` makes one",
    ]


def test_without_headers_cmake_says_what_is_missing(tmp_path: Path) -> None:
    c_library.compiler()
    if shutil.which("cmake") is None:
        pytest.skip("no cmake: the C library is not built")
    nowhere = (f"-DCMAKE_FIND_ROOT_PATH={tmp_path}", "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY")
    done = subprocess.run(
        ["cmake", "-S", c_library.SOURCES, "-B", tmp_path, *nowhere],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "onnxruntime_c_api.h was not found; install libonnxruntime-dev, or give" in " ".join(
        done.stderr.split()
    )


def test_a_static_library(built: Callable[..., Path], ort: Path, bundle_folder: Path) -> None:
    def build(folder: Path) -> None:
        prefix = c_library.build_library(folder, "", "Release", shared=False)
        c_library.cmake(c_library.TESTS, folder / "driver", f"-DCMAKE_PREFIX_PATH={prefix}")

    with Driver(built("static", build) / "driver" / "driver") as driver:
        assert driver.open(bundle_folder, ort) == (0, "")
        assert driver.segment(np.full((4, 4, 3), 255, np.uint8)).tolist() == [[2] * 4] * 4


def test_only_its_own_names_are_visible(installed: Path) -> None:
    """Names of a library in a program must not meet those of others."""
    if shutil.which("nm") is None:
        pytest.skip("no nm: the library's names are not looked at")
    library = next((installed / "installed").rglob("libedgeseg.so"))
    done = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    names = sorted(line.split()[-1] for line in done.stdout.splitlines())
    assert names == [
        "edgeseg_close", "edgeseg_error", "edgeseg_labels", "edgeseg_open", "edgeseg_run", "edgeseg_version",
    ]  # fmt: skip


def test_no_header_of_onnx_runtime_is_ours() -> None:
    """They are its own, and come with its package."""
    found = [path for path in (ROOT / "embedding").rglob("onnxruntime*.h")]
    assert found == []
