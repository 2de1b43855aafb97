import pytest
import torch

from edudiff.diffusion.threshold import THRESHOLDS, clip, dynamic, dynamic_if, keep


@pytest.fixture
def x0():
    return 2 * torch.randn(3, 1, 8, 8)


def test_keep_changes_nothing(x0):
    assert keep(x0) is x0


def test_clip_by_hand():
    assert clip(torch.tensor([[-3.0, 0.5, 2.0]])).tolist() == [[-1, 0.5, 1]]


def test_dynamic_divides_by_the_quantile():
    x0 = torch.linspace(-3, 3, 61)[None]  # the quantile of its magnitudes at 0.5 is 1.5
    found = dynamic(x0, share=0.5)
    assert found.abs().max() == 1
    torch.testing.assert_close(found, (x0 / 1.5).clamp(-1, 1))


def test_dynamic_leaves_pictures_within_range_alone(x0):
    x0 = x0 / x0.abs().max()
    assert torch.equal(dynamic(x0), x0)


def test_dynamic_divides_by_no_more_than_the_most(x0):
    assert torch.equal(dynamic(x0, most=1.0), clip(x0))
    torch.testing.assert_close(dynamic_if(100 * x0), (100 * x0).clamp(-1.5, 1.5) / 1.5)


def test_each_picture_is_divided_by_a_number_of_its_own(x0):
    torch.testing.assert_close(dynamic(x0)[1:2], dynamic(x0[1:2]))


@pytest.mark.parametrize("name", THRESHOLDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_follows_the_input(name, dtype, x0):
    assert THRESHOLDS[name](x0.to(dtype)).dtype == dtype


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share, x0, refusal):
    with refusal(r"share: expected a number in \[0, 1\]"):
        dynamic(x0, share=share)


@pytest.mark.parametrize("most", [0.5, float("nan")])
def test_a_most_below_1_is_refused(most, x0, refusal):
    with refusal("most: expected a number ≥ 1"):
        dynamic(x0, most=most)
