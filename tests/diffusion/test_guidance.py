import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from edudiff.diffusion.guidance import check_scale, guide, rescale
from edudiff.diffusion.prediction import to_x0_and_eps
from edudiff.diffusion.schedule import make_schedule

LINEAR = make_schedule("linear")


def normal(seed: int, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, 4, 4, generator=generator, dtype=torch.float64)


def test_guidance_by_hand():
    found = guide(torch.tensor([[1.0]]), torch.tensor([[3.0]]), 2.5)
    assert found.item() == 6


def test_ho_and_salimans_eq6_with_w_one_less():
    w, unconditional, conditional = 3.0, normal(1), normal(2)
    expected = (1 + w) * conditional - w * unconditional
    found = guide(unconditional, conditional, 1 + w)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_guidance_one_is_off_to_the_last_bit():
    assert torch.equal(guide(normal(1), normal(2), 1.0), normal(2))


def test_guidance_zero_ignores_the_condition():
    assert torch.equal(guide(normal(1), normal(2), 0.0), normal(1))


def test_a_prompt_against_itself_is_not_moved_by_any_guidance():
    torch.testing.assert_close(guide(normal(1), normal(1), 7.5), normal(1))


def test_exchanging_prompt_and_negative_prompt_mirrors_the_scale():
    torch.testing.assert_close(guide(normal(1), normal(2), 0.3), guide(normal(2), normal(1), 0.7))


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_it_does_not_matter_which_answer_is_guided(place, prediction_type):
    xt, t = normal(3), torch.tensor([5, 400, 900])

    def read(answer: torch.Tensor) -> torch.Tensor:
        return to_x0_and_eps(answer, xt, t, LINEAR, prediction_type)[place]

    after = read(guide(normal(1), normal(2), 4.0))
    before = guide(read(normal(1)), read(normal(2)), 4.0)
    torch.testing.assert_close(after, before, atol=1e-9, rtol=1e-9)


def test_guidance_sharpens_a_gaussian():
    # Two Gaussians of one width: guidance moves the centre s times as far, and nothing else.
    x = torch.linspace(-3, 3, 7)[:, None]
    score = guide(-(x - 0.0), -(x - 1.0), 3.0)
    torch.testing.assert_close(score, -(x - 3.0))


@pytest.mark.parametrize("scale", [-0.1, -7.5, float("nan")])
def test_negative_guidance_is_refused(scale, refusal):
    with refusal(r"guidance_scale: expected a number ≥ 0 \(1 is off\)"):
        guide(normal(1), normal(2), scale)


@pytest.mark.parametrize("scale", [-0.5, float("inf"), float("nan")])
def test_a_scale_that_nothing_can_be_drawn_with_is_refused_at_once(scale, refusal):
    with refusal("guidance_scale: expected a finite number ≥ 0"):
        check_scale(scale)


def test_guidance_off_and_none_at_all_are_scales():
    check_scale(0.0)
    check_scale(1.0)


def test_answers_of_different_shape_cannot_be_guided(refusal):
    with refusal("conditional: expected the shape of unconditional"):
        guide(normal(1), normal(2, 1), 3.0)


def test_rescaling_by_nothing_changes_nothing():
    assert torch.equal(rescale(normal(1), normal(2), 0.0), normal(1))


def test_lin_eq15_full_rescaling_gives_each_member_the_spread_of_the_unguided():
    found = rescale(9 * normal(1), normal(2), 1.0)
    torch.testing.assert_close(found.flatten(1).std(1), normal(2).flatten(1).std(1))


def test_lin_eq16_is_a_mean_of_both():
    guided, conditional = 9 * normal(1), normal(2)
    found, full = rescale(guided, conditional, 0.7), rescale(guided, conditional, 1.0)
    torch.testing.assert_close(found, 0.7 * full + 0.3 * guided)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_rescaling_is_that_of_diffusers(share):
    guided = guide(normal(1), normal(2), 7.5)
    expected = rescale_noise_cfg(guided, normal(2), guidance_rescale=share)
    torch.testing.assert_close(rescale(guided, normal(2), share), expected)


def test_rescaling_keeps_members_apart():
    together = rescale(normal(1), normal(2), 0.7)
    alone = rescale(normal(1)[1:2], normal(2)[1:2], 0.7)
    torch.testing.assert_close(alone, together[1:2])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(share, refusal):
    with refusal(r"share: expected a number in \[0, 1\]"):
        rescale(normal(1), normal(2), share)


def test_answers_of_different_shape_cannot_be_rescaled(refusal):
    with refusal("conditional: expected the shape of guided"):
        rescale(normal(1), normal(2, 1), 0.7)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_single_numbers_have_no_spread_and_are_refused(shape, refusal):
    with refusal("guided: expected at least two numbers per member"):
        rescale(torch.ones(shape), torch.ones(shape), 0.7)
