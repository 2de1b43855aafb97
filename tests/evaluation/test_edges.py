"""The F-score of edges."""

import pytest
import torch

from edudiff.evaluation.edges import edge_agreement


def line(*columns, size=16):
    """Upright lines, one pixel thick."""
    edges = torch.zeros(1, 1, size, size)
    for column in columns:
        edges[..., column] = 1
    return edges


@pytest.mark.parametrize("tolerance", [0, 1, 3])
def test_an_edge_map_agrees_with_itself(tolerance):
    edges = (torch.rand(3, 1, 16, 16) < 0.2).float()
    assert torch.equal(edge_agreement(edges, edges, tolerance), torch.ones(3))


@pytest.mark.parametrize(("tolerance", "most"), [(0, 0), (1, 1), (2, 2)])
def test_edges_may_be_as_far_off_as_the_tolerance_says(tolerance, most):
    for off in range(4):
        expected = float(off <= most)
        assert edge_agreement(line(5), line(5 + off), tolerance).item() == expected


def test_what_is_missed_lowers_recall_and_what_is_too_much_lowers_precision():
    # precision 1 and recall 1/2, and the other way round: F = 2 · 1 · ½ / (1 + ½)
    assert edge_agreement(line(3), line(3, 10)).item() == pytest.approx(2 / 3)
    assert edge_agreement(line(3, 10), line(3)).item() == pytest.approx(2 / 3)


def test_it_is_the_harmonic_mean_of_precision_and_recall():
    # of 4 found 1 is right, of 2 asked for 1 is found
    agreement = edge_agreement(line(1, 6, 10, 14), line(1, 3), 0)
    assert agreement.item() == pytest.approx(2 * 0.25 * 0.5 / 0.75)


def test_nothing_for_nothing_is_right_and_nothing_for_something_is_not():
    nothing = line()
    assert edge_agreement(nothing, nothing).item() == 1
    assert edge_agreement(nothing, line(3)).item() == 0
    assert edge_agreement(line(3), nothing).item() == 0


def test_each_picture_is_judged_by_itself():
    found, asked = torch.cat([line(3), line(3), line()]), torch.cat([line(3), line(9), line()])
    assert edge_agreement(found, asked).tolist() == [1, 0, 1]


def test_the_border_is_no_partner():
    assert edge_agreement(line(0), line(15), 1).item() == 0


def test_random_dots_agree_little_and_exactly_as_counted():
    found = (torch.rand(1, 1, 20, 20) < 0.1).float()
    asked = (torch.rand(1, 1, 20, 20) < 0.1).float()
    ours, theirs = ([(y, x) for y, x in m[0, 0].nonzero().tolist()] for m in (found, asked))

    def share(some, others):
        near = [any(max(abs(y - v), abs(x - u)) <= 1 for v, u in others) for y, x in some]
        return sum(near) / len(near)

    p, r = share(ours, theirs), share(theirs, ours)
    assert edge_agreement(found, asked).item() == pytest.approx(2 * p * r / (p + r), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asked": line(3, size=8)}, "asked: expected the shape of found"),
        ({"found": line(3) / 2}, "found: expected 0 and 1"),
        ({"asked": line(3).long()}, "asked: expected a floating-point"),
        ({"tolerance": -1}, "tolerance: expected a whole number ≥ 0, got -1"),
    ],
)
def test_what_is_no_edge_map_is_refused(change, message, refusal):
    with refusal(message):
        edge_agreement(**{"found": line(3), "asked": line(3), **change})
