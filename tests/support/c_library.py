"""The C library and its parts, built for the tests, and the programs that drive them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pytest
from edgeseg.core.arrays import ClassMap, Floats, Frame

from .clone import ROOT

SOURCES = ROOT / "embedding" / "c"
TESTS = ROOT / "tests" / "embedding" / "c"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
THREAD_SANITIZER = "-fsanitize=thread -g"
PARTS = ("bundle", "decode", "error", "files", "graph_form", "json", "labels", "resize", "sha256")
"""The sources that need no ONNX Runtime."""

_HEADER = "onnxruntime_c_api.h"
_PLACES = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime", "/usr/local/include")


def compiler(sanitizers: str = SANITIZERS) -> str:
    """The C compiler; skips where there is none, or none with these sanitizers that work here."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler: the C library is not tested")
    flag = sanitizers.split()[0]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "empty.c", Path(folder) / "empty"
        source.write_text("int main(void) { return 0; }\n")
        made = subprocess.run([found, *sanitizers.split(), source, "-o", program], capture_output=True)
        if made.returncode or subprocess.run([program], capture_output=True).returncode:
            pytest.skip(f"{flag} does not work here: the C library is not tested with it")
    return found


def headers() -> Path:
    """The folder of ONNX Runtime's headers; skips where there are none, or no CMake."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake: the C library is not built")
    named = os.environ.get("ONNXRUNTIME_INCLUDE_DIR")
    places = [*([named] if named else []), *_PLACES, ROOT / ".cache/onnxruntime/usr/include/onnxruntime"]
    for place in places:
        if (Path(place) / _HEADER).is_file():
            return Path(place)
    pytest.skip(
        f"no {_HEADER} of ONNX Runtime: embedding/c/get_headers.sh fetches it; the C library is not built"
    )


def onnxruntime_library() -> Path:
    """The library within Python's package of ONNX Runtime, so that both run the same code; skips where it has none."""
    import onnxruntime

    found = sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
    if not found:
        pytest.skip("this package of ONNX Runtime has no libonnxruntime.so: the C library is not run")
    return found[0]


def build_pieces(folder: Path) -> Path:
    """Compiles ``pieces.c`` with the parts that need no ONNX Runtime, under the sanitizers."""
    program = folder / "pieces"
    sources = [*(SOURCES / "src" / f"{part}.c" for part in PARTS), ROOT / "runtime/decode/kernel.c"]
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", *SANITIZERS.split()]
    includes = [f"-I{SOURCES / 'src'}", f"-I{SOURCES / 'include'}"]
    _run([compiler(), *flags, *includes, TESTS / "pieces.c", *sources, "-lm", "-o", program])
    return program


def build_library(folder: Path, flags: str, build_type: str, shared: bool = True) -> Path:
    """Builds and installs the library by CMake. Returns the folder it is installed in."""
    prefix = folder / "installed"
    cmake(
        SOURCES,
        folder / "library",
        f"-DCMAKE_BUILD_TYPE={build_type}",
        f"-DCMAKE_C_FLAGS={flags} -Werror",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        f"-DONNXRUNTIME_INCLUDE_DIR={headers()}",
        f"-DBUILD_SHARED_LIBS={'ON' if shared else 'OFF'}",
    )
    _run(["cmake", "--install", folder / "library"])
    return prefix


def cmake(source: Path, build: Path, *options: str) -> None:
    """Configures and builds a project."""
    _run(["cmake", "-S", source, "-B", build, *options])
    _run(["cmake", "--build", build])


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


