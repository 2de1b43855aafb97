import pytest
import torch
from diffusers.models.attention_processor import Attention as TheirAttention
from diffusers.models.attention_processor import JointAttnProcessor2_0

from edudiff.layers.attention import attend
from edudiff.layers.joint_attention import JointAttention


@pytest.mark.parametrize("context_pre_only", [False, True])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_joint_attention_is_that_of_diffusers(context_pre_only, qk_norm):
    ours = JointAttention(12, num_heads=3, context_pre_only=context_pre_only, qk_norm=qk_norm)
    theirs = TheirAttention(
        12,
        added_kv_proj_dim=12,
        dim_head=4,
        heads=3,
        out_dim=12,
        context_pre_only=context_pre_only,
        bias=True,
        processor=JointAttnProcessor2_0(),
        qk_norm="rms_norm" if qk_norm else None,
        eps=1e-6,
    )
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    x, context = torch.randn(2, 7, 12), torch.randn(2, 5, 12)
    found, expected = ours(x, context), theirs(x, context)
    torch.testing.assert_close(found[0], expected[0], atol=1e-4, rtol=1e-4)
    if context_pre_only:
        assert found[1] is None
    else:
        torch.testing.assert_close(found[1], expected[1], atol=1e-4, rtol=1e-4)


def test_esser_figure_2_both_kinds_stand_in_one_row():
    attention = JointAttention(4, num_heads=1)
    x, context = torch.randn(1, 3, 4), torch.randn(1, 2, 4)
    a = attention
    q = torch.cat([a.to_q(x), a.add_q_proj(context)], dim=1)
    k = torch.cat([a.to_k(x), a.add_k_proj(context)], dim=1)
    v = torch.cat([a.to_v(x), a.add_v_proj(context)], dim=1)
    heard = attend(q, k, v)
    of_x, of_context = attention(x, context)
    torch.testing.assert_close(of_x, a.to_out[0](heard[:, :3]))
    torch.testing.assert_close(of_context, a.to_add_out(heard[:, 3:]))


def test_the_text_hears_the_picture():
    attention, context = JointAttention(4, num_heads=2), torch.randn(1, 2, 4)
    (_, one), (_, other) = (attention(torch.randn(1, 3, 4), context) for _ in range(2))
    assert not torch.allclose(one, other, atol=1e-3)


def test_the_order_of_words_does_not_matter_to_the_picture():
    attention, x, context = (
        JointAttention(4, num_heads=2),
        torch.randn(1, 3, 4),
        torch.randn(1, 5, 4),
    )
    there, back = attention(x, context)[0], attention(x, context.flip(1))[0]
    torch.testing.assert_close(there, back, atol=1e-6, rtol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused(refusal):
    with refusal("width: expected a multiple of num_heads=3, got 4"):
        JointAttention(4, num_heads=3)


def test_no_heads_are_refused(refusal):
    with refusal("num_heads: expected a whole number ≥ 1, got 0"):
        JointAttention(4, num_heads=0)
