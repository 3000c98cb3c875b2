"""Weights by name: random ones are of use, official ones fit, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from edgeseg.core.errors import CheckpointError, ModelError
from edgeseg.core.labels import LabelMap, voc_labels
from edgeseg.models import official, pretrained, registry
from edgeseg.models.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from edgeseg.models.initialisation import cloud_images
from edgeseg.models.pretrained import available_weights, default_weights, resolve_weights, shipped_path
from torchvision.models import get_model_weights

THIN = {"width": 2}


class TestRandom:
    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("lraspp", {}),
            ("fcn8s", {"width": 8}),
            ("fcn_resnet18", {}),
            ("unet", {"width": 8}),
            ("unet", {"width": 8, "batch_norm": False}),
            ("deeplabv3", {}),
        ],
    )
    @torch.no_grad()
    def test_logits_depend_on_the_image_and_fit_float16(
        self, name: str, arguments: dict[str, object]
    ) -> None:
        network = resolve_weights(name, "random", arguments=arguments).build()
        largest = 0.0

        def note(module: torch.nn.Module, inputs: object, output: object) -> None:
            nonlocal largest
            if isinstance(output, torch.Tensor):
                largest = max(largest, float(output.abs().max()))

        for layer in network.modules():
            layer.register_forward_hook(note)
        logits = network.coarse(cloud_images(1, (256, 256), torch.Generator().manual_seed(9)))
        assert len(logits.argmax(1).unique()) >= 4
        assert float(logits.std()) > 0.1
        assert largest < 65504 / 64  # float16's largest number, with room for sharper images than these

    def test_the_same_seed_gives_the_same_weights(self) -> None:
        torch.manual_seed(1)
        first = resolve_weights("unet", "random", arguments=THIN)
        torch.manual_seed(2)
        again = resolve_weights("unet", "random", arguments=THIN)
        other = resolve_weights("unet", "random", arguments=THIN, seed=1)
        assert all(torch.equal(first.state[key], again.state[key]) for key in first.state)
        assert not torch.equal(first.state["score.weight"], other.state["score.weight"])

    def test_the_caller_s_random_numbers_are_left_alone(self) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        resolve_weights("unet", "random", arguments=THIN)
        assert torch.equal(torch.rand(3), expected)

    def test_21_classes_are_voc_s_and_others_are_numbered(self) -> None:
        assert resolve_weights("unet", "random", arguments=THIN).info.labels == voc_labels()
        assert resolve_weights("unet", "random", 3, THIN).info.labels == LabelMap.generic(3)

    def test_the_input_size_is_one_the_network_takes(self) -> None:
        info = resolve_weights("unet", "random", 2, {"padding": "valid", **THIN}).info
        assert info.input_size_hw == (524, 524)


class TestFiles:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "mine.safetensors"
        info = CheckpointInfo("unet", LabelMap.generic(3), (64, 64), THIN)
        save_checkpoint(path, registry.build("unet", 3, THIN), info)
        return path

    def test_a_path_is_read(self, file: Path) -> None:
        assert resolve_weights("unet", str(file)).info == load_checkpoint(file).info

    def test_options_it_was_built_with_are_accepted(self, file: Path) -> None:
        resolve_weights("unet", str(file), 3, {"width": 2, "depth": 4})

    def test_another_architecture_is_refused(self, file: Path) -> None:
        with pytest.raises(CheckpointError, match="holds weights of unet, not of fcn8s"):
            resolve_weights("fcn8s", str(file))

    def test_another_class_count_is_refused(self, file: Path) -> None:
        with pytest.raises(CheckpointError, match="tell 3 classes apart, not 8; leave the class count out"):
            resolve_weights("unet", str(file), 8)

    def test_another_option_is_refused(self, file: Path) -> None:
        with pytest.raises(
            CheckpointError, match="are of a network with depth 4, not 3; leave that option out"
        ):
            resolve_weights("unet", str(file), arguments={"depth": 3})

    def test_a_missing_file_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match=r"cannot read the checkpoint nowhere\.safetensors"):
            resolve_weights("unet", "nowhere.safetensors")


class TestNames:
    def test_an_unknown_name_lists_the_known(self) -> None:
        with pytest.raises(
            CheckpointError,
            match=r"unknown weights 'moon' for unet; known: random, or the path of a \.safetensors",
        ):
            resolve_weights("unet", "moon")

    def test_an_unknown_architecture_lists_the_known(self) -> None:
        with pytest.raises(ModelError, match="unknown network 'moon'; known: lraspp"):
            resolve_weights("moon", "random")

    def test_shipped_files_are_found_by_their_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pretrained, "_SHIPPED", tmp_path)
        info = CheckpointInfo("unet", LabelMap.generic(3), (64, 64), THIN)
        save_checkpoint(tmp_path / "unet-aerial.safetensors", registry.build("unet", 3, THIN), info)
        assert available_weights("unet") == ("aerial", "random")
        assert available_weights("deeplabv3") == ("voc", "random")
        assert default_weights("unet") == "aerial"
        assert resolve_weights("unet", "aerial").info == info

    def test_without_a_default_the_message_says_what_to_pass(self) -> None:
        with pytest.raises(
            ModelError, match=r"of fcn8s: pass --weights random or --weights FILE\.safetensors"
        ):
            default_weights("fcn8s")


class TestOfficial:
    """torchvision's weights, without fetching them: a file of random ones stands in torch.hub's cache."""

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        (tmp_path / "checkpoints").mkdir()
        return tmp_path / "checkpoints"

    @pytest.mark.parametrize(("aux", "name"), [(True, "deeplabv3"), (False, "deeplabv3"), (None, "lraspp")])
    def test_they_load(self, hub: Path, monkeypatch: pytest.MonkeyPatch, aux: bool | None, name: str) -> None:
        monkeypatch.setattr(official, "_hash_fits_name", lambda path: True)
        builder = pretrained.official_builder(name, {})
        url = get_model_weights(builder).DEFAULT.url
        torch.save(registry.build(name, 21).state_dict(), hub / url.rsplit("/", 1)[-1])
        checkpoint = resolve_weights(name, "voc", arguments={} if aux is None else {"aux": aux})
        checkpoint.build()
        assert checkpoint.info.labels == voc_labels()
        assert checkpoint.info.input_size_hw == (520, 520)
        assert checkpoint.info.recipe["source"] == url
        assert any(key.startswith("aux") for key in checkpoint.state) == bool(aux)

    def test_without_a_connection_the_message_says_what_to_place_where(
        self, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreachable(*args: object, **kwargs: object) -> None:
            raise URLError("no network")

        monkeypatch.setattr("torch.hub.urlopen", unreachable)
        with pytest.raises(
            CheckpointError,
            match=r"cannot download .*lraspp_mobilenet_v3_large-d234d4ea\.pth .*no network.* place it at "
            + str(hub / "lraspp_mobilenet_v3_large-d234d4ea.pth"),
        ):
            resolve_weights("lraspp", "voc")

    def test_a_damaged_file_in_the_cache_is_named(self, hub: Path) -> None:
        damaged = hub / "lraspp_mobilenet_v3_large-d234d4ea.pth"
        damaged.write_bytes(b"half a file")
        with pytest.raises(CheckpointError, match=f"{damaged} are damaged; delete the file and try again"):
            resolve_weights("lraspp", "voc")

    def test_another_class_count_is_refused_before_any_download(self) -> None:
        with pytest.raises(CheckpointError, match="the weights 'voc' tell 21 classes apart, not 8"):
            resolve_weights("lraspp", "voc", 8)

    def test_where_there_are_none_the_message_lists_what_there_is(self) -> None:
        with pytest.raises(CheckpointError, match="no official VOC weights for unet; known: random"):
            resolve_weights("unet", "voc")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("lraspp-camvid", "lraspp-camvid"),
        ("camvid", "lraspp-camvid"),
        ("camvid-mobilenet", "lraspp-camvid-mobilenet"),
        ("mobilenet", None),
        ("", None),
        ("x" * 5000, None),
    ],
)
def test_shipped_weights_are_found_by_their_name(name: str, stem: str | None) -> None:
    path = shipped_path(name)
    assert (None if path is None else path.stem) == stem
