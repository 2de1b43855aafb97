import pytest
import torch
from torch import nn

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.samplers import sample
from edudiff.diffusion.schedule import make_schedule
from edudiff.models.mlp import MLP, ResidualBlock


def awake(**options: object) -> MLP:
    """A small network whose last layer is not zero, so that its answer depends on all of it."""
    network = MLP(**{"width": 16, "depth": 2, "time_dim": 8, **options})
    nn.init.normal_(network.linear_out.weight)
    return network


@pytest.mark.parametrize("shape", [(2,), (1,), (1, 8, 8), (3, 4, 5)])
def test_the_answer_has_the_shape_of_the_question(shape):
    answer = awake(shape=shape)(torch.randn(5, *shape), torch.arange(5))
    assert answer.shape == (5, *shape)


def test_a_new_network_answers_zero():
    assert not MLP((2,))(torch.randn(5, 2), torch.arange(5)).any()


def test_the_gradient_reaches_every_parameter():
    network = awake()
    network(torch.randn(5, 2), torch.arange(5)).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_the_answer_depends_on_the_data():
    network, t = awake(), torch.arange(5)
    assert not torch.allclose(network(torch.randn(5, 2), t), network(torch.randn(5, 2), t))


def test_the_answer_depends_on_the_time():
    network, xt = awake(), torch.randn(1, 2).expand(2, 2)
    first, second = network(xt, torch.tensor([3, 700]))
    assert not torch.allclose(first, second)


def test_each_member_is_answered_at_its_own_time_and_independently_of_the_others():
    network, xt, t = awake(), torch.randn(4, 2), torch.tensor([3, 700, 3, 0])
    together = network(xt, t)
    alone = torch.cat([network(xt[row : row + 1], t[row : row + 1]) for row in range(4)])
    # Matrix products of other sizes may round differently.
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=1e-5)


def test_every_block_adds_to_the_state():
    block = ResidualBlock(8)
    nn.init.zeros_(block.linear_2.weight)
    nn.init.ones_(block.linear_2.bias)
    h = torch.randn(3, 8)
    torch.testing.assert_close(block(h, torch.randn(3, 8)), h + 1)


def test_a_block_hears_the_time_vector():
    block, h = ResidualBlock(8), torch.randn(3, 8)
    assert not torch.allclose(block(h, torch.zeros(3, 8)), block(h, torch.ones(3, 8)))


def test_depth_is_the_number_of_blocks():
    assert len(MLP(depth=5, width=4).blocks) == 5


def test_the_first_linear_layer_sees_the_picture_laid_out_flat():
    assert MLP((1, 8, 8), width=4).linear_in.weight.shape == (4, 64)


def test_the_same_seed_gives_the_same_weights():
    torch.manual_seed(1)
    first = MLP()
    torch.manual_seed(1)
    second = MLP()
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_network_in_float64_answers_in_float64():
    answer = awake().double()(torch.randn(5, 2, dtype=torch.float64), torch.arange(5))
    assert answer.dtype == torch.float64


def test_the_answer_lies_on_the_device_of_the_data(device):
    network = awake().to(device)
    assert network(
        torch.randn(5, 2, device=device), torch.arange(5, device=device)
    ).device.type == (device.type)


@pytest.mark.parametrize("shape", [(5, 3), (5,), (5, 1, 2)])
def test_data_of_another_shape_are_refused(shape, refusal):
    with refusal(r"xt: expected shape \(b, \*\(2,\)\), got"):
        MLP((2,))(torch.randn(shape), torch.arange(5))


def test_one_timestep_for_a_whole_batch_is_refused(refusal):
    with refusal(r"t: expected one timestep each, shape \(5,\), got \(1,\)"):
        MLP((2,))(torch.randn(5, 2), torch.tensor([3]))


@pytest.mark.parametrize("size", ["width", "depth"])
def test_a_size_below_one_is_refused(size, refusal):
    with refusal(f"{size}: expected a whole number ≥ 1, got 0"):
        MLP(**{size: 0})


def test_an_empty_shape_axis_is_refused(refusal):
    with refusal(r"shape\[1\]: expected a whole number ≥ 1, got 0"):
        MLP((1, 0, 8))


@pytest.mark.parametrize(("time_dim", "message"), [(7, "an even number"), (0, "a whole number")])
def test_a_time_embedding_that_cannot_be_halved_is_refused(time_dim, message, refusal):
    with refusal(f"time_dim: expected {message}"):
        MLP(time_dim=time_dim)


@pytest.mark.slow
def test_a_denoiser_learns_two_points_on_the_line(generator):
    schedule, network = make_schedule("cosine", 50), MLP((1,), width=64, depth=2, time_dim=16)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(1500):
        x0 = 2.0 * torch.randint(2, (256, 1), generator=generator) - 1
        eps = torch.randn(256, 1, generator=generator)
        t = torch.randint(50, (256,), generator=generator)
        loss = (network(add_noise(x0, eps, t, schedule), t) - eps).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    *_, found = sample(network, (1000, 1), schedule, generator=generator)
    near = (found.abs() - 1).abs() < 0.2
    assert near.float().mean() > 0.95
    assert (found > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
