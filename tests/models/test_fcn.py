"""FCN-32s, -16s and -8s: classifiers made convolutional, staged fine-tuning, the sizes they take."""

from __future__ import annotations

import pytest
import torch
from edgeseg.core.errors import CheckpointError, ModelError
from edgeseg.models import registry
from edgeseg.models.fcn import FCN, load_previous_stage
from edgeseg.models.fcn_trunks import convolutionalize
from edgeseg.models.upsampling import crop_to
from torch import Tensor, nn
from torchvision.models import AlexNet, alexnet, vgg16
from torchvision.models.vgg import VGG

CLASSES = 4


def build(name: str, **options: object) -> FCN:
    network = registry.build(name, CLASSES, options)
    assert isinstance(network, FCN)
    return network.eval()


def image(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(3))


class TestConvolutionalClassifier:
    """A classifier's own 1000 logits come out of the network built from it."""

    @pytest.mark.parametrize(("name", "classifier_of"), [("vgg16", vgg16), ("alexnet", alexnet)])
    @torch.no_grad()
    def test_gives_the_classifier_s_own_logits_on_224(self, name: str, classifier_of: type) -> None:
        torch.manual_seed(0)
        with torch.device("meta"):
            classifier = classifier_of(weights=None)
            network = build("fcn32s", backbone=name)
        classifier = _with_random_weights(classifier).eval()
        network.trunk.to_empty(
            device="cpu"
        )  # a full VGG-16: drawing weights only to replace them takes seconds
        network.trunk.load_classifier(classifier)
        network.score = convolutionalize(classifier.classifier[6], 1)
        x = image(224, 224)
        expected = classifier(x)
        assert expected.shape == (1, 1000)
        assert expected.std() > 0.1
        tolerance = {
            "rtol": 1e-4,
            "atol": 1e-4 * float(expected.abs().max()),
        }  # sums of 25,088 float32 products

        # As the network is, fc6 padded: the middle cell sees the whole 7 x 7 map, as the linear layer did.
        same = network.coarse(x)
        assert same.shape == (1, 1000, 7, 7)
        torch.testing.assert_close(same[:, :, 3, 3], expected, **tolerance)

        # Without padding only that cell is left.
        network.trunk.fc6.padding = (0, 0)
        valid = network.score(network.trunk(x)[-1])
        assert valid.shape == (1, 1000, 1, 1)
        torch.testing.assert_close(valid[:, :, 0, 0], expected, **tolerance)

    def test_a_linear_layer_and_its_convolution_agree(self) -> None:
        torch.manual_seed(0)
        linear = nn.Linear(6 * 3 * 3, 5)
        x = torch.randn(2, 6, 3, 3)
        got = convolutionalize(linear, 3)(x)[:, :, 0, 0]
        torch.testing.assert_close(got, linear(x.flatten(1)))

    def test_a_kernel_that_does_not_divide_the_inputs_is_refused(self) -> None:
        with pytest.raises(ModelError, match="a linear layer of 10 inputs does not read maps of 3x3"):
            convolutionalize(nn.Linear(10, 2), 3)

    def test_a_classifier_of_another_kind_is_refused(self) -> None:
        with pytest.raises(ModelError, match="this classifier does not fit the network's trunk"):
            build("fcn32s", width=4).trunk.load_classifier(nn.Sequential(nn.Linear(4, 4)))


