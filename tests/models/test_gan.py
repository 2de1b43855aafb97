import itertools
import math

import pytest
import torch
from torch import nn

from edudiff.models.gan import (
    Discriminator,
    Generator,
    discriminator_loss,
    generator_loss,
    saturating_generator_loss,
)

LOG_2 = math.log(2)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 4, 5)])
def test_a_forgery_has_the_shape_of_a_datum(shape):
    assert Generator(7, (16,), shape)(torch.randn(5, 7)).shape == (5, *shape)


def test_the_classic_generator_goes_from_100_to_784_through_256_and_512():
    classic = Generator(shape=(1, 28, 28))
    linear = [layer for layer in classic.net if isinstance(layer, nn.Linear)]
    widths = [(layer.in_features, layer.out_features) for layer in linear]
    assert widths == [(100, 256), (256, 512), (512, 784)]


def test_a_bounded_generator_stays_between_minus_one_and_one():
    bounded = Generator(7, (16,), (2,))
    assert bounded(1e4 * torch.randn(100, 7)).abs().max() <= 1


def test_an_unbounded_generator_can_reach_any_point():
    free = Generator(7, (16,), (2,), bounded=False)
    assert free(1e4 * torch.randn(100, 7)).abs().max() > 10


def test_a_bounded_generator_is_the_tanh_of_an_unbounded_one():
    free, bounded = Generator(7, (16,), (2,), bounded=False), Generator(7, (16,), (2,))
    bounded.load_state_dict(free.state_dict())
    z = torch.randn(5, 7)
    torch.testing.assert_close(bounded(z), free(z).tanh())


def test_a_generator_may_have_no_hidden_layer():
    assert len(list(Generator(7, (), (2,)).parameters())) == 2


def test_a_judge_gives_one_logit_for_each_datum():
    assert Discriminator((16,), (1, 8, 8))(torch.randn(5, 1, 8, 8)).shape == (5,)


def test_a_judge_is_sure_of_real_as_well_as_of_false():
    logits = Discriminator((16,), (2,))(100 * torch.randn(500, 2))
    assert logits.min() < 0 < logits.max()


def test_the_judges_last_layer_is_linear_so_that_no_side_is_favoured():
    judge, x = Discriminator((16,), (2,)), torch.randn(50, 2)
    before = judge(x)
    with torch.no_grad():
        for parameter in judge.net[-1].parameters():
            parameter.neg_()
    torch.testing.assert_close(judge(x), -before)


@pytest.mark.parametrize("network", [Generator(7, (16, 8), (2,)), Discriminator((16, 8), (7,))])
def test_there_is_a_bend_between_any_two_linear_layers(network):
    layers = [layer for layer in network.net if not isinstance(layer, nn.Flatten)]
    linear = [isinstance(layer, nn.Linear) for layer in layers]
    assert not any(a and b for a, b in itertools.pairwise(linear))


