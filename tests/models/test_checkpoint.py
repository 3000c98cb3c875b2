"""Checkpoints: what is written is read again, and every way a file can be wrong is told by its own message."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edgeseg.core.errors import CheckpointError, OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.models import registry
from edgeseg.models.base import SegmentationNetwork
from edgeseg.models.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint, save_tensors
from safetensors import safe_open
from safetensors.torch import save_file

INFO = CheckpointInfo(
    architecture="unet",
    labels=LabelMap.from_pairs([("ground", (1, 2, 3)), ("water", (4, 5, 6))]),
    input_size_hw=(48, 64),
    arguments={"width": 2, "depth": 1},
    recipe={"seed": 3},
    metrics={"val": {"miou": 0.5}},
)


@pytest.fixture
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return registry.build("unet", 2, INFO.arguments).eval()


@pytest.fixture
def file(network: SegmentationNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "unet.safetensors"
    save_checkpoint(path, network, INFO)
    return path


class TestRoundTrip:
    def test_description_and_tensors_come_back(self, file: Path, network: SegmentationNetwork) -> None:
        checkpoint = load_checkpoint(file)
        assert checkpoint.info == INFO
        assert list(checkpoint.state) == sorted(network.state_dict())
        assert all(torch.equal(checkpoint.state[key], value) for key, value in network.state_dict().items())

    def test_what_float16_cannot_hold_stays_float32(
        self, network: SegmentationNetwork, tmp_path: Path
    ) -> None:
        with torch.no_grad():
            network.score.weight[0, 0] = 1e6
        save_checkpoint(tmp_path / "half.safetensors", network, INFO, half=True)
        assert load_checkpoint(tmp_path / "half.safetensors").state["score.weight"][0, 0].item() == 1e6

    def test_half_stores_kernels_in_float16_and_statistics_in_float32(
        self, network: SegmentationNetwork, tmp_path: Path
    ) -> None:
        path = tmp_path / "half.safetensors"
        save_checkpoint(path, network, INFO, half=True)
        with safe_open(path, framework="pt") as stored:
            assert stored.get_tensor("down.0.0.weight").dtype == torch.float16
            assert stored.get_tensor("down.0.1.running_var").dtype == torch.float32
        loaded = load_checkpoint(path).state["down.0.0.weight"]
        assert loaded.dtype == torch.float32
        # float16 keeps 11 bits of mantissa.
        torch.testing.assert_close(loaded, network.state_dict()["down.0.0.weight"], rtol=2**-11, atol=1e-7)

    def test_nothing_but_the_checkpoint_is_left(self, file: Path) -> None:
        assert [entry.name for entry in file.parent.iterdir()] == [file.name]


class TestRefusals:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*: No such file"):
            load_checkpoint(tmp_path / "nowhere.safetensors")

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
    def test_a_truncated_file(self, file: Path, share: float) -> None:
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(CheckpointError, match="is truncated or not a safetensors file"):
            load_checkpoint(file)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_pickle(self, network: SegmentationNetwork, tmp_path: Path, zipped: bool) -> None:
        path = tmp_path / "network.pth"
        torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r"is a pickle, which can run code when read; .*save_file"):
            load_checkpoint(path)

    def test_a_safetensors_file_of_another_program(
        self, network: SegmentationNetwork, tmp_path: Path
    ) -> None:
        path = tmp_path / "foreign.safetensors"
        save_file(dict(network.state_dict()), path)
        with pytest.raises(CheckpointError, match="not a checkpoint of edgeseg: it has no description"):
            load_checkpoint(path)

    def test_a_newer_schema(self, file: Path) -> None:
        _rewrite(file, schema=2)
        with pytest.raises(CheckpointError, match="schema 2, expected 1; update edgeseg"):
            load_checkpoint(file)

    def test_a_malformed_description(self, file: Path) -> None:
        _rewrite(file, labels=None)
        with pytest.raises(CheckpointError, match=r"the description in .* is malformed"):
            load_checkpoint(file)

    def test_tensors_of_another_shape(self, network: SegmentationNetwork, tmp_path: Path) -> None:
        path = tmp_path / "wide.safetensors"
        save_checkpoint(path, network, replace(INFO, arguments={"width": 3, "depth": 1}))
        with pytest.raises(
            CheckpointError, match=r"down.0.0.weight is \[2, 3, 3, 3\] where the network has \[3, 3, 3, 3\]"
        ):
            load_checkpoint(path).build()

    def test_tensors_of_another_depth(self, network: SegmentationNetwork, tmp_path: Path) -> None:
        path = tmp_path / "deep.safetensors"
        save_checkpoint(path, network, replace(INFO, arguments={"width": 2, "depth": 2}))
        with pytest.raises(CheckpointError, match=r"the unet checkpoint does not fit .* tensors are missing"):
            load_checkpoint(path).build()

    def test_a_folder_that_is_not_there(self, network: SegmentationNetwork, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"cannot write .*nowhere"):
            save_checkpoint(tmp_path / "nowhere" / "unet.safetensors", network, INFO)

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(
        self, file: Path, network: SegmentationNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = file.read_bytes()

        def full_disk(tensors: object, path: str, metadata: object) -> None:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("edgeseg.models.checkpoint.save_file", full_disk)
        with pytest.raises(OutputError, match=r"cannot write .*No space left on device"):
            save_checkpoint(file, network, INFO)
        assert file.read_bytes() == before
        assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def _rewrite(path: Path, **changes: object) -> None:
    """Changes fields of the description in a checkpoint."""
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata()
        tensors = {key: stored.get_tensor(key) for key in list(stored.keys())}
    description = {**json.loads(metadata["edgeseg"]), **changes}
    save_tensors(path, tensors, {"edgeseg": json.dumps(description)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", [["void", [1, 2, 3]]]),
        ("labels", [["#grass", [1, 2, 3]]]),
        ("labels", 3),
        ("labels", [[7, [1, 2, 3]]]),
        ("architecture", 3),
        ("arguments", [1]),
        ("mean", [1]),
        ("mean", [1e999, 0, 0]),
        ("std", [0, 0, 0]),
        ("std", ["a", "a", "a"]),
        ("input_size_hw", "ab"),
        ("input_size_hw", [0, 5]),
        ("recipe", None),
        ("metrics", {"val": 3}),
        ("schema", 9),
    ],
)
def test_a_description_of_another_form_is_refused_in_one_line(
    tmp_path: Path, key: str, value: object
) -> None:
    description = {
        "schema": 1, "architecture": "unet", "labels": [["a", [1, 2, 3]]], "input_size_hw": [8, 8], "arguments": {},
        "mean": [0, 0, 0], "std": [1, 1, 1], "recipe": {}, "metrics": {},
    }  # fmt: skip
    path = tmp_path / "odd.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"edgeseg": json.dumps(description)})
    assert load_checkpoint(path).info.architecture == "unet"
    save_file({"x": torch.zeros(1)}, path, {"edgeseg": json.dumps({**description, key: value})})
    with pytest.raises(CheckpointError, match=r"the description in .* is malformed") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
