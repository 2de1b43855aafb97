import pytest
import torch

from edudiff.models import unet_checks
from edudiff.models.unet import UNet


def test_one_number_stands_for_all_levels_and_several_for_themselves():
    assert unet_checks.for_each_level(2, 3) == (2, 2, 2)
    assert unet_checks.for_each_level([1, 2], 2) == (1, 2)


@pytest.mark.parametrize("name", ["num_heads", "num_transformer_layers"])
def test_options_for_other_levels_are_refused(name, refusal):
    with refusal(f"{name}: expected one entry for each of 2 levels, got"):
        UNet(block_out_channels=(8, 8), **{name: (1, 1, 1)})


@pytest.mark.parametrize("name", ["num_heads", "num_transformer_layers"])
def test_a_level_with_none_of_them_is_refused(name, refusal):
    with refusal(rf"{name}\[1\]: expected a whole number ≥ 1, got 0"):
        UNet(block_out_channels=(8, 8), **{name: (1, 0)})


@pytest.mark.parametrize("name", ["context_dim", "pooled_dim", "num_time_ids"])
def test_a_width_or_number_of_zero_is_refused(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        UNet(**{name: 0})


def test_heads_that_do_not_divide_a_width_are_refused(refusal):
    with refusal("channels: expected a multiple of 3 heads, got 8"):
        UNet(block_out_channels=(8, 8), context_dim=4, num_heads=3, attention_levels=(True, False))


def test_heads_of_a_level_that_does_not_look_may_be_any():
    UNet(block_out_channels=(8, 8), context_dim=4, num_heads=(3, 2), attention_levels=(False, True))


def test_a_pooled_text_without_a_time_is_refused(refusal):
    with refusal("pooled_dim: expected None without a time, got 8"):
        UNet(context_dim=4, pooled_dim=8, time_embedding=False)


def test_letters_stand_for_any_length():
    unet_checks.shape(torch.zeros(2, 5, 3), (2, "m", 3), "x")
    unet_checks.shape(None, None, "x")


@pytest.mark.parametrize("shape", [(2, 5, 4), (1, 5, 3), (2, 3), (2, 5, 3, 1)])
def test_another_shape_is_refused(shape, refusal):
    with refusal(r"x: expected shape \(2, m, 3\), got shape \("):
        unet_checks.shape(torch.zeros(shape), (2, "m", 3), "x")


def test_nothing_where_something_is_expected_is_refused(refusal):
    with refusal(r"x: expected shape \(2, m\), got none"):
        unet_checks.shape(None, (2, "m"), "x")


def test_something_where_nothing_is_expected_is_refused(refusal):
    with refusal(r"x: expected none, as the network was built, got shape \(2, 3\)"):
        unet_checks.shape(torch.zeros(2, 3), None, "x")


def test_a_picture_that_fits_is_taken():
    unet_checks.picture(torch.zeros(2, 3, 4, 8), 3, halvings=2)


@pytest.mark.parametrize("size", [(4, 6), (2, 8)])
def test_sides_that_cannot_be_halved_so_often_are_refused(size, refusal):
    with refusal("x: expected sides divisible by 4, got"):
        unet_checks.picture(torch.zeros(2, 3, *size), 3, halvings=2)


def test_a_time_is_taken_where_it_is_wanted():
    unet_checks.time(torch.tensor([3, 4]), torch.zeros(2, 3), wanted=True)
    unet_checks.time(None, torch.zeros(2, 3), wanted=False)


@pytest.mark.parametrize("t", [torch.zeros(3, dtype=torch.int64), torch.zeros(2)])
def test_a_time_that_does_not_fit_is_refused(t, refusal):
    with refusal("t: expected"):
        unet_checks.time(t, torch.zeros(2, 3), wanted=True)
