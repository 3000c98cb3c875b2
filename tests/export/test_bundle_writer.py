"""A bundle's folder is written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edgeseg.core.errors import OutputError
from edgeseg.export import bundle_writer
from edgeseg.export.bundle_writer import add_verification, json_text, staged_folder, write_bundle
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.models.checkpoint import Checkpoint, load_checkpoint
from edgeseg.runtime.bundle import Bundle

SIZE_HW = (64, 96)


def fill(folder: Path, text: str) -> None:
    (folder / "bundle.json").write_text(text)


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    with staged_folder(target, force=False) as folder:
        fill(folder, "new")
        assert not target.exists()
    assert (target / "bundle.json").read_text() == "new"
    assert os.listdir(target.parent) == ["bundle"]


def test_of_two_at_once_the_second_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with staged_folder(target, force=False) as folder:
        fill(folder, "first")
        before = sorted(os.listdir(tmp_path))
        for force in (False, True):
            with (
                pytest.raises(OutputError, match=r"bundle is being written by another process \(PID \d+\)"),
                staged_folder(target, force=force),
            ):
                raise AssertionError("two make it")
        assert sorted(os.listdir(tmp_path)) == before
    assert (target / "bundle.json").read_text() == "first"
    assert os.listdir(tmp_path) == ["bundle"]


def test_what_another_has_made_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not there when it was looked for, and is once the claim is had."""

    @contextmanager
    def late(path: Path) -> Iterator[None]:
        path.mkdir()
        fill(path, "first")
        yield

    monkeypatch.setattr(bundle_writer, "claimed", late)
    with (
        pytest.raises(OutputError, match="exists; give --force to replace it"),
        staged_folder(tmp_path / "bundle", force=False),
    ):
        raise AssertionError("two make it")
    assert (tmp_path / "bundle" / "bundle.json").read_text() == "first"


def fill_half(target: Path, error: BaseException) -> None:
    with staged_folder(target, force=False) as folder:
        fill(folder, "half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), OutputError("no")])
def test_nothing_stays_of_a_block_that_raises(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        fill_half(tmp_path / "bundle", error)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*bundle: the disk is full; nothing was left there"):
        fill_half(tmp_path / "bundle", OSError(errno.ENOSPC, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    with (
        pytest.raises(OutputError, match="exists; give --force to replace it, or another name"),
        staged_folder(tmp_path, force=False),
    ):
        pass
    assert (tmp_path / "bundle.json").read_text() == "old"


def test_force_replaces_a_bundle(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    fill(target, "old")
    (target / "old.onnx").write_text("old")
    with staged_folder(target, force=True) as folder:
        fill(folder, "new")
        assert (target / "bundle.json").read_text() == "old"
    assert os.listdir(target) == ["bundle.json"]
    assert (target / "bundle.json").read_text() == "new"
    assert os.listdir(tmp_path) == ["bundle"]


def test_force_replaces_nothing_but_bundles(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(OutputError, match="holds files and is no bundle; --force replaces bundles only"),
        staged_folder(tmp_path, force=True),
    ):
        pass
    assert (tmp_path / "thesis.txt").exists()


def test_the_old_bundle_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    fill(target, "old")
    real = os.rename

    def rename(source: Path, to: Path) -> None:
        if Path(to) == target and Path(source).parent == tmp_path:
            raise OSError(errno.EACCES, "Permission denied")
        real(source, to)

    monkeypatch.setattr(bundle_writer.os, "rename", rename)
    with (
        pytest.raises(OutputError, match=r"cannot write .*Permission denied"),
        staged_folder(target, force=True) as folder,
    ):
        fill(folder, "new")
    assert (target / "bundle.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("force", [False, True])
def test_a_parent_that_is_a_file(tmp_path: Path, force: bool) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"cannot write .*(File exists|Not a directory)"),
        staged_folder(tmp_path / "file" / "bundle", force=force),
    ):
        pass


def test_a_bundle_reads_back(bundle: Bundle, checkpoint: Checkpoint) -> None:
    assert bundle.name == "unet"
    assert bundle.labels == checkpoint.info.labels
    assert bundle.input_size_hw == bundle.output_size_hw == (64, 96)
    assert bundle.architecture == {"name": "unet", "arguments": {"width": 8, "depth": 2}}
    assert list(bundle.variants) == ["fp32", "fp16"]
    assert bundle.default_variant == "fp32"
    stored = load_checkpoint(bundle.checkpoint_path)
    assert stored.info == checkpoint.info
    assert all((stored.state[key] == value).all() for key, value in checkpoint.state.items())


def test_weights_that_were_stored_in_float16_are_again(checkpoint: Checkpoint, tmp_path: Path) -> None:
    network = checkpoint.build()
    for precision in ("full", "half"):
        if precision == "half":
            network = network.half().float()
        (tmp_path / precision).mkdir()
        variants = variant_graphs(export_graph(network, checkpoint.info, SIZE_HW), ("fp32",))
        write_bundle(
            tmp_path / precision, network, checkpoint.info, variants, weights_name="x", size_hw=SIZE_HW
        )
    full, half = (Bundle.load(tmp_path / name).checkpoint_path.stat().st_size for name in ("full", "half"))
    assert half < 0.6 * full


def test_a_verification_is_part_of_the_bundle(checkpoint: Checkpoint, tmp_path: Path) -> None:
    network = checkpoint.build()
    variants = variant_graphs(export_graph(network, checkpoint.info, SIZE_HW), ("fp32",))
    write_bundle(tmp_path, network, checkpoint.info, variants, weights_name="x", size_hw=SIZE_HW)
    measured = {
        "passed": True,
        "frames": 3,
        "pixel_agreement": 1.0,
        "real_disagreement": 0.0,
        "worst_class_drop": 0.0,
        "max_logit_error": 1e-6,
    }
    add_verification(tmp_path, {"passed": True}, {"fp32": measured})
    found = Bundle.load(tmp_path)
    assert found.variant("fp32").parity == measured
    assert found.manifest["verification"]["file"] == "verification.json"


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        json_text({"value": float("nan")})
