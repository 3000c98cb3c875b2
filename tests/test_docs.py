"""The README and docs are true: each command and each piece of Python in them runs, or is read by edgeseg's parsers.

Each page runs from top to bottom in a folder of its own that looks like a fresh clone. Two HTML comments steer that:

``<!-- starts with: bundle/lraspp -->``   what the page takes as given.
``<!-- not run: REASON -->``              above a block that needs what a test lacks; only parsed.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from edgeseg.cli.main import KINDS, module_of
from edgeseg.cli.parser import VerbParser
from edgeseg.core.labels import LabelMap
from edgeseg.data.aerial.dataset import AerialRequest, write_dataset
from PIL import Image

from .support.clone import ROOT, lay_out, shell

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "results").glob("*.md")),
]
LONG = {
    f"docs/{page}.md"
    for page in (
        "backends",
        "benchmarks",
        "bring-your-own-data",
        "export-and-verify",
        "int8",
        "networks",
        "replay",
        "service",
        "training",
    )
}
"""Pages whose commands take long, and whose verbs other tests look at."""

NOT_OURS = {
    ".cache/ros2/bin/python", "apt-get", "build/example/segment", "cd", "cmake", "colcon", "cp", "curl", "export",
    "git", "grep", "ln", "mkdir", "peers/bin/pip", "peers/bin/polygraphy", "pre-commit", "python", "python3", "ros2",
    "source", "strace", "sudo",
}  # fmt: skip
"""Programs whose options are none of edgeseg's business, in blocks that are not run."""

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n\s*)?```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    code: str
    reason: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, match.start("code")), match["language"], match["code"], match["reason"])
        for match in FENCE.finditer(text)
    ]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def write_cvat_export(at: Path) -> None:
    """Ten images as CVAT exports them: one subset named default, RGB masks, the class background first."""
    write_dataset(at, AerialRequest(10, seed=3, size_hw=(96, 96), val_fraction=0.2))
    labels = LabelMap.read(at / "labelmap.txt")
    pairs = [(label.name, label.rgb) for label in labels.labels]
    LabelMap.from_pairs([("background", (0, 0, 0)), *pairs[1:]]).write(at / "labelmap.txt")
    palette_rgb = labels.palette_rgb()
    palette_rgb[0] = 0
    for path in (at / "SegmentationClass").iterdir():
        with Image.open(path) as mask:
            colours = palette_rgb[np.asarray(mask)]
        Image.fromarray(colours).save(path)
    lists = at / "ImageSets" / "Segmentation"
    for split in lists.iterdir():
        split.unlink()
    ids = sorted(path.stem for path in (at / "JPEGImages").iterdir())
    (lists / "default.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")


def start_with(what: str, folder: Path, request: pytest.FixtureRequest) -> None:
    if what == "cvat-export":
        write_cvat_export(folder / what)
    elif what == "bundle/lraspp":
        shutil.copytree(request.getfixturevalue("exported"), folder / what)
    else:
        pytest.fail(f"no page can start with {what!r}")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if name(page) in LONG else []) for page in PAGES],
    ids=name,
)
def test_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    todo = [block for block in blocks(page) if block.language in ("bash", "python") and not block.reason]
    if not todo:
        return
    lay_out(tmp_path)
    for what in re.findall(r"^<!-- starts with: (.+?) -->$", page.read_text(encoding="utf-8"), re.MULTILINE):
        start_with(what, tmp_path, request)
    for block in todo:
        if block.language == "bash":
            shell(block.code, tmp_path)
        else:
            # Blank lines in front make a traceback name the page's own line.
            (tmp_path / "block.py").write_text("\n" * block.line + block.code, encoding="utf-8")
            shell("python block.py", tmp_path)


@every_page
def test_what_does_not_run_is_at_least_understood(page: Path) -> None:
    for block in blocks(page):
        if block.language == "bash" and block.reason:
            for command in block.code.replace("\\\n", " ").splitlines():
                understand(shlex.split(command, comments=True))


def understand(words: list[str]) -> None:
    """Fails where edgeseg, make or pip would not know what is asked of them."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return
    program, *rest = words
    if program == "torchrun":
        module = rest.index("-m")
        assert rest[module + 1] == "edgeseg.cli"
        program, rest = "edgeseg", rest[module + 2 :]
    if program == "python" and rest[0] in ("export.py", "run_camera.py"):
        program, rest = "edgeseg", [{"export.py": "export", "run_camera.py": "run"}[rest[0]], *rest[1:]]
    if program == "edgeseg":
        count = 2 if tuple(rest[:2]) in KINDS else 1
        parser = VerbParser(prog=f"edgeseg {rest[0]}")
        importlib.import_module(module_of(" ".join(rest[:count]))[0]).configure(parser)
        parser.parse_args(rest[count:])
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert not [word for word in rest if "=" not in word and word not in targets]
    elif program == "pip":
        metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        for extra in re.findall(r"\[(\w+)\]", " ".join(rest)):
            assert re.search(rf"^{extra} = \[", metadata, re.MULTILINE), f"there is no extra {extra!r}"
    else:
        assert program.removeprefix(".venv/bin/") in NOT_OURS, f"what is {program!r}?"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text) + re.findall(r'src="([^"]+)"', text):
        assert (page.parent / target).exists(), f"{name(page)} links to {target}, which is not there"


def test_tests_that_a_page_names_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    found = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= found


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name(page) for page in PAGES[1:] if f"({name(page)})" not in text] == ["docs/index.md"]


def test_the_readmes_table_of_networks_is_what_edgeseg_models_says() -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.cli", "models", "--json"], capture_output=True, text=True, timeout=120
    )
    facts = json.loads(done.stdout)["networks"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([\d.]+) \| ([\d.]+) \| (\d+) \|", text, re.MULTILINE)
    assert rows == [
        (row["name"], f"{row['parameters'] / 1e6:.2f}", f"{row['gflops']:.1f}", str(row["stride"]))
        for row in facts
    ]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--site-dir",
            str(tmp_path / "site"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "trust/index.html", "results/speed/index.html"} <= pages
    assert (tmp_path / "site" / "examples" / "camera.toml").is_file()
