from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeseg.core.errors import BundleError, OutputError
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.manifest import write_manifest

Edit = Callable[[Callable[[dict[str, Any]], None]], None]


def test_a_bundle_tells_what_it_holds(bundle_folder: Path) -> None:
    bundle = Bundle.load(str(bundle_folder))
    assert bundle.name == "tiny"
    assert bundle.labels.names == ("dark", "grey", "bright")
    assert (bundle.input_size_hw, bundle.output_size_hw, bundle.stride) == ((32, 48), (8, 12), 4)
    assert bundle.default_variant == "fp32"
    assert bundle.variant() is bundle.variants["fp32"]
    assert bundle.variant("fp32").path == bundle_folder / "tiny.fp32.onnx"
    assert bundle.variant().precision == "fp32"
    assert bundle.variant().parity is None
    assert bundle.checkpoint_path.read_bytes() == b"the weights"
    assert bundle.architecture["name"] == "tiny"


def test_an_unknown_variant_is_answered_with_those_there_are(bundle_folder: Path) -> None:
    with pytest.raises(BundleError, match=r"has no variant 'int8'; it has fp32$"):
        Bundle.load(bundle_folder).variant("int8")


@pytest.mark.parametrize(
    ("default", "targets", "expected"),
    [
        ("fp32", ("any", "tensorrt"), "fp32"),
        ("int8-trt", ("any", "tensorrt"), "int8-trt"),
        ("int8-cpu", ("any", "tensorrt"), "fp32"),
        ("int8-cpu", ("any", "cpu"), "int8-cpu"),
        ("int8-cpu", ("tensorrt",), "int8-trt"),
    ],
)
def test_the_default_variant_gives_way_to_one_that_is_made_for_the_device(
    bundle_folder: Path, edit_manifest: Edit, default: str, targets: tuple[str, ...], expected: str
) -> None:
    def add(manifest: dict[str, Any]) -> None:
        fp32 = manifest["variants"]["fp32"]
        for name, target in (("int8-cpu", "cpu"), ("int8-trt", "tensorrt")):
            manifest["variants"][name] = {**fp32, "precision": "int8", "target": target}
        manifest["default_variant"] = default

    edit_manifest(add)
    assert Bundle.load(bundle_folder).variant_for(targets).name == expected


def test_a_bundle_with_nothing_for_the_device_says_what_it_has(
    bundle_folder: Path, edit_manifest: Edit
) -> None:
    edit_manifest(lambda manifest: manifest["variants"]["fp32"].update(target="cpu"))
    with pytest.raises(BundleError, match=r"no variant for any or tensorrt; it has fp32 \(for cpu\)"):
        Bundle.load(bundle_folder).variant_for(("any", "tensorrt"))


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match=r"there is no bundle at .*nowhere: no such folder; `edgeseg export` makes one"
    ):
        Bundle.load(tmp_path / "nowhere")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is no bundle: it has no bundle\.json"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize("text", [b'{"schema": 1', b"\xff\xfe"])
def test_a_manifest_that_is_not_json(bundle_folder: Path, text: bytes) -> None:
    (bundle_folder / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError, match=r"bundle\.json is not JSON"):
        Bundle.load(bundle_folder)


def test_a_manifest_that_is_no_object(bundle_folder: Path) -> None:
    (bundle_folder / "bundle.json").write_text("[]")
    with pytest.raises(BundleError, match="holds no JSON object"):
        Bundle.load(bundle_folder)


def test_a_newer_schema_is_refused_before_its_form_is_judged(bundle_folder: Path) -> None:
    (bundle_folder / "bundle.json").write_text('{"schema": 2, "shape": "unknown to us"}')
    with pytest.raises(
        BundleError, match="is of schema 2, newer than schema 1 that this edgeseg reads; upgrade"
    ):
        Bundle.load(bundle_folder)


