import pytest
import torch

from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet


def pictures(*sides, count=2, channels=3):
    return [torch.randn(count, channels, side, side) for side in sides]


@pytest.mark.parametrize(
    "xs", [pictures(16, 8), pictures(8), pictures(32, 16, 8, 4), torch.zeros(2, 3, 16, 16)]
)
def test_another_number_of_resolutions_is_refused(three, xs, t, words, refusal):
    with refusal("xs: expected 3 resolutions, high to low, got"):
        three(xs, t, words)


def test_resolutions_from_low_to_high_are_refused(three, t, words, refusal):
    with refusal("xs: expected resolutions from high to low, got sides 4 × 4, 8 × 8, 16 × 16"):
        three(pictures(4, 8, 16), t, words)


@pytest.mark.parametrize("sides", [(16, 8, 8), (12, 8, 4), (16, 16, 16), (16, 4, 4), (18, 8, 4)])
def test_sides_in_another_ratio_than_that_of_the_nesting_are_refused(
    three, sides, t, words, refusal
):
    with refusal("xs: expected sides in the ratio of the nesting, 4 : 2 : 1, got"):
        three(pictures(*sides), t, words)


def test_lowest_sides_that_cannot_be_halved_are_refused(three, t, words, refusal):
    with refusal(r"xs: expected the lowest sides divisible by 2, got \(5, 5\)"):
        three(pictures(20, 10, 5), t, words)


def test_other_channels_are_refused(three, t, words, refusal):
    with refusal(r"xs\[0\]: expected shape \(b, 3, h, w\), got"):
        three(pictures(16, 8, 4, channels=1), t, words)


def test_bytes_are_refused(three, t, words, refusal):
    xs = [x.byte() for x in pictures(16, 8, 4)]
    with refusal(r"xs\[0\]: expected a floating-point tensor, got torch.uint8"):
        three(xs, t, words)


@pytest.mark.parametrize("counts", [(0, 2, 2), (2, 1, 2), (2, 2, 1)])
def test_a_resolution_without_pictures_or_with_more_than_the_lower_is_refused(
    three, counts, t, words, refusal
):
    xs = [x[:n] for x, n in zip(pictures(16, 8, 4), counts, strict=True)]
    with refusal("xs: expected a picture at every resolution, and never more than at the next"):
        three(xs, t[: counts[-1]], words[: counts[-1]])


@pytest.mark.parametrize("t", [torch.tensor([1]), torch.zeros(2), torch.tensor([[1, 2]])])
def test_other_than_one_int64_timestep_each_is_refused(three, t, words, refusal):
    with refusal("t: expected"):
        three(pictures(16, 8, 4), t, words)


def test_other_than_one_size_each_is_refused(solid, t, words, refusal):
    with refusal(r"size: expected shape \(2,\), got \(1,\)"):
        solid(pictures(8), t, words, size=torch.ones(1))


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 3, 6), (2, 6)])
def test_words_of_another_shape_are_refused(solid, shape, t, refusal):
    with refusal(r"encoder_hidden_states: expected shape \(2, m, 6\), got"):
        solid(pictures(8), t, torch.zeros(shape))


def test_missing_words_are_refused(three, t, refusal):
    with refusal(r"encoder_hidden_states: expected shape \(2, m, 6\), got none"):
        three(pictures(16, 8, 4), t)


def test_words_for_a_network_that_is_told_none_are_refused(t, words, refusal):
    with refusal("encoder_hidden_states: expected none, as the network was built"):
        MatryoshkaUNet(block_out_channels=(8, 16))(pictures(8), t, words)


def test_a_mask_of_another_shape_is_refused(solid, t, words, refusal):
    with refusal(r"mask: expected shape \(2, 3\), got shape \(2, 4\)"):
        solid(pictures(8), t, words, torch.ones(2, 4, dtype=torch.bool))


def test_a_mask_that_is_not_boolean_is_refused(solid, t, words, refusal):
    with refusal("mask: expected torch.bool, got torch.float32"):
        solid(pictures(8), t, words, torch.ones(2, 3))


def test_a_text_that_is_all_padding_is_refused(solid, t, words, refusal):
    with refusal("mask: expected at least one token of each text, got one without any"):
        solid(pictures(8), t, words, torch.tensor([[True] * 3, [False] * 3]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_out_channels": ()}, "block_out_channels: expected multiples of"),
        ({"block_out_channels": (8, 12)}, "block_out_channels: expected multiples of"),
        ({"layers_per_block": (1,)}, "layers_per_block: expected one entry for each of 2 levels"),
        ({"layers_per_block": 0}, r"layers_per_block\[0\]: expected a whole number ≥ 1"),
        ({"attention_layers": (0, -1)}, r"attention_layers\[1\]: expected a whole number ≥ 0"),
        ({"time_embed_dim": 36}, "time_embed_dim: expected a multiple of 8, got 36"),
        ({"num_heads": 5}, "num_heads: expected a divisor of"),
        ({"scale": 0}, "scale: expected a whole number ≥ 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, refusal):
    with refusal(message):
        MatryoshkaUNet(**options)


def test_an_outer_width_that_does_not_fit_the_inner_groups_is_refused(refusal):
    with refusal("block_out_channels: expected multiples of norm_num_groups=8"):
        NestedUNet(MatryoshkaUNet(), block_out_channels=(12, 16))
