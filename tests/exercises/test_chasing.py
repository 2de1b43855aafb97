import torch

from edudiff.exercises.chasing import turn


def test_both_move_along_the_gradients_of_their_game():
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    psi = torch.tensor(-1.2, dtype=torch.float64, requires_grad=True)
    value = -(1 + (psi * theta).exp()).log()
    forger, judge = torch.autograd.grad(value, (theta, psi))
    braked = judge - torch.autograd.grad(0.3 * psi**2 / 2, psi)[0]
    found = turn(theta.item(), psi.item(), 0.3, 0.1)
    expected = (theta - 0.1 * forger).item(), (psi + 0.1 * braked).item()
    torch.testing.assert_close(found, expected)


def test_without_a_penalty_the_path_winds_outwards_and_with_one_it_winds_inwards():
    ends = []
    for gamma in (0.0, 0.5):
        place = (1.0, 1.0)
        for _ in range(600):
            place = turn(*place, gamma, 0.1)
        ends.append(sum(number**2 for number in place) ** 0.5)
    assert ends[0] > 1.4 > 0.1 > ends[1]
