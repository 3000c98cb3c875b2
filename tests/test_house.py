"""The house keeps its shape: who imports whom, what stays light, and what every module owes its reader.

Imports are read from the source, those under ``TYPE_CHECKING`` and inside functions too: a part that needs
another's types to be understood depends on it. A registry names its targets as strings, and so does not.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Container, Iterator, Sequence
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
    "embedding",
    "export",
    "models",
    "runtime",
    "training",
)
DOORS = ("export.py", "run_camera.py")
"""The front doors: they ask for the command line, and nothing may ask for them."""

MAY_IMPORT = {
    "core": (),
    "runtime": ("core",),
    "models": ("core",),
    "data": ("core",),
    "training": ("core", "data", "models"),
    "calibration": ("core", "data", "runtime.decode", "runtime.preprocess"),
    "export": ("core", "calibration", "data", "models", "runtime"),
    "embedding": ("core", "runtime"),
    "apps": ("core", "embedding", "runtime"),
    "benchmarks": ("core", "apps", "calibration", "data", "embedding", "export", "models", "runtime"),
    "cli": (
        "core",
        "apps",
        "benchmarks",
        "calibration",
        "data",
        "embedding",
        "export",
        "models",
        "runtime",
        "training",
    ),
}
"""From the ground up: no part knows one above it."""

HEAVY = (
    "torch", "torchvision", "onnx", "onnxscript", "safetensors", "tensorrt", "tensorrt_rtx", "cuda", "pycuda",
    "PIL", "av", "matplotlib", "openvino", "rasterio", "pymavlink", "rclpy", "rich", "tensorboard",
)  # fmt: skip
MAX_LINES = 400
MAX_OPTIONS = 6
MORE_OPTIONS = {
    # The registry reads a network's options, which are its users' own, from the signature.
    "models/unet.py: UNet.__init__",
}
"""Functions that may have more, each with the reason."""


def modules() -> list[Path]:
    """Every module of the package, relative to the root."""
    found = [path for part in PARTS for path in (ROOT / part).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.py"), *found))


def ids(path: Path) -> str:
    return path.as_posix()


every_module = pytest.mark.parametrize("path", modules(), ids=ids)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def imported(path: Path) -> set[str]:
    """The edgeseg modules that a module imports, such as ``runtime.bundle``."""
    package = path.parent.parts
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = ".".join((*base, *filter(None, [node.module])))
            # `from ..models import registry` names a module, `from ..models.base import X` lives in one.
            names |= {".".join(filter(None, (module, alias.name))) for alias in node.names}
    return names


def allowed(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


@every_module
def test_imports_point_one_way(path: Path) -> None:
    part = path.parts[0]
    if part not in MAY_IMPORT:
        return
    inside = (*PARTS, *(Path(door).stem for door in DOORS if Path(door).stem not in PARTS))
    asked = {name for name in imported(path) if name.split(".")[0] in inside}
    refused = sorted(name for name in asked if not allowed(name, (part, *MAY_IMPORT[part])))
    assert not refused, (
        f"{path} imports {', '.join(refused)}; {part}/ may import {MAY_IMPORT[part] or 'no other part'}"
    )


def test_no_part_is_named_in_a_string_below_it() -> None:
    """A registry's target is an import too. What the package registers at its top stands in ``__init__``."""
    for path in modules():
        part = path.parts[0]
        for node in ast.walk(tree(path)) if part in MAY_IMPORT else ():
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            for name in re.findall(r"^edgeseg\.([\w.]+):\w+$", node.value):
                assert allowed(name, (part, *MAY_IMPORT[part])), f"{path}:{node.lineno} names edgeseg.{name}"


def test_only_the_command_line_sees_a_raw_namespace() -> None:
    """Below it, options pass as frozen records. The measurements are programs with a command line of their own."""
    for path in modules():
        if path.parts[0] in MAY_IMPORT and path.parts[0] not in ("cli", "benchmarks"):
            assert "argparse.Namespace" not in (ROOT / path).read_text(encoding="utf-8"), path


def test_no_imports_go_in_a_circle() -> None:
    named = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in modules()}
    asks = {
        name: {other for other in imported_at_once(path, named) if other in named}
        for name, path in named.items()
    }
    while leaves := {name for name, others in asks.items() if not others & asks.keys() - {name}}:
        asks = {name: others for name, others in asks.items() if name not in leaves}
    assert not asks, f"these import each other, or what does: {', '.join(sorted(asks))}"


def imported_at_once(path: Path, named: Container[str]) -> set[str]:
    """The edgeseg modules that are loaded as soon as a module is."""
    package = path.parent.parts
    names = set()
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = ".".join((*base, *filter(None, [node.module])))
            for alias in node.names:
                inside = f"{module}.{alias.name}"
                names.add(inside if inside in named else module)
    return names - {".".join(path.with_suffix("").parts).removesuffix(".__init__")}


