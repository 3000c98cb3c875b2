"""Brings the files of the checkout that pages link to into the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\]\(((?:\.\./)+)((?:embedding|examples|runtime)/[\w./-]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds each file outside ``docs/`` that a page links to."""
    pages = Path(config["docs_dir"]).rglob("*.md")
    for name in sorted({match[2] for page in pages for match in _LINK.finditer(page.read_text("utf-8"))}):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points those links into the site."""
    up = "../" * page.file.src_uri.count("/")
    return _LINK.sub(lambda match: f"]({up}{match[2]})", markdown)
