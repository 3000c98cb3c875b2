"""Weights that others wrote: read without running anything, found by their names, and used where they fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from edgeseg.core.errors import CheckpointError
from edgeseg.core.labels import LabelMap
from edgeseg.models import registry
from edgeseg.models.foreign import Weights, read_weights
from edgeseg.models.pretrained import resolve_weights
from edgeseg.models.starting import Started, start_from, whole_state
from safetensors.torch import save_file
from torch import Tensor

THIN = {"width": 2, "depth": 1}
NAMES = ("ground", "road", "car")
State = dict[str, Tensor]


def fresh(name: str, options: dict[str, object], count: int = 3, seed: int = 0) -> State:
    torch.manual_seed(seed)
    return registry.build(name, count, options).state_dict()


def started(name: str, options: dict[str, object], weights: Weights, classes: tuple[str, ...] = NAMES):
    torch.manual_seed(1)
    network = registry.build(name, len(classes), options)
    return network, start_from(network, name, options, classes, weights)


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class TestFiles:
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda state: state,
            lambda state: {"state_dict": state, "epoch": 3},
            lambda state: {"model": state},
            lambda state: {"state_dict": {"model": state}},
        ],
        ids=["bare", "state_dict", "model", "both"],
    )
    @pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
    def test_a_state_dict_is_found(
        self, tmp_path: Path, wrap: Callable[[State], object], suffix: str
    ) -> None:
        state = fresh("unet", THIN)
        path = tmp_path / f"theirs{suffix}"
        torch.save(wrap(state), path)
        assert same(dict(read_weights(path).state), state)

    def test_safetensors_without_a_description(self, tmp_path: Path) -> None:
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in fresh("unet", THIN).items()
        }
        save_file(state, tmp_path / "theirs.safetensors")
        read = read_weights(tmp_path / "theirs.safetensors")
        assert read.info is None
        assert read.classes is None
        assert {value.dtype for value in read.state.values()} == {torch.float32, torch.int64}

    @pytest.mark.parametrize("length", [0x80, 0x280])
    def test_a_description_as_long_as_a_pickle_s_first_bytes(self, tmp_path: Path, length: int) -> None:
        path = tmp_path / "theirs.safetensors"
        save_file({"a": torch.zeros(1)}, path, {"k": ""})
        filling = length - int.from_bytes(path.read_bytes()[:8], "little")
        save_file({"a": torch.zeros(1)}, path, {"k": "x" * filling})
        assert path.read_bytes()[:8] == length.to_bytes(8, "little")
        assert set(read_weights(path).state) == {"a"}

    def test_mmsegmentation_names_its_classes(self, tmp_path: Path) -> None:
        torch.save(
            {"state_dict": fresh("unet", THIN), "meta": {"dataset_meta": {"classes": NAMES}}},
            tmp_path / "a.pth",
        )
        torch.save({"state_dict": fresh("unet", THIN), "meta": {"CLASSES": list(NAMES)}}, tmp_path / "b.pth")
        assert read_weights(tmp_path / "a.pth").classes == NAMES
        assert read_weights(tmp_path / "b.pth").classes == NAMES

    def test_nothing_in_a_pickle_runs(self, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> object:
                return os.mkdir, (str(tmp_path / "sprung"),)

        torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Trap()}, tmp_path / "trap.pth")
        with pytest.raises(
            CheckpointError, match=r"holds more than tensors, which could run code.*mkdir"
        ) as caught:
            read_weights(tmp_path / "trap.pth")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "sprung").exists()

    def test_an_older_pytorch_is_refused_with_the_line_that_converts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "theirs.pth"
        torch.save(fresh("unet", THIN), path)
        monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
        with pytest.raises(
            CheckpointError, match=r"install torch>=2\.10, or convert it .*save_file.*theirs\.safetensors"
        ):
            read_weights(path)
        monkeypatch.setattr(torch, "__version__", "2.10.0+cpu")
        read_weights(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"PK\x03\x04 half a file", "is damaged or no file of weights"),
            (b"\x80\x02 half a file", "is damaged or no file of weights|holds more than tensors"),
            (b"", "is damaged or no file of weights"),
        ],
    )
    def test_a_damaged_file(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "theirs.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as caught:
            read_weights(tmp_path / "theirs.pth")
        assert "\n" not in str(caught.value)

    def test_a_file_without_tensors(self, tmp_path: Path) -> None:
        torch.save({"epoch": 3}, tmp_path / "theirs.pth")
        with pytest.raises(CheckpointError, match="holds no tensors by name; expected a state dict"):
            read_weights(tmp_path / "theirs.pth")

    def test_a_known_file_whose_bytes_are_others(self, tmp_path: Path) -> None:
        torch.save(fresh("unet", THIN), tmp_path / "theirs.pth")
        with pytest.raises(CheckpointError, match="its bytes are not the published ones"):
            read_weights(tmp_path / "theirs.pth", "0" * 64)


class TestNames:
    @pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "network."])
    def test_prefixes_of_training_frameworks(self, prefix: str) -> None:
        state = {f"{prefix}{key}": value for key, value in fresh("unet", THIN).items()}
        network, told = started(
            "unet", THIN, Weights({**state, "ema.count": torch.zeros(1)}, "theirs", NAMES)
        )
        assert same(network.state_dict(), fresh("unet", THIN))
        assert told.skipped == ("ema.count",)
        assert told.fresh == ()

    @pytest.mark.parametrize(
        ("name", "options", "theirs"),
        [
            # segmentation_models.pytorch
            ("lraspp", {}, {"encoder.model.conv_stem.weight": "backbone.0.0.weight",
                            "encoder.model.blocks.0.0.conv_pw.weight": "backbone.1.block.1.0.weight",
                            "encoder.model.blocks.1.1.bn3.running_mean": "backbone.3.block.2.1.running_mean",
                            "encoder.model.blocks.2.0.se.conv_reduce.bias": "backbone.4.block.2.fc1.bias",
                            "encoder.model.blocks.6.0.conv.weight": "backbone.16.0.weight"}),
            ("lraspp", {"backbone": "efficientnet_lite0"}, {
                            "encoder.conv_stem.weight": "backbone.conv_stem.weight",
                            "encoder.bn1.bias": "backbone.bn0.bias",
                            "encoder.blocks.0.0.conv_pw.weight": "backbone.blocks.0.project_conv.weight",
                            "encoder.blocks.4.2.conv_pwl.weight": "backbone.blocks.10.project_conv.weight"}),
            ("deeplabv3", {"backbone": "resnet50"}, {
                            "encoder.layer1.0.conv1.weight": "backbone.layer1.0.conv1.weight",
                            "decoder.aspp.convs.4.1.weight": "classifier.0.convs.4.1.weight",
                            "decoder.conv.weight": "classifier.1.weight",
                            "decoder.bn.running_var": "classifier.2.running_var",
                            "segmentation_head.0.bias": "classifier.4.bias"}),
            ("fcn8s", {"width": 4}, {"encoder.features.0.weight": "trunk.features.0.weight"}),
            ("segnet", {"width": 4}, {"encoder.features.1.bias": "features.1.bias"}),
            # mmsegmentation
            ("fcn_resnet50", {}, {"backbone.conv1.weight": "backbone.conv1.weight",
                                  "decode_head.convs.0.conv.weight": "classifier.0.weight",
                                  "decode_head.convs.0.bn.running_var": "classifier.1.running_var",
                                  "decode_head.conv_seg.weight": "classifier.4.weight",
                                  "auxiliary_head.convs.0.conv.weight": "aux_classifier.0.weight"}),
            ("fcn_resnet18", {}, {"backbone.layer2.0.downsample.0.weight": "trunk.5.0.downsample.0.weight"}),
            ("lraspp", {}, {"backbone.layer0.conv.weight": "backbone.0.0.weight",
                            "backbone.layer4.expand_conv.bn.weight": "backbone.4.block.0.1.weight",
                            "backbone.layer4.depthwise_conv.conv.weight": "backbone.4.block.1.0.weight",
                            "backbone.layer4.se.conv2.conv.weight": "backbone.4.block.2.fc2.weight",
                            "backbone.layer4.linear_conv.bn.running_var": "backbone.4.block.3.1.running_var",
                            "backbone.layer16.bn.weight": "backbone.16.1.weight"}),
            # torchvision's classifiers
            ("lraspp", {}, {"features.12.block.3.0.weight": "backbone.12.block.3.0.weight"}),
            ("fcn_resnet18", {}, {"conv1.weight": "trunk.0.weight", "bn1.bias": "trunk.1.bias"}),
            ("fcn32s", {"width": 4, "backbone": "googlenet"}, {
                            "conv1.conv.weight": "trunk.conv1.conv.weight",
                            "inception3a.branch2.0.bn.running_var": "trunk.inception3a.branch2.0.bn.running_var"}),
            ("segnet", {"width": 4}, {"features.0.weight": "features.0.weight",
                                      "features.41.running_mean": "features.41.running_mean"}),
            ("fcn32s", {"width": 4}, {"classifier.0.bias": "trunk.fc6.bias", "classifier.3.bias": "trunk.fc7.bias"}),
        ],
    )  # fmt: skip
    def test_others_names_for_the_same_layers(
        self, name: str, options: dict[str, object], theirs: dict[str, str]
    ) -> None:
        from edgeseg.models.starting import _best_reading, _slots

        with torch.device("meta"):
            network = registry.build(name, 3, options)
        own = network.state_dict()
        state = {key: torch.empty(own[ours].shape, device="meta") for key, ours in theirs.items()}
        assert _best_reading(_slots(network, name, options), state) == theirs

    def test_linear_layers_become_convolutions(self) -> None:
        state = fresh("fcn32s", {"width": 1})
        theirs = {
            key.replace("trunk.features", "features"): value
            for key, value in state.items()
            if ".features." in key
        }
        for own, number in (("fc6", 0), ("fc7", 3)):
            theirs[f"classifier.{number}.weight"] = state[f"trunk.{own}.weight"].flatten(1)
            theirs[f"classifier.{number}.bias"] = state[f"trunk.{own}.bias"]
        network, told = started("fcn32s", {"width": 1}, Weights(theirs, "theirs"))
        assert torch.equal(network.state_dict()["trunk.fc6.weight"], state["trunk.fc6.weight"])
        assert told.fresh == ("score.weight", "score.bias")

    def test_next_to_nothing_is_refused(self) -> None:
        state = {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(3)}
        with pytest.raises(
            CheckpointError,
            match=r"theirs does not fit fcn_resnet18: of the trunk's 20 kernels it has 1; trunk\.4\.0",
        ):
            started("fcn_resnet18", {}, Weights(state, "theirs"))


class TestClasses:
    def test_rows_go_by_name(self) -> None:
        state = fresh("unet", THIN, 3)
        network, told = started("unet", THIN, Weights(state, "theirs", ("Car", "sky", "road")))
        new = network.state_dict()
        assert torch.equal(new["score.weight"][1:], state["score.weight"][[2, 0]])
        assert not torch.equal(new["score.weight"][0], state["score.weight"][0])
        assert told.classes == ("road", "car")
        assert told.new_classes == ("ground",)
        assert "classes taken over by name: road, car; fresh: ground" in str(told)

    def test_as_many_classes_without_names_are_not_the_same(self) -> None:
        state = fresh("unet", THIN, 3)
        network, told = started("unet", THIN, Weights(state, "theirs"))
        assert told.fresh == ("score.weight", "score.bias")
        assert not torch.equal(network.state_dict()["score.weight"], state["score.weight"])
        assert "the head's classes start afresh, because the file does not name its own" in str(told)

    def test_a_kernel_from_each_class_to_each(self) -> None:
        options = {"learn_upsampling": True}
        state = fresh("fcn_resnet18", options, 3)
        state["upsampling.weight"] = torch.randn_like(state["upsampling.weight"])
        network, _ = started("fcn_resnet18", options, Weights(state, "theirs", ("car", "road", "sky")))
        got = network.state_dict()["upsampling.weight"]
        assert torch.equal(got[1:, 1:], state["upsampling.weight"][[1, 0]][:, [1, 0]])

    def test_a_stage_starts_from_the_one_before(self, tmp_path: Path) -> None:
        info = resolve_weights("fcn32s", "random", 3, {"width": 1}).info
        state = fresh("fcn32s", {"width": 1})
        weights = Weights(state, "theirs", info.labels.names, info)
        network, told = started("fcn16s", {"width": 1}, weights, info.labels.names)
        new = network.state_dict()
        assert torch.equal(new["score.weight"], state["score.weight"])
        assert not new["skip_scores.0.weight"].any()
        assert [key for key in told.fresh if not key.startswith("skip_")] == []


class TestWhole:
    LABELS = LabelMap.from_pairs([("ground", (0, 0, 0)), ("road", (1, 1, 1)), ("car", (2, 2, 2))])

    def test_it_becomes_a_checkpoint(self, tmp_path: Path) -> None:
        state = fresh("unet", THIN)
        torch.save(
            {"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "theirs.pth"
        )
        path = str(tmp_path / "theirs.pth")
        checkpoint = resolve_weights("unet", path, arguments=THIN, labels=self.LABELS)
        assert same(checkpoint.build().state_dict(), state)
        assert checkpoint.info.labels == self.LABELS

    def test_a_missing_tensor_is_named(self) -> None:
        state = fresh("unet", THIN)
        del state["score.weight"]
        with torch.device("meta"):
            network = registry.build("unet", 3, THIN)
        with pytest.raises(
            CheckpointError,
            match=r"is not a whole unet of 3 classes: 1 of \d+ tensors are missing \(score\.weight \[3",
        ):
            whole_state(network, "unet", THIN, Weights(state, "theirs"))

    def test_without_labels_the_message_asks_for_them(self, tmp_path: Path) -> None:
        torch.save(fresh("unet", THIN), tmp_path / "theirs.pth")
        with pytest.raises(CheckpointError, match=r"does not say which classes.*add --labels labelmap\.txt"):
            resolve_weights("unet", str(tmp_path / "theirs.pth"), arguments=THIN)

    @pytest.mark.parametrize("name", ["random", "aerial"])
    def test_weights_that_name_their_classes_take_none(self, name: str) -> None:
        with pytest.raises(CheckpointError, match="have their own classes; leave --labels out"):
            resolve_weights("lraspp", name, labels=self.LABELS)


def test_what_is_told_is_short() -> None:
    told = Started(("a",), tuple("bcdefg"), (), NAMES, ())
    assert str(told) == "1 of 7 tensors loaded; fresh tensors: b, c, d, e and 2 more"
