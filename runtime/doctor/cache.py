"""The folder where engines are kept. Engines are executable code, so it has to be the user's alone."""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path

from .finding import Fact, Finding, gibibytes
from .host import Host

_MAX_FILES = 10_000


def probe_cache(host: Host) -> list[Finding]:
    """Where engines are kept, who may write there, and how much they take."""
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
        text = f"{shown} is no folder of its own"
        return [Finding(key, label, "problem", text, "edgeseg build", (f"rm {shown}",), facts)]
    if not folder.exists():
        return [Finding(key, label, "ok", f"none yet; they will be kept in {shown}", facts=facts)]
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    files = [
        path for path in islice(folder.rglob("*"), _MAX_FILES) if path.is_file() and not path.is_symlink()
    ]
    engines = sum(path.suffix == ".engine" for path in files)
    size = sum(path.stat().st_size for path in files)
    facts |= {"mode": f"{mode:04o}", "bytes": size, "engines": engines}
    text = f"{engines} engine{'' if engines == 1 else 's'}, {gibibytes(size)}, in {shown}"
    if status.st_uid != os.getuid():
        fix = (f'sudo chown -R "$USER" {shown}',)
        return [
            Finding(key, label, "problem", f"{text}, which is another user's", "edgeseg build", fix, facts)
        ]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"{text}, open to others (mode {mode:04o})"
        return [Finding(key, label, "problem", text, "edgeseg build", (f"chmod 700 {shown}",), facts)]
    return [Finding(key, label, "ok", text, facts=facts)]


def _folder(host: Host) -> tuple[Path, str]:
    """The folder, and how it is shown: without the user's name where it is in their home."""
    home = Path(host.environ.get("HOME") or Path.home())
    named = host.environ.get("EDGESEG_CACHE")
    base = host.environ.get("XDG_CACHE_HOME")
    folder = Path(named) if named else (Path(base) if base else home / ".cache") / "edgeseg"
    shown = f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)
    return folder, shown