@every_module
def test_imports_inside_the_package_are_relative_and_by_name(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), f"{path}:{node.lineno} imports *"
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        absolute = [name for name in names if name.split(".")[0] == "edgeseg"]
        assert not absolute or path.name in ("export.py", "run_camera.py"), (
            f"{path}:{node.lineno} imports {absolute[0]} by its absolute name; write it relative"
        )


@every_module
def test_every_module_says_what_it_is_and_stays_small(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert ast.get_docstring(tree(path)), f"{path} has no docstring"
    assert len(text.splitlines()) <= MAX_LINES, (
        f"{path} has more than {MAX_LINES} lines: something wants to leave"
    )


def functions(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.arguments]]:
    """Every function below a node by its qualified name, with its arguments."""
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{inside}.{child.name}" if inside else child.name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, child.args
        yield from functions(child, name)


def count_options(arguments: ast.arguments) -> int:
    named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return sum(argument.arg not in ("self", "cls") for argument in named)


def test_functions_of_more_than_six_options_take_a_record() -> None:
    counts = {
        f"{path}: {name}": count_options(arguments)
        for path in modules()
        for name, arguments in functions(tree(path))
    }
    many = {name: count for name, count in counts.items() if count > MAX_OPTIONS}
    found = [f"{name} has {many[name]} options" for name in sorted(many.keys() - MORE_OPTIONS)]
    assert not found, f"{'; '.join(found)}: more than {MAX_OPTIONS} become a frozen dataclass"
    assert many.keys() >= MORE_OPTIONS, f"{sorted(MORE_OPTIONS - many.keys())}: the exception is not needed"


def named_types(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The public names of the classes and the type aliases of a module."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
                yield name


def test_public_types_have_names_of_their_own() -> None:
    """A reader who meets a class or an alias knows it by its name alone."""
    places: dict[str, list[str]] = {}
    for path in modules():
        for name in named_types(tree(path).body):
            if not name.startswith("_"):
                places.setdefault(name, []).append(str(path))
    shared = [f"{name} in {' and '.join(paths)}" for name, paths in sorted(places.items()) if len(paths) > 1]
    assert not shared, f"types share a name: {'; '.join(shared)}"


@every_module
def test_registered_targets_exist(path: Path) -> None:
    """A registry's strings are imports that no tool sees; each must name a class that is there."""
    for node in ast.walk(tree(path)):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        module, _, name = node.value.partition(":")
        if not (module.startswith("edgeseg.") and name.isidentifier()):
            continue
        target = ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
        assert target.is_file(), f"{path}:{node.lineno}: there is no module {module}"
        defined = {
            item.name for item in ast.parse(target.read_text("utf-8")).body if isinstance(item, ast.ClassDef)
        }
        assert name in defined, f"{path}:{node.lineno}: {module} has no class {name}"


BLOCKED = f"""
import importlib, importlib.abc, pkgutil, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run_blocked(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_runtime_and_the_public_api_need_the_core_install_alone() -> None:
    run_blocked(
        "import edgeseg, edgeseg.runtime as runtime\n"
        "for name in edgeseg.__all__: getattr(edgeseg, name)\n"
        "import edgeseg.embedding as embedding\n"
        "for name in embedding.__all__: getattr(embedding, name)\n"
        "for module in pkgutil.walk_packages(runtime.__path__, 'edgeseg.runtime.'):\n"
        "    importlib.import_module(module.name)"
    )


def test_the_aerial_world_needs_the_core_install_alone() -> None:
    run_blocked(
        "from edgeseg.runtime.sources import open_source\n"
        "with open_source('aerial:7?size=32x32&frames=1') as source: assert source.read().shape == (32, 32, 3)"
    )


def test_the_guided_walks_name_what_is_there() -> None:
    """Each step of the walks through the code names a file, and often a function in it."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    walks = re.findall(r"^## Follow a \w+\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    steps = [
        step for walk in walks for step in re.findall(r"^\d+\. `([\w/.]+)`(?:, `(\w+)`)?", walk, re.MULTILINE)
    ]
    assert len(walks) == 2
    assert len(steps) > 40
    for path, name in steps:
        named = {
            node.name
            for node in ast.walk(tree(Path(path)))
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        }
        assert not name or name in named, f"docs/architecture.md: {path} has no {name}"


def test_every_verb_explains_itself_with_the_core_install_alone() -> None:
    run_blocked(
        "import argparse\n"
        "from edgeseg.cli.main import VERBS\n"
        "for module, _ in VERBS.values():\n"
        "    importlib.import_module(module).configure(argparse.ArgumentParser())"
    )
