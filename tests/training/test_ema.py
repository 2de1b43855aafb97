import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from edudiff.training.ema import EMA


def set_to(network: nn.Linear, value: float) -> nn.Linear:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def test_the_average_starts_as_a_copy_of_the_network():
    network = nn.Linear(3, 2)
    average = EMA(network).module
    assert torch.equal(average.weight, network.weight)
    assert average.weight.data_ptr() != network.weight.data_ptr()


def test_polyak_average_by_its_formula():
    network = set_to(nn.Linear(1, 1), 0.0)
    ema = EMA(network, decay=0.9)
    ema.num_updates = 1_000_000
    ema.update(set_to(network, 1.0))
    ema.update(set_to(network, 3.0))
    assert ema.module.weight.item() == pytest.approx(0.9 * (0.9 * 0 + 0.1 * 1) + 0.1 * 3)


def test_the_first_update_takes_the_weights_over():
    network = nn.Linear(3, 2)
    ema = EMA(network, decay=0.9)
    ema.update(set_to(network, 5.0))
    assert torch.equal(ema.module.weight, network.weight)


def test_the_second_update_has_a_decay_of_two_elevenths():
    network = nn.Linear(1, 1)
    ema = EMA(network, decay=0.9)
    ema.update(set_to(network, 5.0))
    ema.update(set_to(network, 16.0))
    assert ema.module.weight.item() == pytest.approx(5 * 2 / 11 + 16 * 9 / 11)


def test_a_constant_network_is_its_own_average():
    network = nn.Linear(3, 2)
    ema = EMA(network, decay=0.9)
    for _ in range(20):
        ema.update(network)
    torch.testing.assert_close(ema.module.weight, network.weight)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_the_average_is_that_of_diffusers(decay):
    network = nn.Linear(3, 2)
    ours, theirs = EMA(network, decay=decay), EMAModel(network.parameters(), decay=decay)
    for _ in range(30):
        with torch.no_grad():
            network.weight.add_(torch.randn_like(network.weight))
        ours.update(network)
        theirs.step(network.parameters())
    torch.testing.assert_close(ours.module.weight, theirs.shadow_params[0], atol=1e-6, rtol=1e-6)


def test_a_decay_of_zero_follows_the_network_exactly():
    network = nn.Linear(3, 2)
    ema = EMA(network, decay=0.0)
    for value in (1.0, 7.0):
        ema.update(set_to(network, value))
    assert torch.equal(ema.module.weight, network.weight)


def test_an_update_leaves_the_network_as_it_was():
    network, untouched = nn.Linear(3, 2), nn.Linear(3, 2)
    untouched.load_state_dict(network.state_dict())
    ema = EMA(network, decay=0.5)
    for _ in range(3):
        ema.update(network)
    assert torch.equal(network.weight, untouched.weight)


def test_buffers_are_copied_and_not_averaged():
    network = nn.BatchNorm1d(3)
    ema = EMA(network, decay=0.9)
    for _ in range(3):
        network(torch.randn(8, 3))
        ema.update(network)
    assert torch.equal(ema.module.running_mean, network.running_mean)
    assert ema.module.num_batches_tracked == 3


def test_the_average_is_in_evaluation_mode():
    assert not EMA(nn.Dropout().train()).module.training


def test_the_average_asks_for_no_gradients():
    assert not any(p.requires_grad for p in EMA(nn.Linear(3, 2)).module.parameters())


def test_the_network_goes_on_asking_for_gradients_and_training():
    network = nn.Linear(3, 2)
    EMA(network).update(network)
    assert network.training
    assert all(p.requires_grad for p in network.parameters())


def test_a_saved_average_goes_on_as_if_never_interrupted():
    network = nn.Linear(3, 2)
    ema = EMA(network, decay=0.9)
    for value in (1.0, 7.0):
        ema.update(set_to(network, value))
    again = EMA(nn.Linear(3, 2), decay=0.9)
    again.load_state_dict(ema.state_dict())
    for average in (ema, again):
        average.update(set_to(network, 11.0))
    assert torch.equal(again.module.weight, ema.module.weight)


def test_the_average_lies_on_the_device_of_the_network(device):
    network = nn.Linear(3, 2).to(device)
    ema = EMA(network)
    ema.update(network)
    assert ema.module.weight.device.type == device.type


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, float("nan")])
def test_a_decay_outside_zero_and_one_is_refused(decay, refusal):
    with refusal(r"decay: expected a number in \[0, 1\)"):
        EMA(nn.Linear(3, 2), decay=decay)
