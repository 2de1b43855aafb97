"""One step of the game: who learns from whom, and what is refused."""

import copy

import pytest
import torch
from torch import nn

from edudiff.models import gan
from edudiff.training import adversarial


def players():
    torch.manual_seed(1)
    return gan.Generator(3, (8,), (2,), bounded=False), gan.Discriminator((8,), (2,))


def draw_real(generator):
    return 1 + torch.randn(16, 2, generator=generator)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_eq9_the_penalty_of_a_linear_judge_is_the_square_of_its_slope():
    real = torch.randn(5, 2).requires_grad_()
    judge = nn.Linear(2, 1)
    penalty = adversarial.r1_penalty(judge(real)[:, 0], real)
    torch.testing.assert_close(penalty, judge.weight.square().sum())


def test_the_losses_reported_are_those_before_the_step():
    G, D = players()
    step = adversarial.alternate(G, D, draw_real, learning_rate=1e-12)
    generator = seeded()
    real, z = draw_real(generator), torch.randn(16, 3, generator=generator)
    d_loss = gan.discriminator_loss(D(real), D(G(z))).item()
    g_loss = gan.generator_loss(D(G(z))).item()
    assert step(seeded()) == pytest.approx((d_loss, g_loss), abs=1e-5)


def test_the_generator_answers_the_judge_who_has_just_learned():
    G, D = players()
    before = copy.deepcopy(D)
    _, g_loss = adversarial.alternate(G, D, draw_real, learning_rate=0.05)(seeded())
    generator = seeded()
    draw_real(generator)
    torch.manual_seed(1)
    fake = gan.Generator(3, (8,), (2,), bounded=False)(torch.randn(16, 3, generator=generator))
    assert g_loss == pytest.approx(gan.generator_loss(D(fake)).item(), abs=1e-5)
    assert g_loss != pytest.approx(gan.generator_loss(before(fake)).item(), abs=1e-3)


def test_the_judge_learns_to_tell_real_from_a_forger_that_stands_still():
    G, D = players()
    standing = copy.deepcopy(G.state_dict())
    step, generator = adversarial.alternate(G, D, draw_real, learning_rate=1e-2), seeded()
    losses = []
    for _ in range(200):
        losses.append(step(generator)[0])
        G.load_state_dict(standing)
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])


def test_the_penalty_makes_the_judge_flatter():
    slopes = {}
    for gamma in (0.0, 5.0):
        G, D = players()
        step, generator = adversarial.alternate(G, D, draw_real, r1_gamma=gamma), seeded()
        for _ in range(100):
            step(generator)
        real = draw_real(seeded(5)).requires_grad_()
        slopes[gamma] = adversarial.r1_penalty(D(real), real).item()
    assert slopes[5.0] < 0.5 * slopes[0.0]


def test_more_steps_of_the_generator_draw_more_forgeries():
    positions = []
    for generator_steps in (1, 3):
        generator = seeded()
        adversarial.alternate(*players(), draw_real, generator_steps=generator_steps)(generator)
        positions.append(torch.rand(1, generator=generator))
    assert positions[0] != positions[1]


def test_the_same_seed_trains_the_same_weights():
    weights = []
    for _ in range(2):
        G, D = players()
        step, generator = adversarial.alternate(G, D, draw_real, r1_gamma=0.1), seeded()
        for _ in range(5):
            step(generator)
        weights.append(torch.cat([p.flatten() for p in (*G.parameters(), *D.parameters())]))
    assert torch.equal(*weights)


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    G, D = players()
    before = copy.deepcopy(D.state_dict())
    step = adversarial.alternate(G, D, lambda generator: torch.full((4, 2), torch.nan))
    with pytest.raises(FloatingPointError, match="loss of D: expected a finite number"):
        step(seeded())
    assert all(torch.equal(before[name], value) for name, value in D.state_dict().items())


@pytest.mark.parametrize("gamma", [-0.1, float("nan")])
def test_a_negative_penalty_is_refused(gamma, refusal):
    with refusal("r1_gamma: expected a number"):
        adversarial.alternate(*players(), draw_real, r1_gamma=gamma)


def test_a_game_without_steps_of_the_generator_is_refused(refusal):
    with refusal("generator_steps: expected a whole number"):
        adversarial.alternate(*players(), draw_real, generator_steps=0)
