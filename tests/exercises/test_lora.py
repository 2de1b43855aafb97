import torch

from edudiff.exercises.lora import as_strong, merged, slopes, thin_size
from edudiff.layers.lora import LoRALinear


def filled(out: int, wide: int, rank: int, lora_alpha: float) -> LoRALinear:
    """A layer of the package's whose LoRA is not 0."""
    torch.manual_seed(0)
    layer = LoRALinear(torch.nn.Linear(wide, out, bias=False))
    layer.add("default", rank=rank, lora_alpha=lora_alpha)
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def test_a_layer_of_the_packages_trains_as_many_numbers():
    layer = filled(5, 7, 2, 4.0)
    trained = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    assert trained == thin_size((5,), (7,), 2)


def test_the_slopes_are_those_that_pytorch_finds(generator):
    layer = filled(5, 7, 2, 6.0)
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x, g = torch.randn(4, 7, generator=generator), torch.randn(4, 5, generator=generator)
    layer(x).backward(g)
    for found, expected in zip(slopes(A, B, x, g, 3.0), (A.grad, B.grad), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_layer_of_the_packages_merges_to_the_same_weight():
    layer = filled(5, 7, 2, 6.0)
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = merged(layer.weight.clone(), A, B, 6.0)
    layer.merge()
    torch.testing.assert_close(layer.weight, expected)


def test_first_steps_are_as_large_with_the_new_rank(generator):
    """B's entries move by equal steps of random sign, so that BA grows with the root of r."""

    def size(rank: int, lora_alpha: float) -> float:
        signs = torch.randn(400, rank, generator=generator).sign()
        change = signs @ torch.randn(rank, 400, generator=generator)
        return (lora_alpha / rank * change).std().item()

    assert abs(size(64, as_strong(3.0, 4, 64)) / size(4, 3.0) - 1) < 0.03
