"""The C library reads the bundles that Python reads, and refuses what Python refuses, in one line."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeseg.core.errors import EdgesegError
from edgeseg.runtime.bundle import Bundle

from ...support.bundles import brightness_graph, write_bundle
from ...support.c_library import Pieces

Manifest = dict[str, Any]
Edit = Callable[[Callable[[Manifest], None]], None]


def python_says(folder: Path, variant: str | None = None) -> str:
    """The answer of ``pieces.c`` of a bundle that Python opens; "refused" where it does not."""
    try:
        bundle = Bundle.load(folder)
        chosen = bundle.variant(variant) if variant else bundle.variant_for(("any", "cpu"))
    except EdgesegError:
        return "refused"
    sizes = [*bundle.input_size_hw, *bundle.output_size_hw, int(chosen.target == "tensorrt")]
    labels = [f"{' '.join(str(value) for value in label.rgb)} {label.name}" for label in bundle.labels.labels]
    return "\n".join([" ".join(str(v) for v in (*sizes, chosen.path.stat().st_size)), *labels])


def test_it_reads_what_python_reads(pieces: Pieces, bundle_folder: Path) -> None:
    assert pieces.bundle(bundle_folder) == python_says(bundle_folder)
    assert pieces.bundle(bundle_folder, "fp32") == python_says(bundle_folder)
    assert pieces.bundle(Path(f"{bundle_folder}/")) == python_says(bundle_folder)


def test_names_of_any_script(pieces: Pieces, bundle_folder: Path, edit_manifest: Edit) -> None:
    def rename(manifest: Manifest) -> None:
        for label, name in zip(manifest["labels"], ("straße", "道路", "x" * 100), strict=True):
            label["name"] = name

    edit_manifest(rename)
    assert pieces.bundle(bundle_folder) == python_says(bundle_folder)


class TestVariants:
    """As in Python: the default one, unless it is for another device; then the first that is for this one."""

    @pytest.fixture
    def targets(self, edit_manifest: Edit) -> Callable[..., None]:
        def set_targets(**targets: str) -> None:
            def change(manifest: Manifest) -> None:
                entry = manifest["variants"]["fp32"]
                manifest["variants"] = {name: {**entry, "target": target} for name, target in targets.items()}
                manifest["default_variant"] = next(iter(targets))

            edit_manifest(change)

        return set_targets

    def test_the_default_one(self, pieces: Pieces, bundle_folder: Path, targets: Callable[..., None]) -> None:
        targets(b="cpu", a="any")
        assert pieces.bundle(bundle_folder) == python_says(bundle_folder)

    def test_the_first_for_a_cpu(
        self, pieces: Pieces, bundle_folder: Path, targets: Callable[..., None]
    ) -> None:
        targets(t="tensorrt", c="cpu")
        assert pieces.bundle(bundle_folder) == python_says(bundle_folder, "c")
        assert pieces.bundle(bundle_folder, "t") == python_says(bundle_folder, "t")
        assert pieces.bundle(bundle_folder, "t").splitlines()[0].split()[4] == "1"

    def test_none_for_a_cpu(self, pieces: Pieces, bundle_folder: Path, targets: Callable[..., None]) -> None:
        targets(t="tensorrt")
        assert python_says(bundle_folder) == "refused"
        assert "no variant is for a CPU; name one of them" in pieces.bundle(bundle_folder)

    def test_one_that_is_not_there(
        self, pieces: Pieces, bundle_folder: Path, targets: Callable[..., None]
    ) -> None:
        targets(t="tensorrt", c="cpu")
        assert "there is no variant int8; the bundle has t, c" in pieces.bundle(bundle_folder, "int8")

    def test_one_for_what_nobody_knows(
        self, pieces: Pieces, bundle_folder: Path, targets: Callable[..., None]
    ) -> None:
        targets(x="hexagon", c="cpu")
        assert "a variant's target must be any, cpu or tensorrt" in pieces.bundle(bundle_folder, "x")


def put(path: str, value: object) -> Callable[[Manifest], None]:
    """A change of one member, by its path."""

    def change(manifest: Any) -> None:
        *way, last = path.split(".")
        for key in way:
            manifest = manifest[int(key) if key.isdigit() else key]
        if value is ...:
            del manifest[last]
        else:
            manifest[int(last) if last.isdigit() else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("schema", 2), "is of schema 2, newer than schema 1 that this library reads; build it from a newer"),
        (put("schema", 0), "schema must be 1"),
        (put("schema", "1"), "schema must be 1"),
        (put("tiling", {}), "the manifest has a key that this version does not know (tiling); use the edgeseg"),
        (put("labels", ...), "the manifest has no labels"),
        (put("input.resize", "letterbox"), 'input.resize must be "stretch"'),
        (put("input.layout", "NCHW"), 'input.layout must be "NHWC"'),
        (put("input.channels", "RGB"), 'input.channels must be "BGR"'),
        (put("input.dtype", "float32"), 'input.dtype must be "uint8"'),
        (put("input.name", "image"), 'input.name must be "frame"'),
        (put("input.crop", 0.875), "input has a key that this version does not know (crop)"),
        (put("input.size_hw", [512, 0]), "input.size_hw must be two numbers from 1 to 16384"),
        (put("input.size_hw", [512, 512, 3]), "input.size_hw must be two numbers"),
        (put("input.size_hw", [512.0, 512]), "input.size_hw must be two numbers"),
        (put("input.size_hw", 512), "input.size_hw must be two numbers"),
        (put("input", []), "input must be an object"),
        (put("output.dtype", "float16"), 'output.dtype must be "float32"'),
        (put("output.name", "mask"), 'output.name must be "logits"'),
        (put("output.size_hw", [99999, 1]), "output.size_hw must be two numbers from 1 to 16384"),
        (put("default_variant", "int8"), "there is no variant int8; the bundle has fp32"),
        (put("default_variant", 3), "default_variant must be a variant's name"),
        (put("variants", []), "variants must be an object"),
        (put("variants.fp32.file", "../tiny.fp32.onnx"), "a variant's file must be the name of a file in the"),
        (put("variants.fp32.file", ".."), "a variant's file must be the name of a file in the"),
        (put("variants.fp32.file", ""), "a variant's file must be the name of a file in the"),
        (put("variants.fp32.file", "gone.onnx"), "gone.onnx is missing, though the manifest names it; copy or"),
        (put("variants.fp32.file", "x\x00y"), "a variant's file must be the name of a file in the"),
        (put("variants.fp32.sha256", "A" * 64), "a variant's sha256 must be 64 lower-case hex digits"),
        (put("variants.fp32.sha256", "0" * 64), "was altered: its SHA-256 is"),
        (put("variants.fp32.bytes", 10), "bytes, expected at most 10; copy or export the bundle again"),
        (put("variants.fp32.bytes", 1 << 40), "a variant's bytes must be the file's size, at most 2147483647"),
        (put("variants.fp32.precision", "int4"), "a variant's precision must be fp32, fp16 or int8"),
        (put("variants.fp32.mirror", True), "a variant has a key that this version does not know (mirror)"),
        (put("labels", []), "labels is no list of 1 to 255 classes"),
        (put("labels.0.merge", 1), "label 0 has a key that this version does not know"),
        (put("labels.0.name", ""), "label 0 is not 1 to 100 characters long"),
        (put("labels.1.name", "x" * 101), "label 1 is not 1 to 100 characters long"),
        (put("labels.1.name", "dark"), "label 1 has the name or the colour of another one"),
        (put("labels.2.rgb", [128, 64, 128]), "label 2 has the name or the colour of another one"),
        (put("labels.0.rgb", [1, 2]), "label 0 has a colour that is not three numbers from 0 to 255"),
        (put("labels.0.rgb", [1, 2, 256]), "label 0 has a colour that is not three numbers from 0 to 255"),
        (put("labels.0.name", "Void"), "label 0 stands for pixels without a label"),
        (put("labels.0.name", "a:b"), "label 0 has a colon, a # at its start, or space around it"),
        (put("labels.0.name", " a"), "label 0 has a colon, a # at its start, or space around it"),
        (put("labels.0.name", "a\u202eb"), "label 0 holds a character that cannot be printed"),
        (put("labels.0.name", "a\x1b[2J"), "label 0 holds a character that cannot be printed"),
    ],
)  # fmt: skip
def test_what_cannot_be_reproduced_is_refused(
    pieces: Pieces,
    bundle_folder: Path,
    edit_manifest: Edit,
    change: Callable[[Manifest], None],
    reason: str,
) -> None:
    edit_manifest(change)
    said = pieces.bundle(bundle_folder)
    assert said.startswith(f"refused: {bundle_folder}")
    assert reason in said
    assert "\n" not in said


def test_a_key_that_comes_twice(pieces: Pieces, bundle_folder: Path) -> None:
    path = bundle_folder / "bundle.json"
    path.write_text(path.read_text().replace('"resize"', '"resize": "stretch", "resize"'))
    assert "input has resize twice" in pieces.bundle(bundle_folder)


class TestFiles:
    def test_no_folder(self, pieces: Pieces, tmp_path: Path) -> None:
        said = pieces.bundle(tmp_path / "gone")
        assert said == (
            f"refused: {tmp_path}/gone/bundle.json is missing, so this is no bundle; `edgeseg export` makes one"
        )

    def test_a_file_for_a_folder(self, pieces: Pieces, bundle_folder: Path) -> None:
        assert "is missing, so this is no bundle" in pieces.bundle(bundle_folder / "bundle.json")

    def test_a_graph_that_was_cut_off(self, pieces: Pieces, bundle_folder: Path) -> None:
        graph = bundle_folder / "tiny.fp32.onnx"
        graph.write_bytes(graph.read_bytes()[:-1])
        actual = hashlib.sha256(graph.read_bytes()).hexdigest()
        assert f"was altered: its SHA-256 is {actual[:12]}…, the manifest says" in pieces.bundle(
            bundle_folder
        )

    def test_one_byte(self, pieces: Pieces, bundle_folder: Path) -> None:
        graph = bundle_folder / "tiny.fp32.onnx"
        content = bytearray(graph.read_bytes())
        content[100] ^= 1
        graph.write_bytes(content)
        assert "was altered" in pieces.bundle(bundle_folder)

    @pytest.mark.parametrize("name", ["bundle.json", "tiny.fp32.onnx"])
    def test_links(self, pieces: Pieces, bundle_folder: Path, name: str) -> None:
        path = bundle_folder / name
        path.rename(bundle_folder / "elsewhere")
        path.symlink_to("elsewhere")
        assert f"{name} is a link; a bundle carries its own files" in pieces.bundle(bundle_folder)
        path.unlink()
        os.link(bundle_folder / "elsewhere", path)
        assert f"{name} has another name through hard links" in pieces.bundle(bundle_folder)

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_what_is_no_file(
        self, pieces: Pieces, bundle_folder: Path, make: Callable[[Path], object]
    ) -> None:
        (bundle_folder / "bundle.json").unlink()
        make(bundle_folder / "bundle.json")
        assert "bundle.json is no regular file" in pieces.bundle(bundle_folder)

    def test_a_manifest_without_end(self, pieces: Pieces, bundle_folder: Path) -> None:
        with (bundle_folder / "bundle.json").open("wb") as file:
            file.truncate(1 << 40)
        assert "holds 1099511627776 bytes, expected at most 4194304" in pieces.bundle(bundle_folder)

    def test_no_json(self, pieces: Pieces, bundle_folder: Path) -> None:
        (bundle_folder / "bundle.json").write_text('{"schema": 1,}')
        assert "bundle.json is not JSON (no key at byte 13)" in pieces.bundle(bundle_folder)
        (bundle_folder / "bundle.json").write_bytes(b"")
        assert "bundle.json is not JSON (no value at byte 0)" in pieces.bundle(bundle_folder)

    def test_a_name_that_would_control_a_terminal(self, pieces: Pieces, tmp_path: Path) -> None:
        assert pieces.bundle(tmp_path / "a\nb\x1b[2J").count("?") == 2

    def test_a_name_longer_than_the_message(self, pieces: Pieces) -> None:
        said = pieces.bundle(Path("é" * 2000))
        assert len(said.encode()) <= len("refused: ") + 1023
        assert said.startswith("refused: ")


def test_the_graph_is_looked_at(pieces: Pieces, tmp_path: Path) -> None:
    model = brightness_graph()
    model.graph.node[0].domain = "com.microsoft"
    folder = tmp_path / "bundle"
    manifest = write_bundle(folder, brightness_graph())
    (folder / "tiny.fp32.onnx").write_bytes(model.SerializeToString())
    content = (folder / "tiny.fp32.onnx").read_bytes()
    manifest["variants"]["fp32"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    assert "tiny.fp32.onnx has operators of another domain" in pieces.bundle(folder)


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1_000_003])
def test_the_sha256_is_hashlibs(pieces: Pieces, length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert pieces.sha256(data) == hashlib.sha256(data).hexdigest()


def mutated(manifest: Manifest, generator: random.Random) -> Manifest:
    """A copy in which a few members are other ones, gone, or somewhere else."""
    manifest = copy.deepcopy(manifest)
    values = [
        0,
        1,
        -1,
        3,
        255,
        16384,
        16385,
        1.0,
        1e300,
        None,
        True,
        "",
        "any",
        "cpu",
        "fp32",
        "a" * 64,
        [],
        {},
        [1, 2, 3],
    ]
    for _ in range(generator.randint(1, 2)):
        place: Any = manifest
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = generator.choice(keys)
            if isinstance(place[key], (dict, list)) and place[key] and generator.random() < 0.8:
                place = place[key]
                continue
            way = generator.randrange(4)
            if way == 0:
                del place[key]
            elif way == 1 and isinstance(place, dict):
                place[generator.choice(["x", "name", "size_hw", "file"])] = place[key]
            else:
                place[key] = generator.choice(values)
            break
    return manifest


def test_no_bundle_is_accepted_that_python_refuses(pieces: Pieces, bundle_folder: Path) -> None:
    """But for what only tells of the bundle's past, which C does not read."""
    generator = random.Random(2)
    path = bundle_folder / "bundle.json"
    original = json.loads(path.read_text())
    unread = ("name", "created_with", "architecture", "weights", "verification")
    accepted = 0
    for _ in range(400):
        manifest = mutated(original, generator)
        path.write_text(json.dumps(manifest))
        said = pieces.bundle(bundle_folder)
        if said.startswith("refused: "):
            continue
        accepted += 1
        for key in unread:
            manifest[key] = original[key]
        manifest["input"] |= {key: original["input"][key] for key in ("mean_rgb", "std_rgb")}
        manifest["output"]["stride"] = original["output"]["stride"]
        for name, entry in manifest["variants"].items():
            if name != manifest["default_variant"]:  # nor does it read the variants that do not run
                entry |= original["variants"]["fp32"]
            entry |= {key: original["variants"]["fp32"][key] for key in ("opset", "calibration", "parity")}
        path.write_text(json.dumps(manifest))
        assert said == python_says(bundle_folder), manifest
    assert accepted > 50
