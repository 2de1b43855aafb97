import torch
from torch import nn

from edudiff.exercises import check
from edudiff.exercises.cross_attention import attend, by_head
from edudiff.layers.attention import Attention


def test_attention_by_hand_is_pytorchs(generator):
    q, k, v = (torch.randn(2, n, 8, generator=generator) for n in (5, 3, 3))
    expected = nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(attend(q, k, v), expected)


def test_pytorchs_own_attention_is_a_right_answer():
    assert check("cross-attention.1", nn.functional.scaled_dot_product_attention).passed


def test_the_terms_of_all_heads_add_up_to_what_the_layer_makes(generator):
    layer = Attention(8, context_dim=6, num_heads=2, head_dim=4)
    x, context = (torch.randn(1, *shape, generator=generator) for shape in ((5, 8), (3, 6)))
    v = layer.to_v(context)[0].unflatten(1, (2, 4)).transpose(0, 1)
    brought = (layer.weights(x, context)[0] @ v).transpose(0, 1).flatten(1)
    terms = by_head(brought, layer.to_out[0].weight, 2)
    torch.testing.assert_close(terms.sum(dim=0) + layer.to_out[0].bias, layer(x, context)[0])
