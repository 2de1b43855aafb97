import pytest
import torch
import torch.nn.functional as F

from edudiff.models import nested_weights
from edudiff.models.matryoshka_blocks import Told
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet, mdm64, mdm256, mdm1024


def pictures(counts=(2, 2, 2)):
    return [torch.randn(n, 3, side, side) for n, side in zip(counts, (16, 8, 4), strict=True)]


@pytest.mark.parametrize(
    ("make", "parameters", "tensors", "ratios"),
    [
        (mdm64, 461_359_107, 713, (1,)),
        (mdm256, 476_613_958, 889, (4, 1)),
        (mdm1024, 480_970_057, 1063, (16, 4, 1)),
    ],
)
def test_the_published_networks_have_so_many_parameters(make, parameters, tensors, ratios):
    with torch.device("meta"):
        model = make()
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert (len(model.state_dict()), model.ratios) == (tensors, ratios)


def test_of_the_published_networks_only_the_middle_of_three_normalises_its_input():
    with torch.device("meta"):
        large, medium = mdm1024(), mdm256()
    inner = large.inner_unet
    assert isinstance(inner, NestedUNet) and inner.normalize_input
    assert not large.normalize_input and not medium.normalize_input


def test_the_smaller_network_lies_in_the_larger_one_by_name():
    with torch.device("meta"):
        inner, outer = mdm64().state_dict(), mdm256().state_dict()
    assert {f"inner_unet.{name}" for name in inner} == {n for n in outer if n.startswith("inner_")}


def test_at_the_moment_of_growth_the_lower_answers_are_unchanged_to_the_bit(three, words, t):
    xs = pictures()
    before = three(xs, t, words)
    grown = NestedUNet(three, block_out_channels=(4, 4), scale=64)
    found = grown([torch.randn(2, 3, 32, 32), *xs], t, words)
    assert not found[0].any()
    assert all(torch.equal(a, b) for a, b in zip(found[1:], before, strict=True))


def test_a_mixed_batch_is_answered_as_if_missing_pictures_handed_nothing_in(three, words, t):
    xs = pictures((1, 1, 2))
    mixed, alone = three(xs, t, words), three([x[:1] for x in xs], t[:1], words[:1])
    for level in range(3):
        torch.testing.assert_close(mixed[level][:1], alone[level], atol=1e-5, rtol=0)
    inner = three.inner_unet.inner_unet
    lowest = inner([xs[-1][1:]], t[1:], words[1:])[0]
    bias = three.inner_unet.in_adapter.bias  # nothing handed in: not even the adapter's bias
    assert bias.any()
    torch.testing.assert_close(mixed[-1][1:], lowest, atol=1e-5, rtol=0)


def test_resolutions_may_be_left_out_one_by_one(three, words, t):
    words, t = words[[0, 1, 0, 1]], t[[0, 1, 0, 1]]
    xs = pictures((1, 3, 4))
    assert [len(v) for v in three(xs, t, words)] == [1, 3, 4]


def test_what_is_divided_by_its_deviation_is_the_input_alone(three, words, t):
    xs = pictures()
    other = [xs[0], 3 * xs[1], xs[2]]
    pairs = zip(three(xs, t, words), three(other, t, words), strict=True)
    assert all((a - b).abs().max() < 1e-5 for a, b in pairs)
    changed = three([3 * xs[0], *xs[1:]], t, words)[0]
    assert (changed - three(xs, t, words)[0]).abs().max() > 1e-3


def test_three_levels_quadruple_the_inner_side(t):
    model = NestedUNet(MatryoshkaUNet(block_out_channels=(8, 16)), block_out_channels=(8, 8, 8))
    assert model.ratios == (4, 1)
    found = model([torch.randn(2, 3, 16, 24), torch.randn(2, 3, 4, 6)], t)
    assert [tuple(v.shape[2:]) for v in found] == [(16, 24), (4, 6)]


def test_five_resolutions_nest_like_two(t):
    model = MatryoshkaUNet(block_out_channels=(8,), attention_layers=0)
    for _ in range(4):
        model = NestedUNet(model, block_out_channels=(8, 8))
    sides = (32, 16, 8, 4, 2)
    found = model([torch.randn(2, 3, side, side) for side in sides], t)
    assert [v.shape[-1] for v in found] == list(sides)


def test_outer_levels_can_look_at_pixels_and_words_too(words, t):
    inner = MatryoshkaUNet(block_out_channels=(16,), attention_layers=0, text_dim=6, num_heads=2)
    model = NestedUNet(inner, block_out_channels=(8, 16), attention_layers=(0, 1))
    found = model([torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)], t, words)
    assert len(found) == 2 and len(model.down_blocks[1].attn) == 1


