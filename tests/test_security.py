"""Inputs are not trusted: nothing that edgeseg reads may choose the code that it runs. And nothing phones home.

Read from the source, as in test_house: nowhere does a module unpickle, evaluate text, or start a shell. Each
exception stands here with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "apps",
    "benchmarks",
    "calibration",
    "cli",
    "core",
    "data",
    "export",
    "models",
    "runtime",
    "training",
)

BANNED_MODULES = {
    "pickle": "reading a pickle runs what is in it",
    "_pickle": "reading a pickle runs what is in it",
    "cPickle": "reading a pickle runs what is in it",
    "cloudpickle": "reading a pickle runs what is in it",
    "dill": "reading a pickle runs what is in it",
    "joblib": "it keeps pickles",
    "shelve": "it keeps pickles",
    "marshal": "it reads code",
    "multiprocessing": "its queues, pipes and processes hand over pickles",
    "concurrent.futures.process": "it hands over pickles",
    "yaml": "its loader makes any object; configuration is TOML",
    "commands": "it starts a shell",
    "pty": "it starts a shell",
    "xmlrpc": "it trusts its peer",
    "xml": "the standard parsers follow entities",
}

BANNED_CALLS = {
    "eval": "it runs text",
    "exec": "it runs text",
    "compile": "it makes code of text",
    "__import__": "importlib.import_module says what is meant",
    "os.system": "it starts a shell",
    "os.popen": "it starts a shell",
    "subprocess.getoutput": "it starts a shell",
    "subprocess.getstatusoutput": "it starts a shell",
    "asyncio.create_subprocess_shell": "it starts a shell",
    "torch.load": "it reads pickles; weights are safetensors",
    "torch.save": "it writes pickles; weights are safetensors",
    "torch.hub.load": "it runs what it fetches",
    "torch.hub.load_state_dict_from_url": "it reads pickles from afar",
    "torch.jit.load": "it reads pickles",
    "torch.package.PackageImporter": "it reads pickles",
    "pandas.read_pickle": "it reads pickles",
    "tempfile.mktemp": "another may take the name first",
    "ssl._create_unverified_context": "it believes anybody",
}

SILENCED = {
    "onnxruntime": "core.libraries loads it, with its telemetry off",
    "openvino": "core.libraries loads it, with its telemetry off",
}

ALLOWED = {
    **{
        ("models/foreign.py", name): (
            "anybody's weights are pickles; this reads tensors alone, and only with a PyTorch whose loader of tensors"
            " is sound, or where the bytes are the published ones"
        )
        for name in ("torch.load", "torch.load(weights_only=…)")
    },
    ("models/official.py", "weights.get_state_dict(weights_only=…)"): (
        "torchvision publishes its weights as nothing else; their SHA-256 is compared with the published one before"
        " they are read, and what edgeseg keeps of them is safetensors"
    ),
    **{
        ("core/libraries.py", name): "it is the one module that does, and switches its telemetry off"
        for name in SILENCED
    },
}
"""Findings that are accepted, and the reason: file and finding."""


def modules() -> list[Path]:
    """Every module that ships, relative to the root."""
    found = [path for part in PARTS for path in (ROOT / part).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.py"), *found))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def full_names(module: ast.Module) -> dict[str, str]:
    """The meanings of a module's names: ``np`` for ``numpy``, ``run`` for ``subprocess.run``."""
    names = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def called(call: ast.Call, names: dict[str, str]) -> str:
    """The full name of what is called, such as ``numpy.load``; from ``?`` on where it begins with no plain name."""
    parts: list[str] = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    first = names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"
    return ".".join((first, *parts))


