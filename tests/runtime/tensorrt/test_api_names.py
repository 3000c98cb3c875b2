"""Every name of TensorRT's that the code touches is in each version it claims, or is asked for first.

The versions are not installed together, and most need a GPU. So the code is read: each attribute access is followed
to the class it is on, and looked up in lists of what each version's module has (``api/*.json``: for every class its
attributes, for every enum its members, as the module itself lists them). What cannot be followed is a failure too.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FILES = sorted((*(ROOT / "runtime/tensorrt").glob("*.py"), ROOT / "runtime/backends/tensorrt.py"))
API = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "api").glob("*.json"))}
VERSIONS = {"10.3.0", "10.16.1", "11.4.0", "rtx-1.7.1"}


@dataclass(frozen=True)
class Kind:
    """The kind of a value of TensorRT's: the ``module``, a ``class``, an ``instance`` of one, or ``many`` of these."""

    form: str
    name: str = ""
    inner: Kind | None = None


MODULE, UNKNOWN = Kind("module"), Kind("unknown")
"""An unknown value may be passed on, compared and counted. Nothing may be read off it."""


def instance(name: str) -> Kind:
    return Kind("instance", name)


PARAMETERS: dict[str, Kind | None] = {
    "trt": MODULE,
    "module": MODULE,
    "builder": instance("Builder"),
    "config": instance("IBuilderConfig"),
    "context": instance("IExecutionContext"),
    "engine": instance("ICudaEngine"),
    "fields": None,  # of JSON
    "error": instance("ParserError"),
    "logger": instance("ILogger"),
    "logits": instance("ITensor"),
    "network": instance("INetworkDefinition"),
    "runtime_config": instance("IRuntimeConfig"),
    "severity": UNKNOWN,
    "tensor": instance("ITensor"),
}
"""The kinds of parameters whose type is ``Any``; None is not TensorRT's. Any other such parameter is a failure."""

FUNCTIONS: dict[str, Kind | None] = {
    "as_json": None,
    "compute_capabilities": Kind("many", inner=UNKNOWN),
    "_import": MODULE,
    "_new_context": instance("IExecutionContext"),
    "_new_logger": instance("ILogger"),
    "_resized": instance("ITensor"),
    "make_logger": instance("ILogger"),
    "make_monitor": instance("IProgressMonitor"),
}
"""The kinds of results of the code's own functions that return ``Any``."""

FIELDS: dict[str, Kind | None] = {"module": MODULE}
"""Fields of the code's own classes whose type is ``Any``."""

PLAIN = "plain"
GIVES: dict[tuple[str, str], str] = {
    ("Builder", "create_builder_config"): "IBuilderConfig",
    ("Builder", "create_network"): "INetworkDefinition",
    ("Builder", "create_optimization_profile"): "IOptimizationProfile",
    ("IBuilderConfig", "create_timing_cache"): "ITimingCache",
    ("IBuilderConfig", "get_timing_cache"): "ITimingCache",
    ("ICudaEngine", "create_execution_context"): "IExecutionContext",
    ("ICudaEngine", "create_runtime_config"): "IRuntimeConfig",
    ("IRuntimeConfig", "create_runtime_cache"): "IRuntimeCache",
    ("INetworkDefinition", "add_cast"): "ICastLayer",
    ("INetworkDefinition", "add_concatenation"): "IConcatenationLayer",
    ("INetworkDefinition", "add_constant"): "IConstantLayer",
    ("INetworkDefinition", "add_reduce"): "IReduceLayer",
    ("INetworkDefinition", "add_resize"): "IResizeLayer",
    ("INetworkDefinition", "add_shape"): "IShapeLayer",
    ("INetworkDefinition", "add_shuffle"): "IShuffleLayer",
    ("INetworkDefinition", "add_slice"): "ISliceLayer",
    ("INetworkDefinition", "add_elementwise"): "IElementWiseLayer",
    ("INetworkDefinition", "add_select"): "ISelectLayer",
    ("INetworkDefinition", "get_input"): "ITensor",
    ("INetworkDefinition", "get_output"): "ITensor",
    ("OnnxParser", "get_error"): "ParserError",
    ("ParserError", "desc"): PLAIN,
    ("Runtime", "deserialize_cuda_engine"): "ICudaEngine",
}
"""The kinds of results of methods, where something is read off it. A layer's ``get_output`` gives a tensor."""


