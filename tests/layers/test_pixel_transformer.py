import math

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention import FeedForward as TheirFeedForward
from diffusers.models.transformers.transformer_2d import Transformer2DModel

from edudiff.layers.pixel_transformer import (
    GEGLU,
    FeedForward,
    PixelTransformer,
    TransformerBlock,
)


def with_weights_of(ours, theirs):
    """Ours with their weights, all of them random, norms and biases too."""
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(theirs.state_dict())
    return ours


def test_shazeer_eq6_a_linear_unit_with_a_gelu_for_a_gate():
    layer, x = GEGLU(3, 2), torch.randn(1, 1, 3)
    y = [row @ x[0, 0] + b for row, b in zip(layer.proj.weight, layer.proj.bias, strict=True)]
    for i in range(2):
        value, gate = y[i], y[2 + i]
        gelu = gate * 0.5 * (1 + math.erf(gate.item() / math.sqrt(2)))
        torch.testing.assert_close(layer(x)[0, 0, i], value * gelu)


def test_the_perceptron_is_that_of_diffusers():
    theirs = TheirFeedForward(6, activation_fn="geglu")
    ours, x = with_weights_of(FeedForward(6), theirs), torch.randn(2, 5, 6)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_a_block_is_that_of_diffusers():
    theirs = BasicTransformerBlock(6, 2, 3, cross_attention_dim=4, activation_fn="geglu")
    ours = with_weights_of(TransformerBlock(6, context_dim=4, num_heads=2), theirs)
    x, context = torch.randn(2, 5, 6), torch.randn(2, 3, 4)
    expected = theirs(x, encoder_hidden_states=context)
    torch.testing.assert_close(ours(x, context), expected, atol=1e-5, rtol=1e-5)


# Pictures as faint as these show what is added to the variance: 1e-6, not PyTorch's 1e-5.
@pytest.mark.parametrize("brightness", [1.0, 1e-3])
@pytest.mark.parametrize("linear_projection", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_pixel_transformer_is_that_of_diffusers(linear_projection, num_layers, brightness):
    theirs = Transformer2DModel(
        2,
        4,
        in_channels=8,
        num_layers=num_layers,
        norm_num_groups=4,
        cross_attention_dim=5,
        use_linear_projection=linear_projection,
    )
    options = {"num_layers": num_layers, "linear_projection": linear_projection, "groups": 4}
    ours = with_weights_of(PixelTransformer(8, context_dim=5, num_heads=2, **options), theirs)
    x, context = brightness * torch.randn(2, 8, 4, 6), torch.randn(2, 3, 5)
    (expected,) = theirs(x, encoder_hidden_states=context, return_dict=False)
    torch.testing.assert_close(ours(x, context), expected, atol=1e-5, rtol=1e-5)


def test_a_linear_layer_and_a_convolution_of_one_pixel_are_the_same_map():
    convolution = PixelTransformer(8, context_dim=5, num_heads=2, groups=4)
    linear = PixelTransformer(8, context_dim=5, num_heads=2, groups=4, linear_projection=True)
    flat = {"proj_in.weight", "proj_out.weight"}
    linear.load_state_dict(
        {
            name: weight.flatten(1) if name in flat else weight
            for name, weight in convolution.state_dict().items()
        }
    )
    x, context = torch.randn(2, 8, 4, 6), torch.randn(2, 3, 5)
    torch.testing.assert_close(linear(x, context), convolution(x, context), atol=1e-5, rtol=1e-5)


def test_the_order_of_the_words_does_not_matter():
    layer = PixelTransformer(8, context_dim=5, num_heads=2, groups=4)
    x, context = torch.randn(2, 8, 4, 6), torch.randn(2, 7, 5)
    shuffled = context[:, torch.randperm(7)]
    torch.testing.assert_close(layer(x, shuffled), layer(x, context), atol=1e-6, rtol=1e-5)


def test_a_pixel_transformer_knows_no_place():
    layer = PixelTransformer(8, context_dim=5, num_heads=2, groups=4)
    x, context = torch.randn(2, 8, 4, 6), torch.randn(2, 7, 5)
    turned = layer(x.flip(2, 3), context).flip(2, 3)
    torch.testing.assert_close(turned, layer(x, context), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["context_dim", "num_heads", "num_layers"])
def test_a_number_below_one_is_refused(name, refusal):
    options = {"context_dim": 5, "num_heads": 2, "num_layers": 1}
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        PixelTransformer(8, **options | {name: 0})


def test_heads_that_do_not_divide_the_channels_are_refused(refusal):
    with refusal("channels: expected a multiple of 3 heads, got 8"):
        PixelTransformer(8, context_dim=5, num_heads=3, groups=4)


def test_words_of_another_width_are_refused(refusal):
    layer = PixelTransformer(8, context_dim=5, num_heads=2, groups=4)
    with refusal("context: expected tokens 5 wide, got 8"):
        layer(torch.zeros(1, 8, 2, 2), torch.zeros(1, 3, 8))