def _set(*keys: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        node = manifest
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set("input", "size_hw", value=[0, 4]), r"input\.size_hw\[0\] must be bigger than or equal to 1"),
        (_set("input", "channels", value="RGB"), r"input\.channels must be same as const definition: BGR"),
        (_set("variants", "fp32", "precision", value="fp8"), r"variants\.fp32\.precision must be one of"),
        (_set("surprise", value=1), r"the manifest must not contain \{'surprise'\} properties"),
        (_set("labels", value=[]), r"labels must contain at least 1 items"),
        (_set("variants", "fp32", "sha256", value="abc"), r"variants\.fp32\.sha256 must match pattern"),
        (_set("default_variant", value="fp16"), r"default_variant is 'fp16', but the variants are fp32"),
        (lambda m: m.pop("output"), r"the manifest must contain \['output'\] properties"),
        (
            _set("labels", value=[{"name": "a", "rgb": [1, 2, 3]}] * 2),
            r"labels: the label map has the name a twice",
        ),
    ],
)
def test_a_violation_names_its_field(
    bundle_folder: Path, edit_manifest: Edit, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    edit_manifest(change)
    with pytest.raises(BundleError, match=complaint):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", ["../tiny.fp32.onnx", "/etc/passwd", "..", "a\\b", "sub/tiny.onnx"])
def test_a_name_that_leaves_the_folder(bundle_folder: Path, edit_manifest: Edit, name: str) -> None:
    edit_manifest(_set("variants", "fp32", "file", value=name))
    with pytest.raises(
        BundleError, match=re.escape(f"variants.fp32.file names {name!r}, outside the bundle")
    ):
        Bundle.load(bundle_folder)


def _symlink(file: Path, elsewhere: Path) -> None:
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def _folder(file: Path, elsewhere: Path) -> None:
    file.unlink()
    file.mkdir()


def _pipe(file: Path, elsewhere: Path) -> None:
    file.unlink()
    os.mkfifo(file)  # one that nobody writes to: reading it would hang


@pytest.mark.parametrize("name", ["tiny.fp32.onnx", "checkpoint.safetensors", "bundle.json"])
@pytest.mark.parametrize(
    ("swap", "complaint"),
    [
        (_symlink, "is a link; a bundle carries its own files"),
        (lambda file, elsewhere: os.link(file, elsewhere), "has 1 other name through hard links"),
        (_folder, "is no regular file"),
        (_pipe, "is no regular file"),
    ],
    ids=["symbolic link", "hard link", "folder", "pipe"],
)
def test_what_is_no_file_of_the_bundles_own(
    bundle_folder: Path, tmp_path: Path, name: str, swap: Callable[[Path, Path], None], complaint: str
) -> None:
    swap(bundle_folder / name, tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=re.escape(f"{name} {complaint}")):
        Bundle.load(bundle_folder)


def test_a_link_to_another_file_of_the_bundle(bundle_folder: Path) -> None:
    _symlink(bundle_folder / "tiny.fp32.onnx", bundle_folder / "other.onnx")
    with pytest.raises(BundleError, match=r"tiny\.fp32\.onnx is a link"):
        Bundle.load(bundle_folder)


def test_a_link_to_a_whole_bundle_will_do(bundle_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle_folder)
    assert Bundle.load(tmp_path / "current").name == "tiny"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"[" * 100_000, "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
        (b'{"schema": 1' + b"0" * 10_000 + b"}", "is not JSON"),
        (b'{"schema": NaN}', "is not JSON .*NaN is no number of JSON"),
        (b'{"schema": -Infinity}', "is not JSON"),
        (b" " * (4 << 20) + b"{}", "is larger than 4 MiB, which no manifest is"),
    ],
    ids=["deep list", "deep object", "long number", "NaN", "infinity", "large"],
)
def test_a_manifest_out_of_all_proportion(bundle_folder: Path, text: bytes, complaint: str) -> None:
    (bundle_folder / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError, match=complaint) as caught:
        Bundle.load(bundle_folder)
    assert len(str(caught.value)) < 500


def test_more_variants_than_anybody_exports(bundle_folder: Path, edit_manifest: Edit) -> None:
    def add(manifest: dict[str, Any]) -> None:
        for number in range(100):
            manifest["variants"][f"fp32-{number}"] = manifest["variants"]["fp32"]

    edit_manifest(add)
    with pytest.raises(BundleError, match=r"variants must contain less than or equal to 64 properties"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", ["tiny.fp32.onnx", "checkpoint.safetensors"])
def test_a_changed_byte_names_the_file(bundle_folder: Path, name: str) -> None:
    file = bundle_folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=re.escape(f"{name} was altered: its SHA-256 is")):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", ["tiny.fp32.onnx", "checkpoint.safetensors"])
def test_a_missing_file_is_named(bundle_folder: Path, name: str) -> None:
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=re.escape(f"{name} is missing, though the manifest names it")):
        Bundle.load(bundle_folder)


def test_the_writer_refuses_what_the_reader_would(bundle_folder: Path) -> None:
    manifest = json.loads((bundle_folder / "bundle.json").read_text())
    before = (bundle_folder / "bundle.json").read_bytes()
    manifest["input"]["layout"] = "NCHW"
    with pytest.raises(BundleError, match=r"input\.layout must be same as const"):
        write_manifest(bundle_folder, manifest)
    assert (bundle_folder / "bundle.json").read_bytes() == before


def test_the_writer_says_where_it_cannot_write(bundle_folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle_folder / "bundle.json").read_text())
    with pytest.raises(OutputError, match=r"cannot write .*bundle\.json: No such file or directory"):
        write_manifest(tmp_path / "absent", manifest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["input"].update(size_hw=[32.0, 48.0]), r"input\.size_hw\[0\] must be integer"),
        (lambda m: m["output"].update(stride=4.0), r"output\.stride must be integer"),
        (lambda m: m["labels"][0].update(rgb=[1.0, 2, 3]), r"labels\[0\]\.rgb\[0\] must be integer"),
        (lambda m: m.update(name="half \ud800"), "is not JSON .*surrogates not allowed"),
        (lambda m: m["architecture"].update(arguments={"\udfff": 1}), "is not JSON .*surrogates not allowed"),
    ],
)
def test_numbers_and_texts_that_only_json_can_hold_are_refused(
    bundle_folder: Path,
    edit_manifest: Callable[[Callable[[dict[str, Any]], None]], None],
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    edit_manifest(change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(bundle_folder)


def test_a_mean_beyond_all_numbers_is_refused(bundle_folder: Path) -> None:
    path = bundle_folder / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["input"]["mean_rgb"][0] = "HERE"
    path.write_text(json.dumps(manifest).replace('"HERE"', "1e400"))
    with pytest.raises(BundleError, match=r"is not JSON \(1e400 is larger than any number can be\)"):
        Bundle.load(bundle_folder)
