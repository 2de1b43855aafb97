import pytest
import torch
from torch import nn

from edudiff.evaluation.memory import Peak

KILO = 1000  # numbers of four bytes


def test_a_tensor_counts_while_it_lives():
    with Peak() as peak:
        x = torch.zeros(KILO)
        assert peak.now == 4 * KILO
        del x
        assert peak.now == 0
    assert peak.bytes == 4 * KILO


def test_the_worst_moment_counts_not_the_sum():
    with Peak() as peak:
        for _ in range(5):
            x = torch.zeros(KILO)
            del x
    assert peak.bytes == 4 * KILO


def test_tensors_alive_together_add_up():
    x = torch.zeros(KILO)
    with Peak() as peak:
        y = x + 1
        z = y + x  # y and z
        del y
        z = z * 2  # z, and the new z before the old one goes
    assert z.sum() == 2 * KILO
    assert peak.bytes == 8 * KILO
    assert peak.largest == 4 * KILO


@pytest.mark.parametrize(
    "view", [lambda x: x[10:], lambda x: x.view(10, -1), lambda x: x.add_(1), lambda x: x.detach()]
)
def test_a_view_and_a_change_in_place_take_nothing(view):
    x = torch.zeros(KILO)
    with Peak() as peak:
        view(x)
    assert peak.bytes == 0


def test_a_view_keeps_the_whole_tensor_alive():
    with Peak() as peak:
        x = torch.zeros(KILO)
        first = x[:1]
        del x
        assert peak.now == 4 * KILO
        del first
        assert peak.now == 0


def test_what_was_there_before_does_not_count():
    layer, x = nn.Linear(50, 20).requires_grad_(False), torch.zeros(10, 50)
    with Peak() as peak:
        layer(x)
    assert peak.bytes == 4 * 10 * 20


def test_the_way_back_keeps_what_lies_between():
    layers = nn.Sequential(*[nn.Linear(100, 100, bias=False) for _ in range(4)])
    x = torch.zeros(10, 100)
    with Peak() as forward_only, torch.no_grad():
        layers(x)
    with Peak() as with_gradients:
        layers(x)
    assert forward_only.bytes == 2 * 4 * 10 * 100
    assert with_gradients.bytes == 4 * 4 * 10 * 100


def test_attention_written_out_needs_its_table_and_the_fused_one_does_not():
    q = torch.zeros(1, 2, 256, 8, dtype=torch.float32)
    with Peak() as written:
        (q @ q.mT).softmax(dim=-1) @ q
    with Peak() as fused:
        nn.functional.scaled_dot_product_attention(q, q, q)
    assert written.largest == 4 * 2 * 256 * 256
    assert written.bytes >= 2 * written.largest
    assert fused.bytes < written.largest / 4


@pytest.mark.parametrize(("heads", "n"), [(1, 16), (3, 64)])
def test_for_two_pictures_the_table_takes_eight_bytes_a_head_and_pair_of_places(heads, n):
    q = torch.zeros(2, heads, n, 4, dtype=torch.float32)
    with Peak() as peak:
        (q @ q.mT).softmax(dim=-1)
    assert peak.largest == 2 * heads * n**2 * 4


def test_it_counts_on_the_meta_device_what_it_counts_on_the_cpu():
    counts = []
    for device in ("cpu", "meta"):
        with torch.device(device), torch.no_grad():
            network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU())
            x = torch.zeros(2, 3, 20, 20)
            with Peak() as peak:
                network(x)
        counts.append(peak.bytes)
    assert counts[0] == counts[1] > 0


def test_half_precision_needs_half():
    counts = []
    for dtype in (torch.float32, torch.float16):
        x = torch.zeros(KILO, dtype=dtype)
        with Peak() as peak:
            x * 2
        counts.append(peak.bytes)
    assert counts == [4 * KILO, 2 * KILO]
