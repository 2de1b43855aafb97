"""Who takes which rows. What several processes make of it together is in `test_run`."""

import pytest
import torch

from edudiff.training import parallel

BATCH = {"x": torch.arange(12.0).reshape(6, 2), "label": torch.arange(6)}


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_all_shares_in_a_row_are_the_batch(count):
    shares = [parallel.share(BATCH, index, count) for index in range(count)]
    for name, whole in BATCH.items():
        assert torch.equal(torch.cat([share[name] for share in shares]), whole)


def test_every_share_has_equally_many_rows():
    assert {len(parallel.share(BATCH, index, 3)["label"]) for index in range(3)} == {2}


def test_the_mean_of_the_shares_gradients_is_the_gradient_of_the_batch(generator):
    batch = {"x": torch.randn(6, 2, generator=generator, dtype=torch.float64)}
    weight = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)

    def gradient(rows):
        return torch.autograd.grad((rows["x"] @ weight).tanh().square().mean(), weight)[0]

    parts = torch.stack([gradient(parallel.share(batch, k, 3)) for k in range(3)])
    torch.testing.assert_close(parts.mean(dim=0), gradient(batch), rtol=1e-12, atol=0)
    assert (parts[0] - parts[1]).abs().min() > 1e-3


def test_a_batch_that_cannot_be_shared_equally_is_refused(refusal):
    with refusal("batch: expected rows for 4 processes to share, got 6"):
        parallel.share(BATCH, 0, 4)


def test_tensors_of_different_length_are_refused(refusal):
    with refusal("expected equally many rows everywhere, got {'x': 6, 'label': 5}"):
        parallel.share({**BATCH, "label": torch.arange(5)}, 0, 1)


def test_one_process_gathers_its_own_rows_and_their_slope():
    rows = torch.randn(3, 2, requires_grad=True)
    gathered = parallel.gather_rows(rows)
    gathered.square().sum().backward()
    assert torch.equal(gathered, rows)
    assert torch.equal(rows.grad, 2 * rows)