class Reader(ast.NodeVisitor):
    """Follows TensorRT's values through a module, and notes what it finds wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.checked = 0
        self._env: dict[str, Kind | None] = {}
        self._own: dict[str, Kind | None] = {}
        self._asked: set[tuple[Kind, str]] = set()

    def read(self, text: str) -> Reader:
        module = ast.parse(text)
        # What `self._x` is may be told further down than it is used, so the first reading is for that alone.
        for _ in range(2):
            self.problems, self.checked, self._env = [], 0, {}
            self.visit(module)
        return self

    # Statements

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, asked = dict(self._env), set(self._asked)
        if is_any(node.returns) and node.name not in FUNCTIONS:
            self._tell(node, f"{node.name} returns Any; say in FUNCTIONS what that is")
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self._env[argument.arg] = None
            if is_any(argument.annotation):
                if argument.arg in PARAMETERS:
                    self._env[argument.arg] = PARAMETERS[argument.arg]
                else:
                    self._tell(node, f"{argument.arg} is Any; say in PARAMETERS what that is")
        # The questions first, and what they are asked about: what is asked for is used on either side of them.
        before, inside = len(self.problems), list(ast.walk(node))
        for statement in inside:
            if isinstance(statement, ast.Assign):
                self.visit(statement)
        del self.problems[before:]
        for call in inside:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ASKING:
                self._ask(call)
        for statement in node.body:
            self.visit(statement)
        self._env, self._asked = outer, asked

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for base in node.bases:
            kind = self.kind(base)
            if kind is not None and kind.form == "class":
                for item in node.body:
                    if isinstance(item, ast.FunctionDef) and not item.name.startswith("__"):
                        self._look_up(item, instance(kind.name), item.name)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        kind = self.kind(node.value)
        for target in node.targets:
            self._bind(target, kind, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self.kind(node.value), node.value)

    def visit_For(self, node: ast.For) -> None:
        self._bind(node.target, element(self.kind(node.iter)))
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            kind = self.kind(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, kind)
        for statement in node.body:
            self.visit(statement)

    def generic_visit(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.kind(child)
            else:
                self.visit(child)

    # Expressions

    def kind(self, node: ast.expr) -> Kind | None:
        """Returns the kind of an expression, after checking all that is read in it."""
        if isinstance(node, ast.Name):
            return self._env.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            self.kind(node.slice)
            kind = self.kind(node.value)
            return kind.inner if kind is not None and kind.form == "many" else kind
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            return self._comprehension(node)
        if isinstance(node, ast.NamedExpr):
            self._bind(node.target, self.kind(node.value))
            return self.kind(node.target)
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if isinstance(node, ast.Lambda | ast.JoinedStr | ast.FormattedValue | ast.Compare | ast.UnaryOp):
            self.generic_visit(node)
            return None
        kinds = [kind for kind in map(self.kind, children) if kind is not None]
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict) and kinds:
            return Kind("many", inner=kinds[0] if len(set(kinds)) == 1 else UNKNOWN)
        return kinds[0] if kinds else None

    def _attribute(self, node: ast.Attribute) -> Kind | None:
        base = self.kind(node.value)
        if base is None:
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return self._own.get(node.attr)
            return FIELDS.get(node.attr)
        if base.form == "many":
            return Kind("method of many", inner=base)
        return self._look_up(node, base, node.attr)

    def _look_up(self, node: ast.AST, base: Kind, name: str) -> Kind | None:
        self.checked += 1
        if (base.form, name) in DUNDERS:
            return None
        if base.form not in ("module", "class", "instance"):
            self._tell(node, f".{name} is read off something unknown; say in GIVES what it is")
            return None
        have = {version: self._has(api, base, name) for version, api in API.items()}
        asked = (base, name) in self._asked
        if not (any(have.values()) if asked else all(have.values())):
            lacking = ", ".join(version for version, has in have.items() if not has)
            where = "the module" if base.form == "module" else base.name
            self._tell(node, f"{where} has no {name} in {lacking}; ask with hasattr, or do without it")
        if base.form == "module":
            return Kind("class", name)
        return Kind("method", name, base) if base.form == "instance" else UNKNOWN

    @staticmethod
    def _has(api: dict[str, list[str]], base: Kind, name: str) -> bool:
        if base.form == "module":
            return name in api
        # A class that a version lacks has been asked for, or been told of, where it was first named.
        return (
            name in api[base.name] if base.name in api else any(base.name in other for other in API.values())
        )

    def _call(self, node: ast.Call) -> Kind | None:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.kind(argument)
        if isinstance(node.func, ast.Name) and self._env.get(node.func.id) is None:
            if node.func.id in SAME:
                return self.kind(node.args[0])
            if node.func.id == "getattr":
                return self._ask(node)
            return FUNCTIONS.get(node.func.id)
        called = self.kind(node.func)
        if called is None:
            return FUNCTIONS.get(node.func.attr) if isinstance(node.func, ast.Attribute) else None
        if called.form == "method of many":
            return called.inner
        if called.form == "class":
            return instance(called.name)
        if called.form != "method" or called.inner is None:
            return UNKNOWN
        gives = GIVES.get((called.inner.name, called.name))
        if gives is None and called.name == "get_output":
            gives = "ITensor"
        return None if gives == PLAIN else instance(gives) if gives else UNKNOWN

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> Kind | None:
        outer = dict(self._env)
        for generator in node.generators:
            self._bind(generator.target, element(self.kind(generator.iter)))
            for condition in generator.ifs:
                self.kind(condition)
        results = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        kinds = [kind for kind in map(self.kind, results) if kind is not None]
        self._env = outer
        return Kind("many", inner=kinds[0] if len(kinds) == 1 else UNKNOWN) if kinds else None

    def _ask(self, call: ast.Call) -> Kind | None:
        base, name = self.kind(call.args[0]), call.args[1]
        if base is None:
            return None
        if not isinstance(name, ast.Constant):
            self._tell(call, "asks for a name that is not written out")
            return UNKNOWN
        self._asked.add((base, str(name.value)))
        return self._look_up(call, base, str(name.value))

    def _bind(self, target: ast.expr, kind: Kind | None, value: ast.expr | None = None) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            pairwise = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
            for index, part in enumerate(target.elts):
                part_value = value.elts[index] if pairwise else None
                self._bind(part, self.kind(part_value) if pairwise else element(kind), part_value)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, kind)
        elif isinstance(target, ast.Name):
            self._env[target.id] = kind
        elif isinstance(target, ast.Attribute):
            if isinstance(target.value, ast.Name) and target.value.id == "self":
                self._own[target.attr] = kind or self._own.get(target.attr)
            else:
                self.kind(target)

    def _tell(self, node: ast.AST, text: str) -> None:
        self.problems.append(f"{self.path.name}:{getattr(node, 'lineno', 0)}: {text}")


ASKING = ("hasattr", "getattr")
SAME = ("sorted", "reversed", "list", "iter", "next")
"""Functions that give what they are given."""

DUNDERS = {("module", "__version__"), ("class", "__init__"), ("class", "__members__")}


def element(kind: Kind | None) -> Kind | None:
    return kind.inner if kind is not None and kind.form == "many" else kind


def is_any(annotation: ast.expr | None) -> bool:
    """Returns True if a type is, or holds, anything. An array of anything is NumPy's."""
    if annotation is None or (
        isinstance(annotation, ast.Subscript) and "NDArray" in ast.unparse(annotation.value)
    ):
        return False
    if isinstance(annotation, ast.Name):
        return annotation.id == "Any"
    return any(is_any(child) for child in ast.iter_child_nodes(annotation) if isinstance(child, ast.expr))