class TestStages:
    """32s -> 16s -> 8s: each starts as the one before, only finer."""

    @pytest.mark.parametrize(("earlier", "later"), [("fcn32s", "fcn16s"), ("fcn16s", "fcn8s")])
    @pytest.mark.parametrize("size_hw", [(96, 64), (97, 131)])
    @torch.no_grad()
    def test_a_stage_starts_with_the_predictions_of_the_previous_one(
        self, earlier: str, later: str, size_hw: tuple[int, int]
    ) -> None:
        torch.manual_seed(0)
        before, after = build(earlier, width=4), build(later, width=4)
        load_previous_stage(after, before.state_dict())
        x = image(*size_hw)
        got = after.coarse(x)
        finer = after.skip_upsamplings[-1](before.coarse(x))  # still bilinear: nothing is trained yet
        torch.testing.assert_close(got, crop_to(finer, (got.shape[-2], got.shape[-1])))

    def test_only_the_new_head_starts_at_zero(self) -> None:
        torch.manual_seed(0)
        before, after = build("fcn16s", width=4), build("fcn8s", width=4)
        load_previous_stage(after, before.state_dict())
        assert not after.skip_scores[1].weight.any()
        torch.testing.assert_close(after.skip_scores[0].weight, before.skip_scores[0].weight)

    def test_the_first_stage_has_no_previous_one(self) -> None:
        with pytest.raises(ModelError, match="FCN-32s has no previous stage"):
            load_previous_stage(build("fcn32s", width=4), {})

    def test_skipping_a_stage_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match=r"the FCN-16s state does not fit the network: .* missing"):
            load_previous_stage(build("fcn8s", width=4), build("fcn32s", width=4).state_dict())

    def test_a_state_of_the_same_stage_is_refused(self) -> None:
        state = build("fcn16s", width=4).state_dict()
        with pytest.raises(CheckpointError, match="has the skips of FCN-16s already; expected FCN-32s's"):
            load_previous_stage(build("fcn16s", width=4), state)


class TestSizes:
    @pytest.mark.parametrize(
        ("name", "stride", "nearest"),
        [("fcn32s", 32, "352x480 or 384x512"), ("fcn16s", 16, "352x480 or 368x496")],
    )
    def test_deployment_needs_multiples_of_the_stride(self, name: str, stride: int, nearest: str) -> None:
        network = build(name, width=1)
        network.check_input_size((512, 480))
        with pytest.raises(
            ModelError, match=f"at 360x480: both sides must be multiples of {stride}; use {nearest}"
        ):
            network.check_input_size((360, 480))

    def test_fcn8s_can_be_deployed_at_360x480(self) -> None:
        build("fcn8s", width=1).check_input_size((360, 480))

    @pytest.mark.parametrize("name", ["fcn32s", "fcn8s"])
    @pytest.mark.parametrize("size_hw", [(1, 1), (33, 7), (50, 224)])
    @torch.no_grad()
    def test_small_images_go_through(self, name: str, size_hw: tuple[int, int]) -> None:
        assert build(name, width=1)(image(*size_hw)).shape == (1, CLASSES, *size_hw)

    @pytest.mark.parametrize("backbone", ["alexnet", "googlenet"])
    @pytest.mark.parametrize("size_hw", [(1, 1), (9, 40)])
    @torch.no_grad()
    def test_small_images_go_through_other_trunks(self, backbone: str, size_hw: tuple[int, int]) -> None:
        assert build("fcn32s", width=1, backbone=backbone)(image(*size_hw)).shape == (1, CLASSES, *size_hw)


class TestOptions:
    @pytest.mark.parametrize(("backbone", "title"), [("alexnet", "AlexNet"), ("googlenet", "GoogLeNet")])
    def test_trunks_without_skips_are_for_32s_alone(self, backbone: str, title: str) -> None:
        with pytest.raises(
            ModelError, match=f"fcn8s has no {title} form: use backbone vgg16, or the network fcn32s"
        ):
            build("fcn8s", backbone=backbone)

    def test_an_unknown_backbone_lists_the_known(self) -> None:
        with pytest.raises(ModelError, match="backbone 'resnet'; expected one of vgg16, alexnet, googlenet"):
            build("fcn32s", backbone="resnet")

    @pytest.mark.parametrize("width", [0, -1, 1.5, "64", True])
    def test_a_width_that_is_no_count_is_refused(self, width: object) -> None:
        with pytest.raises(
            ModelError, match=r"fcn32s was given width .*; expected a whole number of at least 1"
        ):
            build("fcn32s", width=width)


def _with_random_weights(classifier: VGG | AlexNet) -> VGG | AlexNet:
    """Fills a classifier on the meta device with weights of even variance, cheaply: uniform, from one small block."""
    classifier.to_empty(device="cpu")
    block = torch.empty(1 << 20).uniform_(-1, 1)
    for parameter in classifier.parameters():
        flat = parameter.data.view(-1)
        scale = (6 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
        for start in range(0, flat.numel(), block.numel()):
            part = flat[start : start + block.numel()]
            part.copy_(block[: part.numel()]).mul_(scale)
    return classifier
