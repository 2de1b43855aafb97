import pytest
import torch
from einops import rearrange

from edudiff.layers.attention import attend
from edudiff.layers.pixel_text_attention import PixelTextAttention


def awake(context_dim=6, num_heads=2):
    """A layer whose outputs have left their zeros."""
    layer = PixelTextAttention(8, context_dim=context_dim, num_heads=num_heads, groups=4)
    for conv in (layer.proj_out, layer.ffn[3]):
        torch.nn.init.normal_(conv.weight, std=0.3)
    return layer


def by_hand(layer, x, context, heads=2):
    """The docstring's three lines, with attention written out."""
    split = "b (heads d) h w -> b heads (h w) d"
    q, k, v = (rearrange(y, split, heads=heads) for y in layer.qkv(layer.norm(x)).chunk(3, dim=1))
    words = layer.kv_cond(layer.norm_cond(context)).chunk(2, dim=2)
    k_text, v_text = (rearrange(y, "b m (heads d) -> b heads m d", heads=heads) for y in words)
    answer = attend(q, k, v) + attend(q, k_text, v_text)
    x = x + layer.proj_out(rearrange(answer, "b heads (h w) d -> b (heads d) h w", h=x.shape[2]))
    return x + layer.ffn(x)


@pytest.fixture
def x():
    return torch.randn(2, 8, 3, 5)


@pytest.fixture
def context():
    return torch.randn(2, 4, 6)


def test_the_formula_of_the_docstring(x, context):
    layer = awake()
    expected = by_hand(layer, x, context)
    torch.testing.assert_close(layer(x, context), expected, atol=1e-5, rtol=0)


def test_an_untrained_layer_changes_nothing(x, context):
    layer = PixelTextAttention(8, context_dim=6, num_heads=2, groups=4)
    assert torch.equal(layer(x, context), x)


def test_words_that_may_not_be_asked_do_not_matter(x, context):
    layer, mask = awake(), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    other = torch.where(mask[..., None], context, torch.randn(2, 4, 6))
    torch.testing.assert_close(layer(x, context, mask), layer(x, other, mask), atol=1e-6, rtol=0)
    assert (layer(x, context, mask) - layer(x, context)).abs().max() > 1e-3


def test_masked_words_count_as_if_they_were_not_there(x, context):
    layer, mask = awake(), torch.tensor([[True, True, False, False]] * 2)
    expected = layer(x, context[:, :2])
    torch.testing.assert_close(layer(x, context, mask), expected, atol=1e-5, rtol=0)


def test_every_pixel_sees_every_other(x, context):
    layer, x = awake(), x.requires_grad_()
    layer(x, context)[0, :, 0, 0].sum().backward()
    assert (x.grad[0].abs().amax(dim=0) > 0).all()


def test_without_words_it_is_attention_to_the_picture_alone(x):
    layer = awake(context_dim=None)
    assert not hasattr(layer, "kv_cond")
    assert layer(x).shape == x.shape
