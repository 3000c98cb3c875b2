"""``PYTHONPATH=tests python -m faults.seal CMD …``: runs a program that is killed as soon as it turns to a network.

Linux itself watches (seccomp), so that no name server, no root and no second process is needed. A socket of the
internet, or of the kind by which the C library looks for networks before it asks for a name, ends the process that
opens it with SIGSYS; children inherit that. What passes between processes of one machine (AF_UNIX) may.
"""

from __future__ import annotations

import ctypes
import platform
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .places import ROOT, environment

NOT_HERE = 77
"""The exit status where this system cannot seal a process."""

_MASKS = "masks"
_SIGNALLED = 128
TURNED_TO_A_NETWORK = _SIGNALLED + signal.SIGSYS
"""The exit status of a program that was killed for it."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_SYSCALL_AT, _ARCH_AT, _FAMILY_AT = 0, 4, 16
_SOCKET: Mapping[str, tuple[int, int]] = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""By machine: what Linux calls it for filters, and the number of its call ``socket``."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


SEALED = (sys.executable, "-m", "faults.seal")
"""Put before a command, in the environment of :mod:`.places`, it runs that sealed."""


def why_not() -> str:
    """Why a process cannot be sealed here; empty where it can."""
    if sys.platform != "linux" or platform.machine() not in _SOCKET:
        return f"no seal is known for {sys.platform} on {platform.machine()}"
    return ""


def seal() -> None:
    """Seals this process and all that it starts. Before it has threads.

    Raises:
        OSError: the system does not let it.
    """
    arch, number = _SOCKET[platform.machine()]
    refused = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
    last = len(refused) + 1  # from the first comparison of the family to the refusal
    rules = [
        (_LOAD_WORD, 0, 0, _ARCH_AT),
        (_JUMP_IF_EQUAL, 0, last + 2, arch),
        (_LOAD_WORD, 0, 0, _SYSCALL_AT),
        (_JUMP_IF_EQUAL, 0, last, number),
        (_LOAD_WORD, 0, 0, _FAMILY_AT),
        *((_JUMP_IF_EQUAL, len(refused) - place, 0, family) for place, family in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    program = _Program(len(rules), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for asked in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*asked) != 0:
            raise OSError(ctypes.get_errno(), "this system does not let a process be sealed")


def main(command: Sequence[str]) -> int:
    """Seals this process, runs the program in it, and returns its exit status, or :data:`TURNED_TO_A_NETWORK`."""
    reason = why_not()
    try:
        if not reason:
            seal()
    except OSError as error:
        reason = str(error)
    if reason:
        print(reason, file=sys.stderr)
        return NOT_HERE
    status = subprocess.run(command, check=False).returncode
    return status if status >= 0 else _SIGNALLED - status


def sealed_run(bundle: Path, home: Path, backend: str, source: str) -> tuple[int, str]:
    """Runs a bundle, sealed, as a user whose home is empty.

    Args:
        bundle: what to run.
        home: the user's, which is where it writes its masks too.
        backend: what runs it.
        source: frames that come from no network.

    Returns:
        The exit status, and what was printed.
    """
    door = ROOT / "run_camera.py"
    command = [
        *SEALED, sys.executable, str(door), "--bundle", str(bundle),
        "--backend", backend, "--source", source, "--threads", "1", "--masks", str(home / _MASKS),
    ]  # fmt: skip
    unset = ("EDGESEG_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY")
    done = subprocess.run(
        command,
        env=environment(unset, HOME=str(home), OMP_NUM_THREADS="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def foreign_files(home: Path) -> list[str]:
    """The files that :func:`sealed_run` left in a home beside its masks and edgeseg's own cache."""
    own = (home / _MASKS, home / ".cache" / "edgeseg")
    files = [path for path in home.rglob("*") if not path.is_dir()]
    return sorted(
        str(path.relative_to(home)) for path in files if not any(path.is_relative_to(each) for each in own)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