def names_used(path: Path) -> Reader:
    return Reader(path).read(path.read_text(encoding="utf-8"))


def problems_in(code: str) -> list[str]:
    return Reader(Path("code.py")).read(code).problems


def test_the_lists_of_all_versions_are_here() -> None:
    assert set(API) == VERSIONS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_name_is_in_every_version(path: Path) -> None:
    assert names_used(path).problems == []


def test_the_names_are_really_followed() -> None:
    """The count would fall if a change hid TensorRT's values from the reader."""
    checked = {path.name: names_used(path).checked for path in FILES}
    assert checked["network.py"] >= 40
    assert checked["builder.py"] >= 15
    assert checked["module.py"] >= 8
    assert checked["loaded.py"] >= 30
    assert checked["kernel_cache.py"] >= 5


WRONG = {
    "a name of the module": ("def f(trt: Any) -> None:\n    trt.Bilder(0)", "the module has no Bilder in"),
    "a member of an enum": ("def f(trt: Any) -> None:\n    trt.DataType.UINT9", "DataType has no UINT9 in"),
    "a method": ("def f(network: Any) -> None:\n    network.add_softmix()", "has no add_softmix in"),
    "a method of a result": (
        "def f(network: Any) -> None:\n    network.add_cast(0, 0).get_outputs(0)",
        "ICastLayer has no get_outputs in",
    ),
    "an attribute that is set": (
        "def f(builder: Any) -> None:\n    config = builder.create_builder_config()\n    config.int8_calibrater = 1",
        "IBuilderConfig has no int8_calibrater in",
    ),
    "a flag that TensorRT 11 dropped": (
        "def f(trt: Any, config: Any) -> None:\n    config.set_flag(trt.BuilderFlag.FP16)",
        "BuilderFlag has no FP16 in 11.4.0, rtx-1.7.1",
    ),
    "an element of a list": (
        "def f(network: Any) -> None:\n    t = [network.get_input(i) for i in (0, 1)]\n    [x.shapes for x in t]",
        "ITensor has no shapes in",
    ),
    "a method that is overridden": (
        "def f(trt: Any) -> None:\n    class M(trt.IProgressMonitor):\n        def phase_begin(self) -> None: pass",
        "IProgressMonitor has no phase_begin in",
    ),
    "what a class keeps": (
        "class A:\n    def use(self) -> None:\n        self._engine.get_tensor_nam(0)\n"
        "    def open(self, trt: Any) -> None:\n        self._engine = trt.Runtime(0).deserialize_cuda_engine(b'')",
        "ICudaEngine has no get_tensor_nam in",
    ),
    "the imported module": (
        "def f(tensorrt: TensorRT) -> None:\n    tensorrt.module.Bilder(0)",
        "the module has no Bilder in",
    ),
    "a wrong question": (
        "def f(trt: Any) -> None:\n    if hasattr(trt, 'ComputeCapabilty'): pass",
        "the module has no ComputeCapabilty in",
    ),
    "something unknown": (
        "def f(engine: Any) -> None:\n    engine.get_tensor_shape('x').volume()",
        ".volume is read off something unknown",
    ),
    "what getattr gives": (
        "def f(trt: Any) -> None:\n    m = getattr(trt, 'DataType')\n    m.UINT9",
        "DataType has no UINT9 in",
    ),
    "a name that is made up": ("def f(trt: Any, x: str) -> None:\n    hasattr(trt, x)", "is not written out"),
    "a method under another name": (
        "def f(network: Any) -> None:\n    add = network.add_cast\n    add(0, 0).get_outputs(0)",
        "ICastLayer has no get_outputs in",
    ),
    "what a with block names": (
        "def f(trt: Any) -> None:\n    with trt.Builder(0) as b:\n        b.create_netwerk(0)",
        "Builder has no create_netwerk in",
    ),
    "what an expression names": (
        "def f(trt: Any) -> None:\n    if (b := trt.Builder(0)) is not None:\n        b.create_netwerk(0)",
        "Builder has no create_netwerk in",
    ),
    "an undeclared holder": (
        "def f(things: list[Any]) -> None:\n    pass",
        "things is Any; say in PARAMETERS",
    ),
    "an undeclared parameter": ("def f(thing: Any) -> None:\n    thing.x", "thing is Any; say in PARAMETERS"),
    "an undeclared function": ("def f() -> Any:\n    return 1", "f returns Any; say in FUNCTIONS"),
}


