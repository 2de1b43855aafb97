import pytest
import torch

from edudiff.models.growth import grow, newcomers
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet, mdm64, mdm256


def pictures(count, *sides):
    return [torch.randn(count, 3, side, side) for side in sides]


def test_at_the_moment_of_growth_lower_answers_are_the_same_to_the_bit(three, words, t):
    xs = pictures(2, 32, 16, 8, 4)
    before = three(xs[1:], t, words)
    assert all(answer.any() for answer in before)
    found = grow(three, block_out_channels=(4, 4))(xs, t, words)
    assert not found[0].any()
    assert all(torch.equal(a, b) for a, b in zip(found[1:], before, strict=True))


def test_growing_twice_keeps_the_lowest_answer_to_the_bit(three, words, t):
    xs = pictures(2, 256, 64, 16, 8, 4)
    grown = grow(grow(three, block_out_channels=(4, 4, 4)), block_out_channels=(4, 4, 4))
    assert grown.ratios == (16 * three.ratios[0], *(4 * r for r in three.ratios[:1]), *three.ratios)
    found, before = grown(xs, t, words), three(xs[2:], t, words)
    assert all(torch.equal(a, b) for a, b in zip(found[2:], before, strict=True))


def test_the_network_that_grew_is_left_as_it_was(three, words, t):
    before = {name: weight.clone() for name, weight in three.state_dict().items()}
    grown = grow(three, block_out_channels=(4, 4))
    optimizer = torch.optim.SGD(grown.parameters(), lr=1.0)
    sum(v.square().sum() for v in grown(pictures(2, 32, 16, 8, 4), t, words)).backward()
    optimizer.step()
    assert all(torch.equal(w, before[name]) for name, w in three.state_dict().items())
    changed = grown.inner_unet.state_dict()
    assert any(not torch.equal(w, before[name]) for name, w in changed.items())


def test_the_first_step_wakes_the_new_doll_and_the_second_its_adapters(three, words, t):
    """Behind a zero convolution no gradient arrives before that one has moved."""
    grown = grow(three, block_out_channels=(4, 4))
    xs = pictures(2, 32, 16, 8, 4)
    optimizer = torch.optim.SGD(grown.parameters(), lr=0.1)
    moved = []
    for _ in range(3):
        moved.append([grown.out_adapter.weight.any(), grown.in_adapter.weight.any()])
        optimizer.zero_grad()
        answers = grown(xs, t, words)
        sum((v - 1).square().mean() for v in answers).backward()
        optimizer.step()
    assert moved[0] == [False, False]
    assert moved[1] == [False, True]
    assert moved[2] == [True, True]


def test_a_new_doll_is_told_its_own_side_if_the_inner_one_is(t):
    inner = MatryoshkaUNet(block_out_channels=(8, 16), scale=8)
    assert grow(inner, block_out_channels=(8, 8, 8)).scale == 32
    inner = MatryoshkaUNet(block_out_channels=(8, 16))
    assert grow(inner, block_out_channels=(8, 8)).scale is None


def test_newcomers_and_the_inner_network_are_the_whole(three):
    grown = grow(three, block_out_channels=(4, 4))
    inside = {f"inner_unet.{name}" for name, _ in three.named_parameters()}
    assert newcomers(grown).keys() | inside == dict(grown.named_parameters()).keys()
    assert not newcomers(grown).keys() & inside


def test_the_published_network_for_256_pixels_is_that_for_64_grown():
    with torch.device("meta"):
        grown = grow(mdm64(), block_out_channels=(64, 128, 256), layers_per_block=(2, 2, 1))
        published = mdm256()
    assert isinstance(grown, NestedUNet)
    shapes = [{n: w.shape for n, w in m.state_dict().items()} for m in (grown, published)]
    assert shapes[0] == shapes[1]
    assert (grown.scale, grown.ratios) == (published.scale, published.ratios)
    assert sum(w.numel() for w in newcomers(grown).values()) == 15_254_851


def test_what_the_nesting_refuses_growth_refuses(three):
    with pytest.raises(ValueError, match="block_out_channels"):
        grow(three, block_out_channels=(4, 5))
