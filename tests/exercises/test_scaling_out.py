import pytest
import torch

from edudiff.exercises.scaling_out import bytes_sent, most_held, stochastic, whole_mean


def test_the_mean_of_unequal_parts_is_that_of_the_whole(generator):
    rows = torch.randn(9, 4, generator=generator)
    parts = rows.split([5, 1, 3])
    means = torch.stack([part.mean(dim=0) for part in parts])
    found = whole_mean(means, torch.tensor([5.0, 1.0, 3.0]))
    torch.testing.assert_close(found, rows.mean(dim=0))


@pytest.mark.parametrize(("layers", "segment"), [(36, 1), (36, 6), (36, 18), (100, 10)])
def test_activations_held_are_those_that_one_counts(layers, segment):
    held, most, kept = 0, 0, set()
    for layer in range(layers):  # forward: the inputs of segments
        kept |= {layer} if layer % segment == 0 else set()
    for first in range(layers - segment, -1, -segment):  # back: a segment's own beside them
        held = len(kept) + segment - 1
        most, kept = max(most, held), kept - {first}
    assert most_held(layers, segment) == most


@pytest.mark.parametrize("number", [2, 5])
def test_a_ring_sends_so_many_bytes_when_one_plays_it(number):
    """Everyone passes one piece of the gradient on in each round; a piece has P/N numbers."""
    weights, sent, complete = 20, 0, [{k} for k in range(number)]  # whose sums are in k's piece
    for _ in range(number - 1):
        sent += 4 * weights // number
        complete = [complete[k - 1] | {k} for k in range(number)]
    assert all(len(each) == number for each in complete)
    sent += (number - 1) * (4 * weights // number)  # and once around
    assert bytes_sent(weights, number, 3) == sent


def test_numbers_rounded_by_dice_are_right_on_average(generator):
    x = torch.full((40_000,), -1.37, dtype=torch.float64)
    dice = torch.rand(40_000, generator=generator, dtype=torch.float64)
    found = stochastic(x, 0.25, dice)
    assert sorted(found.unique().tolist()) == [-1.5, -1.25]
    assert abs(found.mean() + 1.37) < 4 * 0.125 / 40_000**0.5
