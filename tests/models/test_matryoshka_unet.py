import pytest
import torch

from edudiff.models.matryoshka_unet import MatryoshkaUNet


@pytest.fixture
def x():
    return torch.randn(2, 3, 8, 8)


def test_an_untrained_network_answers_zero(x, t):
    assert not MatryoshkaUNet()([x], t)[0].any()


def test_the_summary_is_the_mean_of_the_words_without_padding(solid, words):
    mask = torch.tensor([[True, True, False], [True, True, True]])
    summary, context, _ = solid.read(words, mask, 2)
    expected = solid.cond_emb(context[0, :2].mean(dim=0))
    torch.testing.assert_close(summary[0], expected, atol=1e-6, rtol=0)


def test_padding_does_not_matter_with_masked_cross_attention(solid, x, words, t):
    mask = torch.tensor([[True, True, False], [True, False, False]])
    other = torch.where(mask[..., None], words, torch.randn_like(words))
    found, expected = solid([x], t, other, mask)[0], solid([x], t, words, mask)[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_without_masked_cross_attention_pixels_ask_padding_too(solid, x, words, t):
    mask = torch.tensor([[True, True, False], [True, False, False]])
    masked = solid([x], t, words, mask)[0]
    solid.masked_cross_attention = False
    unmasked = solid([x], t, words, mask)[0]
    solid.masked_cross_attention = True
    assert (masked - unmasked).abs().max() > 1e-4


def test_a_network_that_is_told_no_words_needs_none(x, t):
    model = MatryoshkaUNet(block_out_channels=(8, 16))
    assert model([x], t)[0].shape == x.shape
    assert not hasattr(model, "lm_proj")


@pytest.mark.slow
def test_what_two_noises_become_is_learnt_by_heart(t):
    model = MatryoshkaUNet(block_out_channels=(8, 16), norm_num_groups=4, text_dim=4, num_heads=2)
    x, words = torch.randn(1, 3, 8, 8).expand(2, -1, -1, -1), torch.eye(4)[:2, None]
    target, t = torch.randn(2, 3, 2, 2).repeat(1, 1, 4, 4), torch.tensor([5, 5])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        loss = (model([x], t, words)[0] - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 * target.var().item()
