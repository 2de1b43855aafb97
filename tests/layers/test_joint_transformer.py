import pytest
import torch
from diffusers.models.attention import JointTransformerBlock as TheirBlock

from edudiff.layers.joint_transformer import JointTransformerBlock


def inputs():
    return torch.randn(2, 7, 12), torch.randn(2, 5, 12), torch.randn(2, 12)


@pytest.mark.parametrize("context_pre_only", [False, True])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_the_block_is_that_of_diffusers(context_pre_only, qk_norm):
    options = {"context_pre_only": context_pre_only}
    ours = JointTransformerBlock(12, num_heads=3, qk_norm=qk_norm, **options)
    theirs = TheirBlock(12, 3, 4, qk_norm="rms_norm" if qk_norm else None, **options)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(theirs.state_dict())
    x, context, temb = inputs()
    found, expected = ours(x, context, temb), theirs(x, context, temb)
    torch.testing.assert_close(found[0], expected[1], atol=1e-4, rtol=1e-4)
    if context_pre_only:
        assert found[1] is None
    else:
        torch.testing.assert_close(found[1], expected[0], atol=1e-4, rtol=1e-4)


def test_an_untrained_block_changes_nothing():
    x, context, temb = inputs()
    found = JointTransformerBlock(12, num_heads=3)(x, context, temb)
    assert torch.equal(found[0], x) and torch.equal(found[1], context)


def test_the_two_streams_meet_in_attention_alone():
    block = JointTransformerBlock(12, num_heads=3)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, context, temb = inputs()
    for weights in (block.attn.add_v_proj.weight, block.attn.add_v_proj.bias):
        torch.nn.init.zeros_(weights)
    torch.nn.init.zeros_(block.attn.add_k_proj.weight)  # every word is as loud as any other
    other = torch.randn_like(context)
    torch.testing.assert_close(block(x, context, temb)[0], block(x, other, temb)[0])
