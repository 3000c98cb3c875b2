"""The C library, built once for all tests and workers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgeseg.core.claims import claimed

from ...support import c_library
from ...support.c_library import TESTS, Driver, Pieces


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Runs a build in a folder of a name, which all workers share, unless one has done it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers

    def build(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / f"c-{name}"
        with claimed(folder, wait=True):
            if not (folder / "done").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                (folder / "done").touch()
        return folder

    return build


@pytest.fixture
def pieces(built: Callable[..., Path]) -> Iterator[Pieces]:
    """The parts that need no ONNX Runtime, under the sanitizers."""
    with Pieces(built("pieces", c_library.build_pieces) / "pieces") as program:
        yield program


def build_driver(folder: Path, flags: str, build_type: str) -> None:
    """Builds the library and the tests' driver into a folder."""
    prefix = c_library.build_library(folder, flags, build_type)
    options = (
        f"-DCMAKE_C_FLAGS={flags}",
        f"-DCMAKE_BUILD_TYPE={build_type}",
        f"-DCMAKE_PREFIX_PATH={prefix}",
    )
    c_library.cmake(TESTS, folder / "driver", *options)


@pytest.fixture(scope="session")
def installed(built: Callable[..., Path]) -> Path:
    """The library as users have it, and the tests' driver."""
    c_library.compiler()
    return built("release", lambda folder: build_driver(folder, "", "Release"))


@pytest.fixture(scope="session")
def sanitized(built: Callable[..., Path]) -> Path:
    """The library and the tests' driver under the sanitizers."""
    c_library.compiler()
    return built("sanitized", lambda folder: build_driver(folder, f"{c_library.SANITIZERS} -O1", "Debug"))


@pytest.fixture
def raced(built: Callable[..., Path]) -> Iterator[Driver]:
    """The driver under the thread sanitizer, which does not look into ONNX Runtime."""
    c_library.compiler(c_library.THREAD_SANITIZER)
    flags = f"{c_library.THREAD_SANITIZER} -O1"
    folder = built("raced", lambda folder: build_driver(folder, flags, "Debug"))
    options = {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1"}
    with Driver(folder / "driver" / "driver", env=options) as program:
        yield program


@pytest.fixture
def driver(sanitized: Path) -> Iterator[Driver]:
    """The driver under the sanitizers."""
    with Driver(sanitized / "driver" / "driver") as program:
        yield program


@pytest.fixture
def fast_driver(installed: Path) -> Iterator[Driver]:
    """The driver of the library as users have it."""
    with Driver(installed / "driver" / "driver") as program:
        yield program


@pytest.fixture(scope="session")
def ort() -> Path:
    """ONNX Runtime's library, the one of Python's package."""
    return c_library.onnxruntime_library()
