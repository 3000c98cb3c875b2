"""Wheels through a narrow door: what comes out is what went in, or nothing does."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from edgeseg.benchmarks.gpu import parts
from edgeseg.benchmarks.gpu.parts import INDEX, PartsError, join, main, split

BYTES = bytes(range(256)) * 40


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "some_libs-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_libs/__init__.py", "VALUE = 7\n")
        library = zipfile.ZipInfo("some_libs/lib.so.1")
        library.external_attr = 0o755 << 16
        archive.writestr(library, BYTES)
        archive.writestr("some_libs/kernels_sm75.so", BYTES)
        archive.writestr("some_libs-1.0.dist-info/METADATA", "Name: some-libs\nVersion: 1.0\n")
    return path


def test_a_wheel_is_whole_on_the_other_side(wheel: Path, tmp_path: Path) -> None:
    written = split([wheel], tmp_path / "parts", 5000)
    assert len(written) > 2
    assert all(part.stat().st_size <= 5000 for part in written)
    join(tmp_path / "parts", tmp_path / "site")
    assert (tmp_path / "site/some_libs/lib.so.1").read_bytes() == BYTES
    assert (tmp_path / "site/some_libs/lib.so.1").stat().st_mode & 0o111
    assert [path.name for path in (tmp_path / "site").iterdir() if path.name.startswith(".")] == []
    found = subprocess.run(
        [sys.executable, "-c", "import some_libs; print(some_libs.VALUE)"],
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert found.stdout == "7\n"


def test_what_other_gpus_want_can_be_left_out(wheel: Path, tmp_path: Path) -> None:
    split([wheel], tmp_path / "parts", 5000, ["*_sm75*"])
    join(tmp_path / "parts", tmp_path / "site")
    assert sorted(path.name for path in (tmp_path / "site/some_libs").iterdir()) == [
        "__init__.py",
        "lib.so.1",
    ]


def test_what_is_no_wheel_is_joined_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(BYTES)
    split([tmp_path / "model.bin"], tmp_path / "parts", 999)
    join(tmp_path / "parts", tmp_path / "out")
    assert (tmp_path / "out/model.bin").read_bytes() == BYTES


def test_an_altered_part_is_refused_and_leaves_nothing(wheel: Path, tmp_path: Path) -> None:
    written = split([wheel], tmp_path / "parts", 5000)
    written[1].write_bytes(b"x" + written[1].read_bytes()[1:])
    with pytest.raises(PartsError, match=r"\.001 was altered on its way; carry it again"):
        join(tmp_path / "parts", tmp_path / "site")
    assert list((tmp_path / "site").iterdir()) == []


def test_a_missing_part_is_named(wheel: Path, tmp_path: Path) -> None:
    split([wheel], tmp_path / "parts", 5000)[2].unlink()
    with pytest.raises(PartsError, match=r"the part .*\.002 is missing"):
        join(tmp_path / "parts", tmp_path / "site")


def test_a_wheel_that_would_write_outside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil.py", "")
        archive.writestr("../outside.py", "")
    split([path], tmp_path / "parts")
    with pytest.raises(PartsError, match="outside the folder"):
        join(tmp_path / "parts", tmp_path / "site")
    assert list((tmp_path / "site").iterdir()) == []
    assert not (tmp_path / "outside.py").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_an_index_that_names_other_folders_is_refused(wheel: Path, tmp_path: Path, name: str) -> None:
    split([wheel], tmp_path / "parts")
    index = tmp_path / "parts" / INDEX
    index.write_text(index.read_text().replace(f"{wheel.name}.000", name))
    with pytest.raises(PartsError, match="which is no file's name"):
        join(tmp_path / "parts", tmp_path / "site")


def test_it_runs_as_a_file_by_itself(wheel: Path, tmp_path: Path) -> None:
    alone = [sys.executable, "-I", str(Path(parts.__file__))]
    for words in (
        ["split", str(wheel), "--out", str(tmp_path / "parts")],
        ["join", str(tmp_path / "parts"), "--out", str(tmp_path / "site")],
    ):
        assert subprocess.run([*alone, *words], capture_output=True).returncode == 0
    assert (tmp_path / "site/some_libs/__init__.py").exists()


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", str(tmp_path), "--out", str(tmp_path / "site")]) == 2
    assert capsys.readouterr().err.startswith(f"parts: error: {tmp_path} has no index of parts")
    assert main(["split", str(tmp_path / "none.whl"), "--out", str(tmp_path / "parts")]) == 2
    assert capsys.readouterr().err == f"parts: error: there is no file {tmp_path / 'none.whl'}\n"
