"""``edgeseg models``."""

from __future__ import annotations

import json

import pytest
from edgeseg.cli.main import main
from edgeseg.models import registry


def test_the_table_names_every_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in registry.names())
    assert "one 512x512 image with 21 classes, a multiply-add counted as two" in printed


def test_json_holds_what_is_known_of_the_papers_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json", "--size", "520x520"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["networks"]}
    # torchvision documents 2.086, 152.717 and 10.452 GMACs at 520x520, auxiliary head included. Deployment has none;
    # FCN's is a convolution from 1024 to 256 channels at 65x65.
    aux = 65 * 65 * 9 * 1024 * 256 / 1e9
    assert rows["lraspp"]["parameters"] == 3_221_538
    assert rows["fcn_resnet50"]["parameters"] == 35_322_218
    assert rows["deeplabv3"]["parameters"] == 11_029_328
    for name, gmacs in (("lraspp", 2.086), ("fcn_resnet50", 152.717 - aux), ("deeplabv3", 10.452)):
        assert rows[name]["gflops"] == pytest.approx(2 * gmacs, rel=0.02)
    assert rows["lraspp"]["weights"][-2:] == ["voc", "random"]
    assert rows["unet"]["stride"] == 1


def test_a_size_a_network_cannot_take_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json", "--size", "360x480"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["networks"]}
    assert rows["fcn32s"]["gflops"] is None
    assert "use 352x480 or 384x512" in rows["fcn32s"]["refusal"]
    assert rows["fcn8s"]["gflops"] > 100


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--size", "big"], "'big' is not a size; expected HEIGHTxWIDTH in pixels"),
        (["--classes", "0"], "--classes 0: expected 1 to 255"),
    ],
)
def test_bad_values_exit_2_with_one_line(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert main(["models", *argv]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
