import torch
from torch.nn.functional import scaled_dot_product_attention

from edudiff.exercises.hiding import masked_weights, turned_up


def test_hidden_words_are_those_that_pytorch_leaves_out(generator):
    q, k, v = (torch.randn(2, 3, n, 4, generator=generator) for n in (5, 6, 6))
    hidden = torch.arange(6) >= torch.tensor([[2], [5]])
    expected = scaled_dot_product_attention(q, k, v, attn_mask=~hidden[:, None, None])
    torch.testing.assert_close(masked_weights(q @ k.mT / 2, hidden) @ v, expected)


def test_to_hide_a_word_is_not_to_send_it(generator):
    scores = torch.randn(1, 2, 4, 3, generator=generator)
    found = masked_weights(scores, torch.tensor([[False, False, True]]))
    torch.testing.assert_close(found[..., :2], scores[..., :2].softmax(dim=3))
    assert not found[..., 2].any()


def test_turning_a_word_up_is_turning_up_its_value(generator):
    scores, v = torch.randn(5, 3, generator=generator), torch.randn(3, 2, generator=generator)
    told = turned_up(scores, v, torch.ones(3))
    torch.testing.assert_close(told, scores.softmax(dim=1) @ v)
    silent = turned_up(scores, v, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(told - silent, scores.softmax(dim=1)[:, 1:2] * v[1])
