import math

import torch

from edudiff.exercises.clip import ensemble, lowest_loss, scale_for
from edudiff.models.clip import contrastive_loss


def test_the_lowest_loss_is_reached_and_not_undercut(generator):
    copies = torch.tensor([1.0, 4.0, 2.0])
    lowest = lowest_loss(copies)
    twins = torch.eye(3).repeat_interleave(copies.long(), dim=0)
    torch.testing.assert_close(contrastive_loss(twins, twins, 100.0), lowest)
    for _ in range(5):
        pictures = torch.randn(7, 4, generator=generator)
        texts = torch.randn(3, 4, generator=generator)[[0, 1, 1, 1, 1, 2, 2]]
        assert contrastive_loss(pictures, texts, 5.0) > lowest


def test_a_softmax_at_that_scale_gives_that_probability():
    for n, p in ((2, 0.9), (50, 0.99)):
        logits = torch.zeros(n, dtype=torch.float64)
        logits[0] = scale_for(n, p)
        assert math.isclose(logits.softmax(dim=0)[0], p)


def test_every_wording_has_the_same_say(generator):
    vectors = torch.randn(3, 5, 4, generator=generator)
    found = ensemble(vectors)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(ensemble(vectors * torch.tensor([9, 0.1, 1])[:, None, None]), found)
