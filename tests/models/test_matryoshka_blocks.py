import pytest
import torch

from edudiff.models.matryoshka_blocks import Level, Told


@pytest.fixture
def told():
    return Told(torch.tensor([1, 2]), None, torch.randn(2, 4), torch.randn(2, 3, 6), None)


def test_the_first_of_what_is_told_leaves_out_what_is_not_told(told):
    first = told.first(1)
    assert first.t.tolist() == [1]
    assert torch.equal(first.context, told.context[:1])
    assert first.mask is None and first.size is None


@pytest.mark.parametrize(("resample", "side"), [("keep", 4), ("halve", 2), ("double", 8)])
def test_a_level_keeps_halves_or_doubles_at_its_end(resample, side, told):
    level = Level([(8, 8), (8, 16)], 4, resample=resample, groups=4)
    states = level(torch.randn(2, 8, 4, 4), torch.randn(2, 4), told)
    assert [state.shape[1] for state in states] == [8, 16] + [16] * (resample != "keep")
    assert states[-1].shape[2:] == (side, side)


def test_so_many_layers_of_attention_follow_each_block(told):
    options = {"attention_layers": 3, "context_dim": 6, "num_heads": 2, "groups": 4}
    level = Level([(8, 8), (8, 16)], 4, **options)
    assert [layer.qkv.in_channels for layer in level.attn] == [8, 8, 8, 16, 16, 16]
    asked = []
    for i, layer in enumerate(level.attn):
        layer.register_forward_hook(lambda *args, i=i: asked.append(i))
    level(torch.randn(2, 8, 4, 4), torch.randn(2, 4), told)
    assert asked == [0, 1, 2, 3, 4, 5]


def test_on_the_way_up_each_block_takes_the_last_of_what_was_kept(told):
    level = Level([(8 + 4, 8), (8 + 8, 8)], 4, groups=4)
    kept = [torch.randn(2, width, 4, 4) for width in (12, 8, 4)]
    level(torch.randn(2, 8, 4, 4), torch.randn(2, 4), told, kept)
    assert [state.shape[1] for state in kept] == [12]
