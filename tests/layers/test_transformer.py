import math

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from edudiff.layers.transformer import MLP, Encoder, EncoderLayer, SelfAttention, quick_gelu


def test_quick_gelu_is_x_times_the_sigmoid_of_1_702_x():
    x = torch.linspace(-8, 8, 101)
    torch.testing.assert_close(quick_gelu(x), x * torch.sigmoid(1.702 * x))


def test_quick_gelu_is_within_0_021_of_gelu():
    x = torch.linspace(-8, 8, 1001)
    torch.testing.assert_close(quick_gelu(x), gelu(x), atol=0.021, rtol=0)


@pytest.mark.parametrize("causal", [True, False])
def test_vaswani_eq1_attention_by_hand(causal):
    attention, h = SelfAttention(6, 2, causal=causal), torch.randn(2, 5, 6)
    q, k, v = (proj(h) for proj in (attention.q_proj, attention.k_proj, attention.v_proj))
    answers = torch.zeros(2, 5, 6)
    for b in range(2):
        for head in (slice(0, 3), slice(3, 6)):
            for i in range(5):
                seen = slice(0, i + 1 if causal else 5)
                weights = (k[b, seen, head] @ q[b, i, head] / math.sqrt(3)).softmax(0)
                answers[b, i, head] = weights @ v[b, seen, head]
    torch.testing.assert_close(attention(h), attention.out_proj(answers))


def test_a_causal_token_sees_nothing_after_it():
    encoder, h = Encoder(8, 2, 2, causal=True), torch.randn(1, 5, 8)
    changed = torch.cat([h[:, :3], torch.randn(1, 2, 8)], dim=1)
    torch.testing.assert_close(encoder(h)[-1][:, :3], encoder(changed)[-1][:, :3])


def test_a_causal_token_sees_everything_before_it():
    attention, h = SelfAttention(8, 2, causal=True), torch.randn(1, 5, 8, requires_grad=True)
    attention(h)[0, -1].sum().backward()
    assert (h.grad[0].abs().sum(1) > 0).all()


def test_without_causality_the_order_of_tokens_is_not_seen():
    encoder, h = Encoder(8, 2, 2, causal=False), torch.randn(2, 5, 8)
    order = torch.randperm(5)
    torch.testing.assert_close(encoder(h[:, order])[-1], encoder(h)[-1][:, order])


def test_the_perceptron_looks_at_each_token_alone():
    mlp, h = MLP(8, 16, quick_gelu), torch.randn(2, 5, 8)
    torch.testing.assert_close(mlp(h)[:, 3], mlp(h[:, 3:4])[:, 0])


def test_the_perceptron_uses_the_activation_it_is_given():
    mlp, h = MLP(8, 16, torch.zeros_like), torch.randn(2, 5, 8)
    torch.testing.assert_close(mlp(h), mlp.fc2.bias.expand(2, 5, 8))


def test_a_layer_whose_updates_end_in_zero_leaves_the_tokens_alone():
    layer, h = EncoderLayer(8, 2, 16, quick_gelu, causal=False), torch.randn(2, 5, 8)
    for last in (layer.self_attn.out_proj, layer.mlp.fc2):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    torch.testing.assert_close(layer(h), h)


def test_the_encoder_returns_its_input_and_what_each_layer_made_of_it():
    encoder, h = Encoder(8, 3, 2, causal=True), torch.randn(2, 5, 8)
    states = encoder(h)
    assert len(states) == 4
    torch.testing.assert_close(states[0], h)
    for layer, before, after in zip(encoder.layers, states[:-1], states[1:], strict=True):
        torch.testing.assert_close(layer(before), after)


def test_the_perceptron_is_four_times_as_wide_if_nothing_else_is_said():
    assert Encoder(8, 1, 2, causal=True).layers[0].mlp.fc1.out_features == 32


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_a_deeper_encoder_adds_no_more_to_its_input(depth):
    encoder, h = Encoder(64, depth, 4, causal=False), torch.randn(8, 10, 64)
    added = encoder(h)[-1] - h
    assert 0.2 < added.std().item() < 1


def test_the_dtype_follows_the_input():
    encoder = Encoder(8, 1, 2, causal=True).double()
    assert encoder(torch.randn(2, 5, 8, dtype=torch.float64))[-1].dtype == torch.float64


def test_heads_that_do_not_divide_the_width_are_refused(refusal):
    with refusal("width: expected a multiple of num_heads=3, got 8"):
        SelfAttention(8, 3, causal=True)


def test_an_encoder_with_such_heads_is_refused(refusal):
    with refusal("width: expected a multiple of num_heads=3, got 8"):
        Encoder(8, 1, 3, causal=True)


@pytest.mark.parametrize("name", ["width", "num_heads"])
def test_attention_refuses_a_size_below_one(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        SelfAttention(**{"width": 8, "num_heads": 2, name: 0}, causal=True)


@pytest.mark.parametrize("name", ["width", "num_layers", "num_heads", "mlp_width"])
def test_an_encoder_refuses_a_size_below_one(name, refusal):
    sizes = {"width": 8, "num_layers": 1, "num_heads": 2, "mlp_width": 16}
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        Encoder(**sizes | {name: 0}, causal=True)
