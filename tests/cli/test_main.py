"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import edgeseg
import pytest
from edgeseg.cli import main as cli
from edgeseg.cli.main import VERBS
from edgeseg.cli.parser import VerbParser
from edgeseg.core.errors import DataError, MissingDependencyError

ROOT = Path(__file__).resolve().parents[2]


def edgeseg_command(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeseg.cli", *args], capture_output=True, text=True, timeout=120, cwd=cwd
    )


def test_help_lists_every_verb() -> None:
    done = edgeseg_command("--help")
    assert done.returncode == 0
    assert all(f"  {verb}" in done.stdout for verb in VERBS)


def test_no_arguments_show_the_help() -> None:
    assert edgeseg_command().stdout == edgeseg_command("--help").stdout


def test_version() -> None:
    assert edgeseg_command("--version").stdout == f"edgeseg {edgeseg.__version__}\n"


def test_an_unknown_verb_lists_the_known_ones() -> None:
    done = edgeseg_command("fly")
    assert done.returncode == 2
    assert "invalid choice: 'fly'" in done.stderr
    assert all(verb in done.stderr for verb in VERBS)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_loads_nothing_heavy(verb: str) -> None:
    code = (
        "import sys\n"
        "from edgeseg.cli.main import main\n"
        f"try: main([{verb!r}, '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'torchvision', 'onnx', 'onnxruntime', 'cv2', 'matplotlib', 'rich'}\n"
        "print('loaded:', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(f"usage: edgeseg {verb}"), done.stderr
    # torch alone takes seconds to import; help is to be instant.
    assert done.stdout.splitlines()[-1] == "loaded:"


def flags_of(verb: str) -> list[str]:
    """All long flags of a verb and of its jobs."""
    parser = VerbParser(prog=verb)
    importlib.import_module(VERBS[verb][0]).configure(parser)
    return sorted(flag for flag in set(parser._flags()) if flag.startswith("--"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_flag_has_to_be_written_in_full(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in flags_of(verb):
        short = flag[:-1]
        if short in flags_of(verb) or flag == "--help":
            continue
        assert cli.main([verb, short, "1"]) == 2
        err = capsys.readouterr().err
        assert f"unrecognized arguments: {short} (did you mean --" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("short", "meant"),
    [
        ("--frame", " (did you mean --frames?)"),
        ("--preview-t", " (did you mean --preview-token-file?)"),
        ("--in", " (did you mean --inference-timeout?)"),
        ("--d", ""),
    ],
)
def test_an_abbreviation_is_refused_with_the_flag_that_was_meant(
    short: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", short, "1"]) == 2
    assert f"unrecognized arguments: {short}{meant}; see edgeseg run --help" in capsys.readouterr().err


@pytest.mark.parametrize("door", ["export.py", "run_camera.py"])
def test_a_front_door_answers_under_its_own_name(door: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / door), "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {door} ")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ["export", "--model", "no-such-net", "--weights", "random"],
            "unknown network 'no-such-net'; known: lraspp",
        ),
        (["export", "--model", "lraspp", "--size", "big"], "big"),
        (["verify", "nowhere"], "nowhere"),
        (["run", "--bundle", "nowhere", "--source", "aerial:7"], "nowhere"),
        (["run"], "make it with: python export.py --model lraspp"),
        (["data", "check", "nowhere"], "nowhere"),
        (["train", "--model", "lraspp", "--data", "nowhere", "--out", "out"], "nowhere"),
        (["models", "--size", "0x0"], "0x0"),
        (["models", "--size"], "argument --size: expected one argument; see edgeseg models --help"),
        (
            ["run", "--surce", "http://joe:geheim@h/a"],
            "--surce (did you mean --source?); see edgeseg run --help",
        ),
        (["run", "--surce=http://joe:ge heim@h/a"], "arguments: --surce (did you mean --source?); see"),
        (["run", "http:/joe:geheim@h/a"], "unrecognized arguments: http:/***@h/a; see edgeseg run --help"),
        (["run", "http//joe:geheim@h/a"], "unrecognized arguments: http//***@h/a; see edgeseg run --help"),
        (["run", "http://joe:ge heim@h/a"], "unrecognized arguments: http://***@h/a; see"),
        (["run", "--frames", "joe:geheim@h"], "invalid int value: '***@h'; see"),
        (["run", "--source", "http//joe:geheim@h/a", "--bundle", "b"], "b"),
        (["export", "--modle", "lraspp"], "--modle (did you mean --model?); see edgeseg export --help"),
        (["data", "check", "--xyzzy", "x"], "unrecognized arguments: --xyzzy; see edgeseg data --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_one_line_and_exit_2(
    args: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert not out.strip()
    assert err.startswith(f"edgeseg {args[0]}: error: ")
    assert told in err
    assert "heim" not in err
    assert "joe" not in err
    assert err.count("\n") == 1, err
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_a_log_for_machines_has_the_mistake_as_json(tmp_path: Path) -> None:
    done = edgeseg_command("run", "--log-json", "--surce", "http://joe:geheim@h/a", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    record = json.loads(done.stderr)
    assert (record["level"], record["event"]) == ("error", "ended")
    assert "--surce (did you mean --source?)" in record["message"]


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = f"{sys.executable} -m edgeseg.cli doctor --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("{", "")


def test_images_are_bounded_before_opencv_is_loaded(tmp_path: Path) -> None:
    """A forged header of a few bytes can claim any size; OpenCV reads its bound once, when it is imported."""
    code = (
        "import os, sys\n"
        "from edgeseg.cli import main as cli\n"
        "bound = cli._bound_what_is_read\n"
        "def look():\n"
        "    print('loaded before:', 'cv2' in sys.modules)\n"
        "    bound()\n"
        "    print('bound:', os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'])\n"
        "cli._bound_what_is_read = look\n"
        "cli.main(['run', '--bundle', 'absent'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["loaded before: False", f"bound: {2**28}"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgeseg.cli", "cameras"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "edgeseg cameras: error: cannot write what there is to say: No space left on device;"
        " make room, or write elsewhere\n"
    )


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], int]:
    """Runs a function as if it were a verb; gives the exit status."""

    def run_it(work: Callable[[], int]) -> int:
        module = ModuleType("made_up_verb")
        module.configure = lambda parser: None  # type: ignore[attr-defined]
        module.run = lambda args: work()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "made_up_verb", module)
        monkeypatch.setitem(VERBS, "made-up", ("made_up_verb", "nothing"))
        return cli.main(["made-up"])

    return run_it


Verb = Callable[[Callable[[], int]], int]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_unwinds_what_a_verb_does(
    verb: Verb, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[bool] = []

    def work() -> int:
        try:
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 10)
        finally:
            closed.append(True)
        return 0

    before = signal.getsignal(number)
    assert verb(work) == 130
    assert closed
    assert signal.getsignal(number) is before
    assert capsys.readouterr().err == "edgeseg made-up: stopped\n"


def test_nohup_is_honoured(verb: Verb) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        def work() -> int:
            os.kill(os.getpid(), signal.SIGHUP)
            return 0

        assert verb(work) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "there is not enough memory (an allocation failed); end other programs"),
        (RuntimeError("can't start new thread"), "there is not enough memory (can't start new thread)"),
        (
            chained(MissingDependencyError("onnxruntime", "gpu", "running"), MemoryError("std::bad_alloc")),
            "there is not enough memory (std::bad_alloc)",
        ),
        (DataError("a\x1b[2K\nb"), r"a\x1b[2K\nb"),
        (DataError("half \ud800"), r"half \ud800"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room"),
    ],
)
def test_an_error_that_is_no_bug_is_one_line(
    verb: Verb, error: Exception, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert verb(work) == 2
    err = capfd.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_a_bug_keeps_its_traceback(verb: Verb) -> None:
    def work() -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        verb(work)
