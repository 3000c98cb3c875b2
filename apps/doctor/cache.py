"""The folder of engines. Engines are executable code, so only the user may have access to it."""

from __future__ import annotations

import os
import shlex
import stat
from itertools import islice
from pathlib import Path

from .diagnosis import Diagnosis, Fact, gibibytes
from .host import Host

_OWN_MODE = 0o700
_MAX_FILES = 10_000
_PURPOSE = "edgeseg build and edgeseg run --backend tensorrt"


def probe_cache(host: Host) -> list[Diagnosis]:
    """Examines the folder of engines: its path, its permissions and its size."""
    key, label = "cache.folder", "engines"
    folder, shown = _folder(host)
    facts: dict[str, Fact] = {
        "path": shown,
        "exists": folder.is_dir(),
        "mode": None,
        "bytes": 0,
        "engines": 0,
    }
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        text = f"{shown} is a link or a file; it has to be a folder of your own"
        return [Diagnosis(key, label, "problem", text, _PURPOSE, (f"rm {shown}",), facts)]
    if not folder.exists():
        return [Diagnosis(key, label, "ok", f"none yet; they will be kept in {shown}", facts=facts)]
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    files = [
        path for path in islice(folder.iterdir(), _MAX_FILES) if path.is_file() and not path.is_symlink()
    ]
    engines = sum(path.suffix == ".engine" for path in files)
    size = sum(path.stat().st_size for path in files)
    facts |= {"mode": f"{mode:04o}", "bytes": size, "engines": engines}
    text = f"{engines} engine{'' if engines == 1 else 's'}, {gibibytes(size)}, in {shown}"
    if status.st_uid != os.getuid():
        fix = (f'sudo chown -R "$USER" {shown}',)
        return [Diagnosis(key, label, "problem", f"{text}, which is another user's", _PURPOSE, fix, facts)]
    if mode != _OWN_MODE:
        text = f"{text}, with mode {mode:04o}; it has to be yours alone"
        return [Diagnosis(key, label, "problem", text, _PURPOSE, (f"chmod 700 {shown}",), facts)]
    return [Diagnosis(key, label, "ok", text, facts=facts)]


def _folder(host: Host) -> tuple[Path, str]:
    """The folder, and its form for a shell: without the user's name if it is in their home."""
    home = Path(host.environ.get("HOME") or Path.home())
    named = host.environ.get("EDGESEG_CACHE")
    caches = Path(host.environ.get("XDG_CACHE_HOME") or home / ".cache")
    folder = Path(named or caches / "edgeseg") / "engines"
    if folder.is_relative_to(home):
        return folder, f"~/{shlex.quote(str(folder.relative_to(home)))}"
    return folder, shlex.quote(str(folder))
