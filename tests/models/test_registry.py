"""The registry: what it lists, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest
from edgeseg.core.errors import ModelError
from edgeseg.models import registry


def test_the_networks_are_listed_in_order() -> None:
    assert registry.names() == (
        "lraspp",
        "fcn32s",
        "fcn16s",
        "fcn8s",
        "fcn_resnet18",
        "fcn_resnet50",
        "unet",
        "segnet",
        "deeplabv3",
    )


def test_an_unknown_name_is_answered_with_the_known() -> None:
    with pytest.raises(ModelError, match="unknown network 'segformer'; known: lraspp, fcn32s, "):
        registry.build("segformer", 2)


def test_an_unknown_option_is_answered_with_the_known() -> None:
    with pytest.raises(ModelError, match="fcn32s has no option depth; it has backbone, width"):
        registry.build("fcn32s", 2, {"depth": 3})


@pytest.mark.parametrize("count", [0, -1, 256])
def test_a_class_count_outside_a_byte_is_refused(count: int) -> None:
    with pytest.raises(ModelError, match=f"lraspp was asked for {count} classes; expected 1 to 255"):
        registry.build("lraspp", count)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ModelError, match=r"'unet' is registered already, as edgeseg\.models\.unet:UNet"):
        registry.register("unet", registry.spec("lraspp"))


def test_options_come_with_their_defaults() -> None:
    assert registry.options("deeplabv3") == {"backbone": "mobilenet_v3_large", "aux": True}


def test_an_option_of_another_type_is_refused() -> None:
    with pytest.raises(ModelError, match="lraspp was given inter_channels 'wide'; expected a whole number"):
        registry.build("lraspp", 2, {"inter_channels": "wide"})


def test_listing_the_networks_imports_none_of_them() -> None:
    code = (
        "import sys; from edgeseg.models import registry; registry.names(); "
        "print([name for name in sys.modules if name.startswith(('torchvision', 'edgeseg.models.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['edgeseg.models.base', 'edgeseg.models.registry']"