DEEP = {
    (8, 4, 2, 1): ((8, 8), (8, 8), (8, 8)),
    (8, 2, 1): ((4, 8, 8), (8, 8)),
    (8, 4, 1): ((4, 8), (8, 8, 8)),
    (16, 2, 1): ((4, 4, 8, 8), (8, 8)),
}
"""Ratios → widths of the outer networks, high to low; the lowest sides are multiples of 2."""


def nest(widths):
    """Nested as deep as there are widths, without a zero anywhere."""
    model = MatryoshkaUNet(block_out_channels=(8, 8), num_heads=2, norm_num_groups=4, text_dim=6)
    for i, width in enumerate(reversed(widths)):
        model = NestedUNet(model, block_out_channels=width, normalize_input=i % 2 == 1)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.mark.parametrize("ratios", DEEP)
def test_uneven_and_deeper_nestings_answer_at_every_resolution(ratios, words, t):
    model = nest(DEEP[ratios])
    assert model.ratios == ratios
    xs = [torch.randn(2, 3, 2 * ratio, 4 * ratio) for ratio in ratios]
    found = model(xs, t, words)
    assert [v.shape for v in found] == [x.shape for x in xs]
    for level, x in enumerate(xs):
        changed = [*xs[:level], x + 1 + torch.randn_like(x), *xs[level + 1 :]]
        other = model(changed, t, words)
        assert all((a - b).abs().max() > 1e-6 for a, b in zip(other, found, strict=True))


def by_hand(dolls, xs, told):
    """All the way down, the innermost network, and all the way up, without recursion."""
    features, ways = None, []
    for doll, x in zip(dolls, xs, strict=True):
        own = told.first(len(x))
        temb = doll.embed(own)
        if getattr(doll, "normalize_input", False):
            x = x / x.std((1, 2, 3), keepdim=True)
        state = doll.conv_in(x)
        kept = [state if features is None else state + features]
        for block in doll.down_blocks:
            kept += block(kept[-1], temb, own)
        ways.append((temb, own, kept))
        if doll is not dolls[-1]:
            handed = doll.in_adapter(kept[-1])
            zeros = handed.new_zeros(len(xs[len(ways)]) - len(handed), *handed.shape[1:])
            features = torch.cat([handed, zeros])
    answers, inner = [], None
    for doll, (temb, own, kept) in reversed(list(zip(dolls, ways, strict=True))):
        if inner is None:
            state, _ = doll.middle(kept[-1], temb, own, [])
        else:
            state = kept[-1] + doll.out_adapter(inner[: len(kept[-1])])
        for block in doll.up_blocks:
            state = block(state, temb, own, kept)[-1]
        answers.insert(0, doll.conv_out(F.silu(doll.norm_out(state))))
        inner = state
    return answers


@pytest.mark.parametrize("ratios", DEEP)
@pytest.mark.parametrize("mixed", [False, True])
def test_a_deep_nesting_is_the_same_step_once_for_every_level(ratios, mixed, words, t):
    model = nest(DEEP[ratios])
    counts = range(1, len(ratios) + 1) if mixed else [4] * len(ratios)
    batch = max(counts)
    words, t = words.repeat(2, 1, 1)[:batch], torch.tensor([3, 999, 500, 40])[:batch]
    xs = [torch.randn(n, 3, 2 * r, 2 * r) for n, r in zip(counts, ratios, strict=True)]
    told = Told(t, None, *model.read(words, None, batch))
    expected = by_hand(nested_weights.dolls(model), xs, told)
    for ours, hand in zip(model(xs, t, words), expected, strict=True):
        torch.testing.assert_close(ours, hand, atol=1e-5, rtol=0)


@pytest.mark.parametrize("ratios", DEEP)
def test_growth_leaves_every_lower_answer_unchanged_however_uneven(ratios, words, t):
    model = nest(DEEP[ratios])
    xs = [torch.randn(2, 3, 2 * ratio, 2 * ratio) for ratio in ratios]
    grown = NestedUNet(model, block_out_channels=(4, 4, 8))
    found = grown([torch.randn(2, 3, 8 * ratios[0], 8 * ratios[0]), *xs], t, words)
    assert all(torch.equal(a, b) for a, b in zip(found[1:], model(xs, t, words), strict=True))


@pytest.mark.parametrize("ratios", DEEP)
def test_deep_resolutions_are_refused_in_another_ratio_and_from_low_to_high(
    ratios, words, t, refusal
):
    model = nest(DEEP[ratios])
    even = [torch.randn(2, 3, 2 * 3**i, 2 * 3**i) for i in reversed(range(len(ratios)))]
    with refusal("xs: expected sides in the ratio of the nesting, " + " : ".join(map(str, ratios))):
        model(even, t, words)
    with refusal("xs: expected resolutions from high to low, got sides 2 × 2, "):
        model([torch.randn(2, 3, 2 * ratio, 2 * ratio) for ratio in reversed(ratios)], t, words)
