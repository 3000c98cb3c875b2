"""Options from a file: what a key becomes, who wins, and what is refused in which words."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from edgeseg.cli import configuration as config
from edgeseg.core.errors import UsageError


def positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def choosy(text: str) -> str:
    raise UsageError(f"{text!r} pleases nobody")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeseg fly", allow_abbrev=False)
    config.add_options(made)
    made.add_argument("--bundle", type=Path, default=Path("bundle"))
    made.add_argument("--source", action="append")
    made.add_argument("--frames", type=int)
    made.add_argument("--max-age", type=positive, default=1.0)
    made.add_argument("--log-level", choices=["info", "warning"], default="info")
    made.add_argument("--show", action="store_true")
    made.add_argument("--beep", action=argparse.BooleanOptionalAction, default=True)
    made.add_argument("--size", nargs=2, type=int)
    made.add_argument("--tags", nargs="+", default=[])
    made.add_argument("--choosy", type=choosy)
    made.add_argument("--text", default="")
    made.add_argument("--rest", nargs=argparse.REMAINDER)
    either = made.add_mutually_exclusive_group()
    either.add_argument("--save", type=Path)
    either.add_argument("--discard", action="store_true")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "camera.toml"


def parsed(file: Path, text: str, *argv: str) -> argparse.Namespace:
    file.write_text(text, encoding="utf-8")
    return config.parse_with_config(parser(), ["--config", str(file), *argv])


def test_a_file_says_what_flags_would(file: Path) -> None:
    args = parsed(
        file,
        """
        # the camera of the nose
        bundle = "bundle/lraspp"
        source = ["0", "rtsp://10.0.0.2/cam"]
        frames = 100
        max-age = 0.25
        log-level = "warning"
        show = true
        beep = false
        size = [480, 640]
        tags = ["a", "b"]
        text = "--looks-like-a-flag"
        """,
    )
    flags = parser().parse_args(
        [
            *("--config", str(file), "--bundle", "bundle/lraspp", "--source", "0", "--source", "rtsp://10.0.0.2/cam"),
            *("--frames", "100", "--max-age", "0.25", "--log-level", "warning", "--show", "--no-beep"),
            *("--size", "480", "640", "--tags", "a", "b", "--text=--looks-like-a-flag"),
        ]
    )  # fmt: skip
    assert args == flags


def test_what_takes_the_rest_of_the_line_leaves_the_file_its_options(file: Path) -> None:
    args = parsed(file, "frames = 7", "--rest", "--frames", "9", "--odd")
    assert (args.frames, args.rest) == (7, ["--frames", "9", "--odd"])
    args = parsed(file, 'rest = ["-r", "a:=b"]\nframes = 7')
    assert (args.frames, args.rest) == (7, ["-r", "a:=b"])
    args = parsed(file, 'rest = ["-r", "a:=b"]\nframes = 7', "--text", "x", "--rest", "-p", "c:=d")
    assert (args.frames, args.text, args.rest) == (7, "x", ["-p", "c:=d"])


def test_what_a_file_does_not_say_keeps_its_default(file: Path) -> None:
    assert parsed(file, "show = false\nsource = []") == parser().parse_args(["--config", str(file)])


def test_one_value_will_do_where_a_flag_may_be_repeated(file: Path) -> None:
    assert parsed(file, "source = 0").source == ["0"]


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--frames", "5"], "frames", 5),
        (["--frames=5"], "frames", 5),
        (["--source", "1"], "source", ["1"]),
        (["--no-beep"], "beep", False),
        (["--tags", "c"], "tags", ["c"]),
        (["--discard"], "save", None),
    ],
    ids=str,
)
def test_flags_win_over_the_file(file: Path, argv: list[str], name: str, value: object) -> None:
    text = 'frames = 100\nsource = ["0", "2"]\nbeep = true\ntags = ["a"]\nsave = "out.mp4"'
    assert getattr(parsed(file, text, *argv), name) == value


@pytest.mark.parametrize(
    "form", [["--config={}"], ["--config", "{}"], ["--frames", "1", "--config", "{}", "--show"]]
)
def test_however_the_file_is_named(file: Path, form: list[str]) -> None:
    file.write_text("max-age = 3")
    args = config.parse_with_config(parser(), [word.format(file) for word in form])
    assert (args.max_age, args.config) == (3.0, file)


def test_the_last_file_counts_as_with_any_flag(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("frames = 2")
    assert parsed(file, "frames = 1", "--config", str(other)).frames == 2


def test_a_required_option_and_words_of_a_verb(file: Path) -> None:
    demanding = argparse.ArgumentParser()
    config.add_options(demanding)
    demanding.add_argument("--bundle", required=True)
    demanding.add_argument("--tags", nargs="+")
    demanding.add_argument("folder", nargs="*")
    file.write_text('bundle = "b"\ntags = ["x", "y"]')
    for argv in (["here", "--config", str(file)], ["--config", str(file), "--", "here"]):
        args = config.parse_with_config(demanding, argv)
        assert (args.bundle, args.tags, args.folder) == ("b", ["x", "y"], ["here"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("max_age = 1", "there is no option 'max_age'; did you mean 'max-age'?"),
        ("max-aeg = 1", "there is no option 'max-aeg'; did you mean 'max-age'?"),
        ("--frames = 1", "there is no option '--frames'; did you mean 'frames'?"),
        ('Source = "0"', "there is no option 'Source'; did you mean 'source'?"),
        ("xyzzy = 1", "there is no option 'xyzzy'; the options are those of --help, without their dashes"),
        ('config = "more.toml"', "there is no option 'config'"),
        ("help = true", "there is no option 'help'"),
        ("no-beep = true", "there is no option 'no-beep'; did you mean 'beep'?"),
        ('frames = "many"', 'frames = "many": expected a whole number'),
        ("frames = 2.5", "frames = 2.5: expected a whole number"),
        ("frames = true", "frames = true: expected a whole number"),
        ("frames = [1, 2]", "frames = [1, 2]: expected one value, not a list"),
        ("max-age = -1", "max-age = -1: -1 is not above 0"),
        ("max-age = nan", "max-age = nan: nan is not above 0"),
        ("show = 1", "show = 1: expected true or false"),
        ('beep = "no"', 'beep = "no": expected true or false'),
        ('log-level = "loud"', 'log-level = "loud": expected one of info, warning'),
        ("bundle = true", "bundle = true: expected a text or a number"),
        ("source = [[0]]", "source = [[0]]: expected a text"),
        ("source = 2026-01-01", "source = 2026-01-01: expected a text"),
        ("size = [1]", "size = [1]: expected 2 arguments"),
        ('frames = "a\\nb"', 'frames = "a\\nb": expected a whole number'),
        ('choosy = "x"', "choosy = \"x\": 'x' pleases nobody"),
        ("[source]\nuri = 0", "[source] is a table; expected no tables"),
        ("frames = 1\nframes = 2", "not TOML: "),
        ("frames =", "not TOML: "),
        ("frames = " + "[" * 100_000, "not TOML"),
        ("frames = 1" + "0" * 10_000, "not TOML"),
        ("#" * (1 << 20) + "#", "it is larger than 1 MiB"),
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(file: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(file, text)
    message = str(caught.value)
    assert str(file) in message
    assert complaint in message
    assert len(message) < 400
    assert "\n" not in message


def test_a_mistake_is_told_even_where_a_flag_wins(file: Path) -> None:
    with pytest.raises(UsageError, match="expected a whole number"):
        parsed(file, 'frames = "many"', "--frames", "3")


def test_two_options_of_a_file_that_exclude_each_other(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(file, 'save = "x.mp4"\ndiscard = true')
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read --config .*nowhere\.toml: No such file"):
        config.parse_with_config(parser(), ["--config", str(tmp_path / "nowhere.toml")])


def test_a_folder_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file"):
        config.parse_with_config(parser(), ["--config", str(tmp_path)])
    (tmp_path / "x.toml").write_text("name = 'Käfer'", encoding="latin-1")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        config.parse_with_config(parser(), ["--config", str(tmp_path / "x.toml")])


def test_the_mark_that_windows_editors_begin_a_file_with_is_no_part_of_it(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfframes = 5\r\n")
    assert config.parse_with_config(parser(), ["--config", str(file)]).frames == 5


@pytest.mark.parametrize("argv", [["--config"], ["--config", "--show"]])
def test_a_flag_without_its_file_is_argparses_to_refuse(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        config.parse_with_config(parser(), argv)
    assert caught.value.code == 2
    assert "--config: expected one argument" in capsys.readouterr().err


def test_a_parser_without_the_flag_is_left_alone() -> None:
    plain = argparse.ArgumentParser()
    plain.add_argument("--confidence", type=float)
    assert config.parse_with_config(plain, ["--confidence", "0.5"]).confidence == 0.5


def test_a_user_sees_one_line_and_exit_status_2(file: Path) -> None:
    file.write_text("no-such-thing = 1")
    code = (
        "import sys, types, argparse\n"
        "from edgeseg.cli import main as cli\n"
        "from edgeseg.cli import configuration as config\n"
        "sys.modules['verb'] = types.SimpleNamespace(configure=config.add_options, run=lambda args: 0)\n"
        "cli.VERBS['fly'] = ('verb', 'fly')\n"
        f"sys.exit(cli.main(['fly', '--config', {str(file)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"edgeseg fly: error: {file}: there is no option 'no-such-thing'")
    assert done.stderr.count("\n") == 1


def test_a_nul_is_no_value(file: Path) -> None:
    with pytest.raises(UsageError, match=r"camera\.toml: save = .*: holds a NUL, which no option can"):
        parsed(file, 'save = "a\\u0000b.mp4"')
    with pytest.raises(UsageError, match="holds a NUL"):
        parsed(file, 'source = ["0", "\\u0000"]')


@pytest.mark.parametrize("words", [["--config", ""], ["--config="]])
def test_an_empty_name_is_no_file(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--config"):
        config.parse_with_config(parser(), words)
