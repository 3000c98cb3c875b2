"""Reads a module for differences and comparisons between moments of two clocks."""

from __future__ import annotations

import ast
from pathlib import Path

AGES, PATIENCE = "edgeseg.now()", "time.monotonic()"
_CLOCKS = {
    "now": AGES, "clock.now": AGES, "edgeseg.now": AGES, "now_ns": AGES, "clock.now_ns": AGES,
    "time.monotonic": PATIENCE, "time.monotonic_ns": PATIENCE, "monotonic": PATIENCE,
}  # fmt: skip
_MOMENTS = (
    "captured_at",
    "frame_at",
    "finished_at",
    "captured_ns",
    "published_ns",
    "heartbeat_ns",
    "monotonic_s",
)
"""A variable, attribute, argument or key of one of these names is a moment of ``edgeseg.now()``."""

_SAME_KIND = ("max", "min", "round", "float", "int")


def mixtures(path: Path) -> list[str]:
    """Finds the places where a module mixes moments of two clocks, or keeps both under one name."""
    reader = _Reader(path)
    reader.read(ast.parse(path.read_text("utf-8")))
    return reader.found


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path, self.found = path, list[str]()
        self._known: dict[str, str] = {}

    def read(self, tree: ast.Module) -> None:
        attributes: dict[str, str] = {}
        # Twice: an attribute is often read above the line that sets it.
        for _ in range(2):
            self.found.clear()
            self._scope(tree, attributes, attributes)

    def _scope(self, scope: ast.AST, names: dict[str, str], attributes: dict[str, str]) -> None:
        """Reads a function's own lines, then those of the functions inside it, which see its names."""
        inner: list[ast.AST] = []
        lines = list(ast.iter_child_nodes(scope))
        while lines:
            node = lines.pop(0)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                inner.append(node)
                continue
            if (
                isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.AugAssign))
                and node.value is not None
            ):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self._assign(target, node.value, names, attributes)
            self._check(node, names, attributes)
            lines[:0] = ast.iter_child_nodes(node)
        for function in inner:
            own = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}  # type: ignore[attr-defined]
            self._scope(function, {name: kind for name, kind in names.items() if name not in own}, attributes)

    def _assign(
        self, target: ast.expr, value: ast.expr, names: dict[str, str], attributes: dict[str, str]
    ) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for each, part in zip(target.elts, value.elts, strict=False):
                self._assign(each, part, names, attributes)
            return
        kind = self._kind(value, names, attributes)
        name = _name_of(target)
        if not kind or not name:
            return
        known = attributes if isinstance(target, ast.Attribute) else names
        before = AGES if name in _MOMENTS else known.get(name, kind)
        if before != kind:
            self._tell(target, f"{name} is a moment of {before}, and here of {kind}")
        known[name] = before

    def _check(self, node: ast.AST, names: dict[str, str], attributes: dict[str, str]) -> None:
        sides: list[ast.expr] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            sides = [node.left, node.right]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and _dotted(node.func) in ("max", "min"):
            sides = node.args
        elif isinstance(node, ast.keyword) and node.arg in _MOMENTS:
            kind = self._kind(node.value, names, attributes)
            if kind == PATIENCE:
                self._tell(node.value, f"{node.arg} is given a moment of {kind}")
        kinds = {kind for side in sides if (kind := self._kind(side, names, attributes))}
        if len(kinds) > 1:
            self._tell(node, ast.unparse(node))

    def _kind(self, node: ast.expr, names: dict[str, str], attributes: dict[str, str]) -> str:
        """Of which clock an expression is a moment; empty where of none, or where that cannot be seen."""
        parts: list[ast.expr] = []
        if isinstance(node, ast.Name):
            return AGES if node.id in _MOMENTS else names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return AGES if node.attr in _MOMENTS else attributes.get(node.attr, "")
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return AGES if node.slice.value in _MOMENTS else self._kind(node.value, names, attributes)
        if isinstance(node, ast.Call):
            called = _dotted(node.func)
            if called in _CLOCKS:
                return _CLOCKS[called]
            parts = node.args if called in _SAME_KIND else []
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
            kinds = [self._kind(side, names, attributes) for side in (node.left, node.right)]
            # A moment less a moment is a duration; less or plus a duration, it stays a moment.
            return "" if all(kinds) else kinds[0] or (kinds[1] if isinstance(node.op, ast.Add) else "")
        elif isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        return next((kind for part in parts if (kind := self._kind(part, names, attributes))), "")

    def _tell(self, node: ast.AST, what: str) -> None:
        self.found.append(f"{self.path}:{getattr(node, 'lineno', 0)}: {what}")


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
