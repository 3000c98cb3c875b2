"""The decision about outputs: never a device, a pipe, a socket, an input, or anything within a bundle."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from edgeseg.core import outputs
from edgeseg.core.errors import OutputError
from edgeseg.core.outputs import check_output, prepare_output, put_in_place, write_atomically
from edgeseg.core.reads import Reads
from edgeseg.runtime.sources.files import add_sources


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_link_to_null(path: Path) -> None:
    path.symlink_to(os.devnull)  # a device node itself takes a privilege to make


def make_loop(path: Path) -> None:
    path.symlink_to(path)


SPECIAL = {
    "a named pipe": make_pipe,
    "a socket": make_socket,
    "a device": make_link_to_null,
    "Too many levels of symbolic links": make_loop,
}


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_never_replaced(kind: str, folder: bool) -> None:
    path = Path("there")
    SPECIAL[kind](path)
    before = path.lstat()
    with pytest.raises(OutputError, match=rf"there.*{kind}.*; give .* another name"):
        check_output(path, folder=folder)
    with pytest.raises(OutputError, match=kind):
        prepare_output(path, force=True, folder=folder)
    if not folder:
        with pytest.raises(OutputError, match=kind):
            write_atomically(path, b"text", force=True)
    assert path.lstat() == before
    assert os.listdir() == ["there"]


def test_lines_may_go_to_a_pipe_or_a_terminal_and_not_to_a_socket() -> None:
    make_pipe(Path("pipe"))
    check_output(Path("pipe"), stream=True)
    check_output(Path(os.devnull), stream=True)
    make_socket(Path("socket"))
    with pytest.raises(OutputError, match="is a socket"):
        check_output(Path("socket"), stream=True)


@pytest.mark.parametrize("name", [".", "/", "", "..", "there"])
def test_a_file_takes_no_folders_name(name: str) -> None:
    Path("there").mkdir()
    for force in (False, True):
        with pytest.raises(OutputError, match="is a folder; give the output the name of a file"):
            prepare_output(Path(name), force)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("x" * 300, "File name too long"),
        ("a\0b", "embedded null byte"),
        ("/", "/ cannot be replaced; give the output a name of its own"),
    ],
)
def test_a_name_that_cannot_be_is_told(path: str, told: str) -> None:
    with pytest.raises(OutputError, match=told):
        prepare_output(Path(path), force=True, folder=True)


def test_a_link_that_leads_nowhere_is_there() -> None:
    Path("link").symlink_to("absent")
    with pytest.raises(OutputError, match="link exists; give --force"):
        prepare_output(Path("link"), force=False)


def test_the_folder_one_stands_in_may_take_files() -> None:
    partial = prepare_output(Path("."), force=True, folder=True)
    assert partial.parent == Path.cwd().parent


BUNDLE = '{"default_variant": "fp32"}'


@pytest.mark.parametrize("path", ["bb/bundle.json", "bb/x", "bb/deep/x", "link/x", "to-file"])
def test_nothing_is_written_in_a_bundle(path: str) -> None:
    Path("bb").mkdir()
    Path("bb/bundle.json").write_text(BUNDLE)
    Path("link").symlink_to("bb")
    Path("to-file").symlink_to("bb/bundle.json")
    for stream in (False, True):
        with pytest.raises(OutputError, match=r"lies in the bundle .*/bb, where nothing may change"):
            check_output(Path(path), stream=stream)


def test_a_bundle_itself_is_replaced_by_a_bundle_alone() -> None:
    Path("bb").mkdir()
    Path("bb/bundle.json").write_text(BUNDLE)
    check_output(Path("bb"), folder=True, replaces_bundle=True)
    with pytest.raises(OutputError, match="lies in the bundle"):
        check_output(Path("bb"), folder=True)
    with pytest.raises(OutputError, match="lies in the bundle"):
        check_output(Path("bb/inner"), folder=True, replaces_bundle=True)


def test_a_bundle_json_of_another_program_is_none_of_ours() -> None:
    Path("bundle.json").write_text('{"entry": "main.js"}')
    check_output(Path("x"))


def one_source(uri: str) -> Reads:
    Path("film.mp4").write_text("film")
    Path("link.mp4").symlink_to("film.mp4")
    os.link("film.mp4", "hard.mp4")
    Path("pics/deep").mkdir(parents=True)
    Path("pics/a.png").write_text("a")
    Path("pics/notes.json").write_text("notes")
    Path("pics/b.png").symlink_to("../film.mp4")
    os.link("pics/a.png", "a-too.png")
    return add_sources(Reads(), [uri])


@pytest.mark.parametrize(
    ("uri", "output"),
    [
        ("film.mp4", "film.mp4"),
        ("film.mp4?loop=0", "film.mp4"),
        ("film.mp4?loop=1", "x/../film.mp4"),
        ("film.mp4", "link.mp4"),
        ("film.mp4", "hard.mp4"),
        ("link.mp4?loop=0", "hard.mp4"),
        ("link.mp4", "film.mp4"),
        ("*.mp4", "film.mp4"),
        ("pics", "pics/a.png"),
        ("pics/*.png", "pics/a.png"),
        ("pics", "a-too.png"),
        ("pics", "film.mp4"),  # pics/b.png leads to it
        ("pics/a.png", "a-too.png"),
        ("gst://filesrc location=film.mp4 ! decodebin", "hard.mp4"),
        ('gst://filesrc location="film.mp4" ! decodebin', "film.mp4"),
        ("https://host/stream#ca=film.mp4", "film.mp4"),
    ],
)
def test_no_name_of_a_source_hides_it(uri: str, output: str) -> None:
    reads = one_source(uri)
    with pytest.raises(OutputError, match=rf"{output} would replace the source .*; give it another name"):
        check_output(Path(output), reads=reads)


@pytest.mark.parametrize("output", ["new.mp4", "pics/notes.json", "pics/new.png"])
def test_what_is_not_read_may_be_written(output: str) -> None:
    check_output(Path(output), reads=one_source("pics"))


@pytest.mark.parametrize(
    ("output", "free"), [("pics", False), (".", False), ("pics/deep", True), ("masks", True)]
)
def test_a_folder_of_outputs_is_no_folder_of_sources(output: str, free: bool) -> None:
    reads = one_source("pics")
    if free:
        check_output(Path(output), folder=True, reads=reads)
        return
    with pytest.raises(OutputError, match="would replace the source pics"):
        check_output(Path(output), folder=True, reads=reads)


@pytest.fixture
def dataset() -> Path:
    for name in (
        "JPEGImages/a.jpg",
        "SegmentationClass/a.png",
        "ImageSets/Segmentation/val.txt",
        "labelmap.txt",
    ):
        path = Path("voc", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    os.link("voc/JPEGImages/a.jpg", "same.jpg")
    return Path("voc")


@pytest.mark.parametrize(
    ("output", "folder"),
    [
        ("voc", True),
        ("voc/JPEGImages", True),
        ("voc/ImageSets/Segmentation", True),
        ("voc/labelmap.txt", False),
        ("voc/SegmentationClass/new.png", False),
        ("same.jpg", False),
    ],
)
def test_a_data_set_is_only_read(dataset: Path, output: str, folder: bool) -> None:
    with pytest.raises(OutputError, match="would replace the data set voc"):
        check_output(Path(output), folder=folder, reads=Reads().add_dataset(dataset))


def test_a_run_may_lie_beside_the_images(dataset: Path) -> None:
    check_output(Path("voc/run-1"), folder=True, reads=Reads().add_dataset(dataset))


def test_a_leftover_of_the_same_process_number_is_in_nobodys_way() -> None:
    for folder in (False, True):
        leftover = prepare_output(Path("m"), force=False, folder=folder)
        leftover.mkdir()
        (leftover / "half.png").touch()
        assert prepare_output(Path("m"), force=False, folder=folder) == leftover
        assert not leftover.exists()


def test_a_folder_moves_in_whole_or_not_at_all() -> None:
    partial, there = Path("partial"), Path("there")
    partial.mkdir()
    there.mkdir()
    for name in ("a", "b"):
        (partial / name).write_text("new")
    (there / "a").write_text("old")
    os.mkfifo(there / "b")
    with pytest.raises(OutputError, match="there/b is a named pipe"):
        put_in_place(partial, there)
    assert (there / "a").read_text() == "old"
    (there / "b").unlink()
    (there / "c").write_text("another's")
    put_in_place(partial, there)
    assert {path.name: path.read_text() for path in there.iterdir()} == {
        "a": "new",
        "b": "new",
        "c": "another's",
    }
    assert not partial.exists()


def test_discarding_a_link_leaves_what_it_leads_to() -> None:
    Path("kept").mkdir()
    Path("kept/file").touch()
    Path("link").symlink_to("kept")
    outputs.discard(Path("link"))
    assert sorted(os.listdir()) == ["kept"]
    assert os.listdir("kept") == ["file"]