@pytest.mark.parametrize(("code", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_name_is_found(code: str, message: str) -> None:
    assert any(message in problem for problem in problems_in(code)), problems_in(code)


def test_a_name_that_is_asked_for_first_may_be_missing() -> None:
    bare = "def f(trt: Any) -> None:\n    trt.ComputeCapability.SM86"
    assert problems_in(bare)
    assert "ComputeCapability" in problems_in(bare)[0]
    asked = (
        "def f(trt: Any) -> None:\n    if hasattr(trt, 'ComputeCapability'):\n        trt.ComputeCapability"
    )
    assert problems_in(asked) == []


def installed() -> Iterator[tuple[str, str]]:
    for name, prefix in (("tensorrt", ""), ("tensorrt_rtx", "rtx-")):
        if importlib.util.find_spec(name):
            yield name, prefix


def test_the_lists_are_true_of_what_is_installed() -> None:
    compared = 0
    for name, prefix in installed():
        module = importlib.import_module(name)
        facts = API.get(prefix + ".".join(module.__version__.split(".")[:3]))
        for class_name, names in (facts or {}).items():
            missing = [member for member in names if not hasattr(getattr(module, class_name), member)]
            assert missing == [], f"{name} {module.__version__}: {class_name}"
            compared += 1
    if not compared:
        pytest.skip("no TensorRT of a version that is listed is installed")
