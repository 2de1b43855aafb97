import pytest
import torch
from transformers import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.pytorch_utils import Conv1D as TheirConv1D

from edudiff.layers.gpt import Block, CausalAttention, Conv1D


def randomise(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


def test_the_weight_lies_the_other_way_round_as_in_transformers():
    ours, theirs, x = randomise(Conv1D(5, 7)), TheirConv1D(7, 5), torch.randn(2, 3, 5)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("num_heads", [1, 3])
def test_the_block_is_that_of_transformers(num_heads):
    ours = randomise(Block(12, num_heads))
    config = GPT2Config(
        n_embd=12, n_head=num_heads, resid_pdrop=0.0, attn_pdrop=0.0, attn_implementation="sdpa"
    )
    theirs = GPT2Block(config, layer_idx=0)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 7, 12)
    torch.testing.assert_close(ours(x)[0], theirs(x), atol=1e-4, rtol=1e-4)


def test_no_token_sees_a_later_one():
    block, x = randomise(Block(12, 3)), torch.randn(2, 7, 12)
    before = block(x)[0]
    x[:, 4:] = torch.randn(2, 3, 12)
    after = block(x)[0]
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:], atol=1e-2)


@pytest.mark.parametrize("steps", [[7], [1] * 7, [4, 3], [2, 1, 4]])
def test_kept_keys_and_values_change_nothing(steps):
    block, x = randomise(Block(12, 3)), torch.randn(2, 7, 12)
    kept, found = None, []
    for part in x.split(steps, dim=1):
        answer, kept = block(part, kept)
        found.append(answer)
    torch.testing.assert_close(torch.cat(found, dim=1), block(x)[0], atol=1e-5, rtol=1e-4)
    assert kept[0].shape == (2, 3, 7, 4)


def test_heads_that_do_not_divide_the_width_are_refused(refusal):
    with refusal("width: expected a multiple of num_heads=3, got 4"):
        CausalAttention(4, 3)


def test_no_heads_are_refused(refusal):
    with refusal("num_heads: expected a whole number ≥ 1, got 0"):
        CausalAttention(4, 0)
