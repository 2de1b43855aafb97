import pytest
import torch

from edudiff.models.doll import Doll
from edudiff.models.matryoshka_unet import MatryoshkaUNet


def pictures(counts=(2, 2, 2), lowest=4):
    sides = (4 * lowest, 2 * lowest, lowest)
    return [torch.randn(n, 3, side, side) for n, side in zip(counts, sides, strict=True)]


def test_every_resolution_gets_an_answer_of_its_own_size(three, words, t):
    xs = pictures()
    assert [v.shape for v in three(xs, t, words)] == [x.shape for x in xs]


def test_the_time_is_told_to_every_resolution(three, words, t):
    xs = pictures()
    pairs = zip(three(xs, t, words), three(xs, t.flip(0), words), strict=True)
    assert all((a - b).abs().max() > 1e-3 for a, b in pairs)


def test_the_words_are_told_to_every_resolution(three, words, t):
    xs = pictures()
    pairs = zip(three(xs, t, words), three(xs, t, words.flip(0)), strict=True)
    assert all((a - b).abs().max() > 1e-4 for a, b in pairs)


def test_every_resolution_sees_every_other(three, words, t):
    for level in range(3):
        xs = [x.requires_grad_() for x in pictures()]
        three(xs, t, words)[level].square().sum().backward()
        assert all(x.grad.abs().max() > 1e-5 for x in xs)


def test_the_answer_for_one_picture_does_not_depend_on_the_others(three, words, t):
    xs = pictures()
    alone = three([x[1:] for x in xs], t[1:], words[1:])
    for one, both in zip(alone, three(xs, t, words), strict=True):
        torch.testing.assert_close(one, both[1:], atol=1e-5, rtol=0)


def test_a_small_original_is_told_and_a_large_one_is_taken_for_the_full_size(solid, words, t):
    xs = [torch.randn(2, 3, 8, 8)]
    full, huge, small = (
        solid(xs, t, words, size=torch.full((2,), side))[0] for side in (8.0, 500.0, 5.0)
    )
    assert torch.equal(full, solid(xs, t, words)[0])
    assert torch.equal(full, huge)
    assert (full - small).abs().max() > 1e-4


def test_gradient_reaches_every_parameter(three, words, t):
    three.zero_grad()
    sum(v.square().sum() for v in three(pictures(), t, words)).backward()
    # Biases of keys move all scores of a query alike, which the softmax does not see.
    without = [name for name, p in three.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_and_device_follow_the_input(device, dtype, t):
    if device.type == "mps" and dtype == torch.float64:
        pytest.skip("mps has no float64")
    model = MatryoshkaUNet(text_dim=6, scale=8).to(device, dtype)
    words, mask = torch.randn(2, 3, 6, dtype=dtype), torch.ones(2, 3, dtype=torch.bool)
    x = torch.randn(2, 3, 8, 8, dtype=dtype)
    found = model([x.to(device)], t.to(device), words.to(device), mask.to(device))[0]
    assert (found.dtype, found.device.type) == (dtype, device.type)


def test_a_doll_alone_has_no_middle():
    options = {"channels": 3, "block_out_channels": (8,), "layers_per_block": 1}
    options |= {"attention_layers": 0, "time_embed_dim": 32, "context_dim": None, "scale": None}
    doll = Doll(**options, num_heads=1, norm_num_groups=4)
    with pytest.raises(NotImplementedError):
        doll.read(None, None, 1)
