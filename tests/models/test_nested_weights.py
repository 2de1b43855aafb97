import json

import pytest
import torch
from safetensors.torch import save_file

from edudiff.models import nested_weights
from edudiff.models.nested_unet import NestedUNet


def copy_of(model):
    return nested_weights.build(nested_weights.configuration(model))


def test_a_network_is_built_again_from_its_configuration(three):
    written = json.loads(json.dumps(nested_weights.configuration(three)))
    again = nested_weights.build(written)
    shapes = [{n: w.shape for n, w in m.state_dict().items()} for m in (again, three)]
    assert shapes[0] == shapes[1]
    assert [doll.scale for doll in nested_weights.dolls(again)] == [32, 16, 8]
    assert again.inner_unet.normalize_input and not again.normalize_input


def test_weights_come_back_from_a_file(three, words, t, tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(three.state_dict(), file)
    again = copy_of(three)
    nested_weights.load(again, file)
    xs = [torch.randn(2, 3, side, side) for side in (16, 8, 4)]
    pairs = zip(again(xs, t, words), three(xs, t, words), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_weights_of_a_smaller_nesting_are_refused_by_naming_the_missing_levels(three, refusal):
    missing = r"missing level 0 \(32 pixels\), level 1 \(16 pixels\); to grow from these weights"
    with refusal(f"expected a nesting of 3 resolutions, got one of 1: {missing}"):
        nested_weights.load_state(three, three.inner_unet.inner_unet.state_dict())
    with refusal(r"got one of 2: missing level 0 \(32 pixels\); .* load model.inner_unet"):
        nested_weights.load_state(three, three.inner_unet.state_dict())


def test_weights_of_four_resolutions_come_back_and_missing_ones_are_named(
    three, words, t, tmp_path, refusal
):
    four = NestedUNet(three, block_out_channels=(4, 4, 8), scale=128)
    torch.nn.init.normal_(four.conv_out.weight)
    save_file(four.state_dict(), tmp_path / "model.safetensors")
    again = copy_of(four)
    nested_weights.load(again, tmp_path / "model.safetensors")
    assert again.ratios == (16, 4, 2, 1)
    xs = [torch.randn(2, 3, side, side) for side in (64, 16, 8, 4)]
    pairs = zip(again(xs, t, words), four(xs, t, words), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    missing = r"missing level 0 \(128 pixels\), level 1 \(32 pixels\);"
    with refusal(f"a nesting of 4 resolutions, got one of 2: {missing} .* model.inner_unet.inner"):
        nested_weights.load_state(four, three.inner_unet.state_dict())
    with refusal("a nesting of 3 resolutions, got one of 4: this network has no 1 outer levels"):
        nested_weights.load_state(three, four.state_dict())


def test_what_the_message_advises_works(three):
    again = copy_of(three)
    nested_weights.load_state(again.inner_unet, three.inner_unet.state_dict())
    own, given = again.inner_unet.state_dict(), three.inner_unet.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in given)


def test_weights_of_a_larger_nesting_are_refused(three, refusal):
    with refusal("expected a nesting of 2 resolutions, got one of 3: .* no 1 outer levels of it"):
        nested_weights.load_state(three.inner_unet, three.state_dict())


def test_no_weights_at_all_are_refused(three, refusal):
    with refusal("expected a nesting of 3 resolutions, got one of 0"):
        nested_weights.load_state(three, {})


def test_weights_of_other_widths_are_refused_by_naming_one(three, refusal):
    wider = NestedUNet(three.inner_unet, block_out_channels=(8, 8), scale=32)
    with refusal(r"weights: expected conv_in.bias of shape \(4,\), got of shape \(8,\)"):
        nested_weights.load_state(three, wider.state_dict())


def test_one_missing_weight_is_refused(three, refusal):
    state = three.state_dict()
    del state["conv_out.bias"]
    with refusal(r"weights: expected conv_out.bias of shape \(3,\), got nowhere; 1 of"):
        nested_weights.load_state(three, state)


def test_a_file_that_is_not_safetensors_is_refused_with_a_way_out(three, tmp_path, refusal):
    file = tmp_path / "vis_model.pth"
    torch.save(three.state_dict(), file)
    with refusal("path: expected a safetensors file .*pickled.convert"):
        nested_weights.load(three, file)


def test_no_options_are_refused(refusal):
    with refusal("options: expected those of at least one network, got none"):
        nested_weights.build([])


@pytest.mark.parametrize("name", ["three", "solid"])
def test_dolls_are_listed_from_the_outermost(name, request):
    model = request.getfixturevalue(name)
    assert nested_weights.dolls(model)[0] is model