def imports(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def sins(module: ast.Module) -> Iterator[tuple[int, str, str]]:
    """The forbidden things that a module does: the line, the thing, and the reason."""
    for line, name in imports(module):
        for banned, why in BANNED_MODULES.items():
            if name == banned or name.startswith(f"{banned}."):
                yield line, banned, why
        if name.split(".")[0] in SILENCED:
            yield line, name, SILENCED[name.split(".")[0]]
        if name == "concurrent.futures.ProcessPoolExecutor":
            yield line, name, "it hands over pickles"
    names = full_names(module)
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = called(node, names)
        given = {word.arg: word.value for word in node.keywords}
        if name in BANNED_CALLS:
            yield node.lineno, name, BANNED_CALLS[name]
        loads = name == "importlib.import_module" and isinstance(node.args[0], ast.Constant)
        if loads and (loaded := ast.literal_eval(node.args[0])) in SILENCED:
            yield node.lineno, loaded, SILENCED[loaded]
        if name.startswith("os.spawn") or name.startswith("os.exec"):
            yield node.lineno, name, "subprocess says what is meant"
        if "shell" in given and not is_false(given["shell"]):
            yield node.lineno, f"{name}(shell=…)", "it starts a shell"
        if "allow_pickle" in given and not is_false(given["allow_pickle"]):
            yield node.lineno, f"{name}(allow_pickle=…)", "reading a pickle runs what is in it"
        if "weights_only" in given:
            yield node.lineno, f"{name}(weights_only=…)", "it has been bypassed; weights are safetensors"
        if "verify" in given and isinstance(given["verify"], ast.Constant) and given["verify"].value is False:
            yield node.lineno, f"{name}(verify=False)", "it believes anybody"
        if name.split(".")[-1] in ("extractall", "unpack_archive"):
            yield node.lineno, name.split(".")[-1], "an archive may write outside its folder"
        if name == "os.chmod" and len(node.args) > 1 and world_writable(node.args[1]):
            yield node.lineno, name, "anybody could write there"


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def world_writable(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and bool(node.value & 0o022)


@pytest.mark.parametrize("path", modules(), ids=Path.as_posix)
def test_nothing_that_is_read_can_choose_what_runs(path: Path) -> None:
    found = [
        f"{path}:{line} uses {what}: {why}"
        for line, what, why in sins(tree(path))
        if (path.as_posix(), what) not in ALLOWED
    ]
    assert not found, "\n".join(found)


def test_each_exception_is_still_needed() -> None:
    needed = {(path.as_posix(), what) for path in modules() for _, what, _ in sins(tree(path))}
    assert set(ALLOWED) <= needed, f"no longer needed: {sorted(set(ALLOWED) - needed)}"
    assert all(ALLOWED.values()), "each exception needs its reason"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import pickle", "pickle"),
        ("def f():\n    from pickle import loads", "pickle"),
        ("import multiprocessing.shared_memory as shm", "multiprocessing"),
        ("from multiprocessing import shared_memory", "multiprocessing"),
        ("from concurrent.futures import ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "numpy.load(allow_pickle=…)"),
        ("import numpy\nyes = True\nnumpy.load('x', allow_pickle=yes)", "numpy.load(allow_pickle=…)"),
        ("from torch import load as read\nread('x')", "torch.load"),
        ("import torch\ntorch.load('x', weights_only=True)", "torch.load"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "subprocess.run(shell=…)"),
        ("from os import system\nsystem('ls')", "os.system"),
        ("eval('1')", "eval"),
        ("import zipfile\nzipfile.ZipFile('x').extractall()", "extractall"),
        ("archive.extractall('here')", "extractall"),
        ("import os\nos.chmod('x', 0o777)", "os.chmod"),
        ("import onnxruntime as ort", "onnxruntime"),
        ("from importlib import import_module\nimport_module('openvino')", "openvino"),
        ("import requests\nrequests.get('x', verify=False)", "requests.get(verify=False)"),
    ],
)
def test_the_check_sees_what_it_is_for(code: str, what: str) -> None:
    assert what in [found for _, found, _ in sins(ast.parse(code))]


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "network.eval()",
        "import re\nre.compile('x')",
        "from concurrent.futures import ThreadPoolExecutor",
        "import os\nos.chmod('x', 0o700)",
    ],
)
def test_the_check_leaves_the_rest_alone(code: str) -> None:
    assert list(sins(ast.parse(code))) == []
