"""docs/jetson.md's commands bring all that the runtime imports, on JetPack 6's Python 3.10 too.

There is no board here, so the packages that those lines install are held against what the code imports.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

JETPACK = {"cv2", "tensorrt"}
"""Modules that JetPack brings as apt packages."""

OPTIONAL = {
    "av", "cuda", "h11", "openvino", "prometheus_client", "pycuda", "rasterio", "tensorrt_rtx", "uvicorn", "websockets",
}  # fmt: skip
"""Modules that the runtime imports where they are needed, and names in one line where one is missing."""


def documented() -> set[str]:
    """The packages that the page's commands install, by their names."""
    page = (ROOT / "docs/jetson.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:\w+=\S+ )?pip install (?!--no-deps)(.+)$", page, re.MULTILINE)
    return {Requirement(word).name for line in lines for word in shlex.split(line)}


def imported() -> set[str]:
    """The packages from elsewhere that the runtime imports anywhere."""
    found = set()
    for path in (*(ROOT / "runtime").rglob("*.py"), ROOT / "cli/main.py", ROOT / "__init__.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def test_the_documented_lines_bring_what_the_runtime_imports() -> None:
    assert imported() - JETPACK - OPTIONAL <= documented()


def test_the_documented_lines_bring_the_core_install_of_python_3_10() -> None:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", metadata, re.MULTILINE | re.DOTALL)
    assert listed is not None
    needed = [Requirement(ast.literal_eval(line.strip().rstrip(","))) for line in listed[1].splitlines()]
    on_jetpack_6 = {
        each.name
        for each in needed
        if each.marker is None or each.marker.evaluate({"python_version": "3.10"})
    }
    assert on_jetpack_6 - {"opencv-python"} <= documented()


def test_doctor_and_every_verb_load_without_a_reader_of_toml(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['tomllib'] = sys.modules['tomli'] = None\n"
        "from edgeseg.cli.main import main\n"
        "assert main(['doctor']) == 0\n"
        "raise SystemExit(main(['run', '--config', 'camera.toml']))"
    )
    (tmp_path / "camera.toml").write_text("frames = 1\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 2, done.stderr
    expected = r"error: --config camera\.toml needs toml\w+, which is not installed: pip install toml"
    assert re.search(expected, done.stderr)
