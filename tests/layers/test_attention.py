import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention as TheirAttention
from torch import nn

from edudiff.layers.attention import Attention, PixelAttention, attend, write_out


def test_vaswani_eq1_scaled_dot_product_attention():
    q, k, v = torch.randn(5, 4), torch.randn(7, 4), torch.randn(7, 3)
    expected = torch.zeros(5, 3)
    for i in range(5):
        scores = torch.tensor([(q[i] * k[j]).sum() / 2 for j in range(7)])  # √4 = 2
        for j in range(7):
            expected[i] += scores[j].exp() / scores.exp().sum() * v[j]
    torch.testing.assert_close(attend(q, k, v), expected)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_attend_is_what_pytorch_calls_scaled_dot_product_attention(lead):
    q, k, v = torch.randn(*lead, 5, 4), torch.randn(*lead, 7, 4), torch.randn(*lead, 7, 6)
    torch.testing.assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v))


def test_equal_keys_mix_all_values_alike():
    v = torch.randn(7, 3)
    found = attend(torch.randn(5, 4), torch.ones(7, 4), v)
    torch.testing.assert_close(found, v.mean(dim=0).expand(5, 3))


def test_a_key_that_answers_loudly_gives_its_value_alone():
    keys, v = torch.eye(4), torch.randn(4, 3)
    torch.testing.assert_close(attend(1000 * keys, keys, v), v)


def test_the_order_of_the_keys_does_not_matter():
    q, k, v = torch.randn(5, 4), torch.randn(7, 4), torch.randn(7, 3)
    order = torch.randperm(7)
    torch.testing.assert_close(attend(q, k[order], v[order]), attend(q, k, v))


def test_attention_has_attend_inside():
    attention, x = Attention(6, num_heads=1, head_dim=4), torch.randn(2, 5, 6)
    mixture = attend(attention.to_q(x), attention.to_k(x), attention.to_v(x))
    torch.testing.assert_close(attention(x), attention.to_out[0](mixture))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("num_heads", [1, 3])
@pytest.mark.parametrize("context_dim", [None, 5])
def test_attention_is_that_of_diffusers(bias, num_heads, context_dim):
    ours = Attention(6, context_dim=context_dim, num_heads=num_heads, head_dim=4, bias=bias)
    theirs = TheirAttention(
        6, cross_attention_dim=context_dim, heads=num_heads, dim_head=4, bias=bias
    )
    ours.load_state_dict(theirs.state_dict())
    x, context = torch.randn(2, 7, 6), context_dim and torch.randn(2, 3, context_dim)
    torch.testing.assert_close(ours(x, context), theirs(x, context), atol=1e-6, rtol=0)


def asking(context_dim):
    """Attention with two heads, who asks, and who answers."""
    attention = Attention(6, context_dim=context_dim, num_heads=2, head_dim=4)
    return attention, torch.randn(2, 7, 6), context_dim and torch.randn(2, 3, context_dim)


@pytest.mark.parametrize(("context_dim", "answering"), [(None, 7), (5, 3)])
def test_the_weights_of_every_query_sum_to_one(context_dim, answering):
    attention, x, context = asking(context_dim)
    weights = attention.weights(x, context)
    assert weights.shape == (2, 2, 7, answering) and (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 2, 7))


@pytest.mark.parametrize("context_dim", [None, 5])
def test_the_weights_are_those_by_which_the_values_are_mixed(context_dim):
    attention, x, context = asking(context_dim)
    values = attention.to_v(x if context is None else context).unflatten(2, (2, 4)).transpose(1, 2)
    mixture = (attention.weights(x, context) @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention.to_out[0](mixture), attention(x, context))


def test_weights_over_tokens_of_another_width_are_refused(refusal):
    with refusal("context: expected tokens 5 wide, got 6"):
        Attention(6, context_dim=5).weights(torch.zeros(1, 2, 6), torch.zeros(1, 3, 6))


def test_without_a_bias_only_the_result_has_one():
    names = {name for name, _ in Attention(6).named_parameters()}
    assert names == {
        "to_q.weight",
        "to_k.weight",
        "to_v.weight",
        "to_out.0.weight",
        "to_out.0.bias",
    }


def test_tokens_ask_each_for_itself():
    attention, x, context = Attention(6, context_dim=5), torch.randn(2, 7, 6), torch.randn(2, 3, 5)
    torch.testing.assert_close(attention(x[:, 2:3], context), attention(x, context)[:, 2:3])


def test_an_answer_does_not_depend_on_the_rest_of_the_batch():
    attention, x = Attention(6), torch.randn(3, 7, 6)
    torch.testing.assert_close(attention(x[1:2]), attention(x)[1:2])


def test_the_dtype_follows_the_input():
    assert Attention(6).double()(torch.randn(1, 2, 6).double()).dtype == torch.float64


@pytest.mark.parametrize("context", [None, torch.zeros(1, 3, 6)])
def test_tokens_of_another_width_are_refused_as_context(context, refusal):
    with refusal("context: expected tokens 5 wide, got 6"):
        Attention(6, context_dim=5)(torch.zeros(1, 2, 6), context)


@pytest.mark.parametrize(("groups", "eps"), [(1, 1e-6), (2, 0.1)])
def test_pixel_attention_is_that_of_diffusers(groups, eps):
    ours = PixelAttention(6, groups=groups, eps=eps)
    theirs = TheirAttention(
        6,
        heads=1,
        dim_head=6,
        bias=True,
        norm_num_groups=groups,
        eps=eps,
        residual_connection=True,
    )
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 4, 3)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=0)


def test_pixel_attention_adds_to_what_came_in():
    attention, x = PixelAttention(6, groups=2), torch.randn(2, 6, 4, 3)
    nn.init.zeros_(attention.to_out[0].weight)
    nn.init.zeros_(attention.to_out[0].bias)
    assert torch.equal(attention(x), x)


def test_pixel_attention_knows_no_place():
    attention, x = PixelAttention(6, groups=2), torch.randn(2, 6, 4, 3)
    torch.testing.assert_close(attention(x.flip(2, 3)), attention(x).flip(2, 3))


def test_written_out_attention_gives_the_same_answers(monkeypatch):
    layer, x = Attention(12, num_heads=3, head_dim=4), torch.randn(2, 5, 12)
    fused = layer(x)
    write_out(nn.Sequential(layer))
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    torch.testing.assert_close(layer(x), fused)