@pytest.mark.parametrize("network", [Generator(7, (16,), (7,)), Discriminator((16,), (7,))])
def test_the_gradient_reaches_every_parameter(network):
    network(torch.randn(50, 7)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("network", [Generator(7, (16,), (7,)), Discriminator((16,), (7,))])
def test_a_member_of_the_batch_does_not_depend_on_the_others(network):
    batch = torch.randn(4, 7)
    alone = torch.cat([network(row[None]) for row in batch])
    # Matrix products of other sizes may round differently.
    torch.testing.assert_close(alone, network(batch), atol=1e-6, rtol=1e-5)


def test_networks_in_float64_answer_in_float64():
    forged = Generator(7, (16,), (2,)).double()(torch.randn(5, 7, dtype=torch.float64))
    assert Discriminator((16,), (2,)).double()(forged).dtype == torch.float64


@pytest.mark.parametrize("shape", [(5, 6), (7,), (5, 7, 1)])
def test_a_z_of_another_shape_is_refused(shape, refusal):
    with refusal(r"z: expected shape \(b, 7\), got"):
        Generator(7, (16,), (2,))(torch.randn(shape))


@pytest.mark.parametrize("shape", [(5, 64), (5, 1, 8, 7), (5, 8, 8)])
def test_a_datum_of_another_shape_is_refused(shape, refusal):
    with refusal(r"x: expected shape \(b, \*\(1, 8, 8\)\), got"):
        Discriminator((16,), (1, 8, 8))(torch.randn(shape))


def test_a_generator_refuses_a_width_below_one(refusal):
    with refusal("width 1: expected a whole number ≥ 1, got 0"):
        Generator(7, (0,), (2,))


def test_a_generator_refuses_a_latent_below_one(refusal):
    with refusal("width 0: expected a whole number ≥ 1, got 0"):
        Generator(0, (4,), (2,))


def test_a_judge_refuses_a_width_below_one(refusal):
    with refusal("width 1: expected a whole number ≥ 1, got -3"):
        Discriminator((-3,), (2,))


def test_goodfellow_eq1_the_judges_loss_by_hand():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([-1.0, 0.3, 1.5])
    expected = -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()
    torch.testing.assert_close(discriminator_loss(real, fake), expected)


def test_goodfellow_eq1_the_generators_side_by_hand():
    fake = torch.tensor([-1.0, 0.3, 1.5])
    expected = (1 - fake.sigmoid()).log().mean()
    torch.testing.assert_close(saturating_generator_loss(fake), expected)


def test_goodfellow_section_3_the_non_saturating_loss_by_hand():
    fake = torch.tensor([-1.0, 0.3, 1.5])
    torch.testing.assert_close(generator_loss(fake), -fake.sigmoid().log().mean())


def test_a_judge_that_cannot_tell_loses_two_log_2():
    assert discriminator_loss(torch.zeros(3), torch.zeros(4)).item() == pytest.approx(2 * LOG_2)


def test_a_generator_before_a_judge_that_cannot_tell_loses_log_2():
    assert generator_loss(torch.zeros(4)).item() == pytest.approx(LOG_2)


def test_the_saturating_loss_before_a_judge_that_cannot_tell_is_minus_log_2():
    assert saturating_generator_loss(torch.zeros(4)).item() == pytest.approx(-LOG_2)


def test_the_judges_loss_is_nearly_zero_when_it_is_right_and_sure():
    assert discriminator_loss(torch.full((3,), 100.0), torch.full((3,), -100.0)) < 1e-30


@pytest.mark.parametrize("logit", [-100.0, 100.0])
@pytest.mark.parametrize("loss", [generator_loss, saturating_generator_loss])
def test_the_generators_losses_stay_finite_before_a_sure_judge(loss, logit):
    assert loss(torch.tensor([logit])).isfinite()


def test_a_judge_that_is_sure_and_wrong_loses_the_sum_of_its_logits():
    loss = discriminator_loss(torch.tensor([-100.0]), torch.tensor([100.0]))
    assert loss.item() == pytest.approx(200)


def test_a_surely_rejected_forgery_loses_its_logit():
    assert generator_loss(torch.tensor([-100.0])).item() == pytest.approx(100)


@pytest.mark.parametrize("logit", [-100.0, -1.0, 0.0, 0.7, 100.0])
def test_the_saturating_gradient_is_minus_the_judges_probability(logit):
    logits = torch.tensor([logit], requires_grad=True)
    saturating_generator_loss(logits).backward()
    torch.testing.assert_close(logits.grad, -logits.detach().sigmoid())


@pytest.mark.parametrize("logit", [-100.0, -1.0, 0.0, 0.7, 100.0])
def test_the_non_saturating_gradient_is_the_judges_probability_minus_one(logit):
    logits = torch.tensor([logit], requires_grad=True)
    generator_loss(logits).backward()
    torch.testing.assert_close(logits.grad, logits.detach().sigmoid() - 1)


def judged_by(ratio: float) -> torch.Tensor:
    """The judge's loss on two places A and B: real data are A three times in four, forgeries B.

    The judge answers `ratio` times the log-odds that are right, ±log 3.
    """
    a, b = ratio * math.log(3), -ratio * math.log(3)
    return discriminator_loss(torch.tensor([a, a, a, b]), torch.tensor([a, b, b, b]))


@pytest.mark.parametrize("ratio", [-1.0, 0.0, 0.9, 1.1, 3.0])
def test_the_best_judge_answers_the_log_ratio_of_the_densities(ratio):
    assert judged_by(1.0) < judged_by(ratio)


def test_the_best_judges_loss_is_two_log_2_minus_twice_the_jensen_shannon_divergence():
    p, q = torch.tensor([0.75, 0.25]), torch.tensor([0.25, 0.75])
    middle = (p + q) / 2
    divergence = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    assert judged_by(1.0).item() == pytest.approx(2 * LOG_2 - 2 * divergence.item(), abs=1e-6)


def test_the_judges_gradient_pushes_real_up_and_forged_down():
    real, fake = torch.zeros(2, requires_grad=True), torch.zeros(4, requires_grad=True)
    discriminator_loss(real, fake).backward()
    assert torch.equal(real.grad, torch.full((2,), -0.25))
    assert torch.equal(fake.grad, torch.full((4,), 0.125))


@pytest.mark.slow
def test_a_gan_learns_a_gaussian_on_the_line(generator):
    forger = Generator(4, (32,), (1,), bounded=False)
    judge = Discriminator((32,), (1,))
    of_forger = torch.optim.Adam(forger.parameters(), lr=1e-3, betas=(0.5, 0.9))
    of_judge = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.9))
    for _ in range(2000):
        real = 2 + 0.5 * torch.randn(128, 1, generator=generator)
        fake = forger(torch.randn(128, 4, generator=generator))
        of_judge.zero_grad()
        discriminator_loss(judge(real), judge(fake.detach())).backward()
        of_judge.step()
        of_forger.zero_grad()
        generator_loss(judge(fake)).backward()
        of_forger.step()
    found = forger(torch.randn(5000, 4, generator=generator))
    assert found.mean().item() == pytest.approx(2, abs=0.4)
    assert 0.2 < found.std().item() < 0.9
