"""The page docs/c.md is true: its commands run, and its pieces of code compile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg import Segmenter

from ...support import c_library
from ...support.clone import ROOT, lay_out, shell

PAGE = (ROOT / "docs/c.md").read_text(encoding="utf-8")
RUN_HERE = (
    "<!-- not run: tests/embedding/c/test_page.py runs it where CMake and the headers are -->\n```bash\n"
)


def pieces_of(start: str) -> list[str]:
    """The code of each block that begins so."""
    return [after.partition("```\n")[0] for after in PAGE.split(start)[1:]]


def test_its_commands_run(tmp_path: Path, exported: Path, ort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c_library.compiler()
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler: the examples are not built")
    monkeypatch.setenv("ONNXRUNTIME_INCLUDE_DIR", str(c_library.headers()))
    lay_out(tmp_path)
    shutil.copytree(exported, tmp_path / "bundle/lraspp")
    commands = pieces_of(RUN_HERE)
    assert len(commands) == 2
    for code in commands:
        shell(code, tmp_path)
    with Segmenter(exported) as segmenter:
        expected = segmenter(cv2.imread(str(ROOT / "docs/images/frame.jpg"))).classes
    written = cv2.imread(str(tmp_path / "classes.pgm"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize(
    ("language", "compiler", "standard", "header"),
    [("c", "cc", "-std=c99", "edgeseg.h"), ("cpp", "c++", "-std=c++17", "edgeseg.hpp")],
)
def test_its_code_compiles(language: str, compiler: str, standard: str, header: str, tmp_path: Path) -> None:
    program = shutil.which(compiler)
    if program is None:
        pytest.skip(f"no compiler {compiler}: the page's code is not compiled")
    (code,) = pieces_of(f"```{language}\n")
    given = "const uint8_t *bgr = 0; size_t bytes = 0, stride = 0; int width = 0, height = 0; uint8_t *classes = 0;"
    if language == "cpp":
        given = given.replace(" uint8_t *classes = 0;", "")
    source = tmp_path / f"page.{language}"
    source.write_text(
        f"#include <{header}>\n#include <stdio.h>\nint main(void) {{\n{given}\n{code}\n(void)classes;\n}}\n"
    )
    flags = [standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{c_library.SOURCES / 'include'}"]
    done = subprocess.run([program, *flags, source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_it_names_every_status() -> None:
    header = (c_library.SOURCES / "include/edgeseg.h").read_text()
    enum = header.partition("typedef enum edgeseg_status {")[2].partition("}")[0]
    names = [line.split()[0] for line in enum.splitlines() if "=" in line]
    assert len(names) == 7
    assert all(f"| `{name}` |" in PAGE for name in names)