class Program:
    """A program that answers requests; what it prints of errors fails the test."""

    def __init__(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the program)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=None if env is None else {**os.environ, **env},
        )

    def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def take(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        if len(data) != count:
            self._fail()
        return data

    def line(self) -> str:
        assert self._process.stdout is not None
        data = self._process.stdout.readline()
        if not data.endswith(b"\n"):
            self._fail()
        return data.decode().removesuffix("\n")

    def close(self) -> None:
        """Ends the input, and fails if the program does not end well: the sanitizers look for leaks then."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait(timeout=60):
            self._fail()

    def _fail(self) -> None:
        status = self._process.wait(timeout=60)
        self._errors.seek(0)
        pytest.fail(f"the program ended with status {status}\n{self._errors.read().decode(errors='replace')}")

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None and not stream.closed:
                stream.close()


class Pieces(Program):
    """The parts of the library that need no ONNX Runtime. ``pieces.c`` has the form of requests and answers."""

    def _ask(self, kind: bytes, payload: bytes) -> None:
        self.send(kind + struct.pack("=I", len(payload)) + payload)

    def _text(self) -> str:
        return self.take(*struct.unpack("=I", self.take(4))).decode()

    def is_json(self, text: bytes) -> bool:
        self._ask(b"j", text)
        return self.take(1) == b"\1"

    def graph_refusal(self, graph: bytes) -> str:
        self._ask(b"g", graph)
        return self._text()

    def sha256(self, data: bytes) -> str:
        self._ask(b"h", data)
        return self.take(64).decode()

    def bundle(self, folder: Path, variant: str = "") -> str:
        self._ask(b"b", os.fsencode(folder) + b"\0" + variant.encode() + b"\0")
        return self._text()

    def resize(self, frame_bgr: Frame, size_hw: tuple[int, int]) -> Frame:
        """Resizes a frame whose pixels are contiguous within rows."""
        height, width = frame_bgr.shape[:2]
        stride = frame_bgr.strides[0] if height > 1 else 3 * width
        rows = np.lib.stride_tricks.as_strided(frame_bgr, (height - 1, stride), (stride, 1))
        self._ask(
            b"r",
            np.int32([height, width, stride, *size_hw]).tobytes() + rows.tobytes() + frame_bgr[-1].tobytes(),
        )
        pixels = self.take(size_hw[0] * size_hw[1] * 3)
        return np.frombuffer(pixels, np.uint8).reshape(*size_hw, 3)

    def decode(self, logits: Floats, size_hw: tuple[int, int]) -> ClassMap | None:
        self._ask(
            b"d", np.int32([*logits.shape, *size_hw]).tobytes() + np.ascontiguousarray(logits).tobytes()
        )
        if self.take(1) == b"\0":
            return None
        return np.frombuffer(self.take(size_hw[0] * size_hw[1]), np.uint8).reshape(size_hw)


class Answer(NamedTuple):
    """The answer of the library: a status, and the reason; empty where all is well."""

    status: int
    reason: str


class Driver(Program):
    """The whole library, driven by ``driver.c``."""

    OPTIONS_BYTES = 32

    def command(self, line: str, answers: int) -> list[str]:
        """Sends a line, and returns so many lines of the answer."""
        self.send(line.encode() + b"\n")
        return [self.line() for _ in range(answers)]

    def open(
        self,
        bundle: Path | str,
        library: Path | str,
        variant: str = "-",
        threads: int = 0,
        size: int = OPTIONS_BYTES,
        reserved: int = 0,
    ) -> Answer:
        return self._answer(f"open {size} {threads} {reserved} {variant} {library} {bundle}")

    def run(
        self,
        data: bytes,
        width: int,
        height: int,
        stride: int = 0,
        room: int | None = None,
    ) -> tuple[Answer, bytes]:
        """Runs a frame. Returns the answer, and the memory of the class map, 77 where nothing was written."""
        room = width * height if room is None else room
        self.send(f"run {width} {height} {stride} {room} {len(data)}\n".encode() + data)
        return self._read(), self.take(room)

    def segment(self, frame_bgr: Frame) -> ClassMap:
        """Runs a frame, uint8 [H, W, 3], and returns its class map."""
        height, width = frame_bgr.shape[:2]
        answer, classes = self.run(frame_bgr.tobytes(), width, height)
        assert answer == (0, "")
        return np.frombuffer(classes, np.uint8).reshape(height, width)

    def labels(self) -> list[str]:
        self.send(b"labels\n")
        return [self.line() for _ in range(int(self.line()))]

    def _answer(self, line: str) -> Answer:
        self.send(line.encode() + b"\n")
        return self._read()

    def _read(self) -> Answer:
        status, _, reason = self.line().partition(" ")
        return Answer(int(status), reason)
