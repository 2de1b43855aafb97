import copy

import diffusers
import pytest
import torch
from torch import nn

from edudiff.models import quantize
from edudiff.models.quantize import (
    FewBits,
    dequantize,
    num_bytes,
    pack,
    quantize_layers,
    unpack,
)


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(8 * 4, 5), nn.SiLU()
    )


@pytest.mark.parametrize(("bits", "largest"), [(8, 127), (4, 7)])
def test_a_row_by_hand(bits, largest):
    weight = torch.tensor([[1.0, -1.0, 0.45, 0.0]])
    q, scale = quantize.quantize(weight, bits)
    assert q.tolist() == [[largest, -largest, round(0.45 * largest), 0]]
    torch.testing.assert_close(scale, torch.tensor([[1 / largest]]))


@pytest.mark.parametrize("shape", [(6, 10), (6, 4, 3, 3), (5, 1), (7,)])
@pytest.mark.parametrize("bits", [8, 4])
def test_eq1_a_weight_moves_by_at_most_half_its_rows_scale(bits, shape):
    weight = drawn(*shape)
    q, scale = quantize.quantize(weight, bits)
    gaps = (dequantize(q, scale) - weight).abs()
    assert (gaps <= scale / 2 * (1 + 1e-5)).all()
    assert gaps.shape == weight.shape


@pytest.mark.parametrize("bits", [8, 4])
def test_a_row_has_a_scale_of_its_own(bits):
    weight = drawn(3, 9)
    louder = weight.clone()
    louder[1] *= 1000
    q, scale = quantize.quantize(weight, bits)
    q_louder, scale_louder = quantize.quantize(louder, bits)
    assert q.equal(q_louder)
    torch.testing.assert_close(scale_louder[1], 1000 * scale[1])
    assert scale_louder[[0, 2]].equal(scale[[0, 2]])


@pytest.mark.parametrize("bits", [8, 4])
def test_what_is_quantized_already_stays_as_it_is(bits):
    once = dequantize(*quantize.quantize(drawn(4, 20), bits))
    torch.testing.assert_close(dequantize(*quantize.quantize(once, bits)), once)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("bits", [8, 4])
def test_the_dtype_is_that_of_the_weight(bits, dtype):
    q, scale = quantize.quantize(drawn(4, 6, dtype=dtype), bits)
    assert q.dtype == torch.int8
    assert scale.dtype == dequantize(q, scale).dtype == dtype


@pytest.mark.parametrize("smallest", [0.0, 1e-9])
def test_a_row_of_nothing_stays_nothing(smallest):
    weight = torch.full((2, 4), smallest, dtype=torch.float16)
    assert dequantize(*quantize.quantize(weight, 4)).equal(torch.zeros_like(weight))


@pytest.mark.parametrize("length", [0, 1, 2, 7, 64])
def test_what_is_packed_comes_back(length):
    q = torch.randint(-8, 8, (length,), generator=torch.Generator().manual_seed(length))
    q = q.to(torch.int8)
    packed = pack(q)
    assert len(packed) == (length + 1) // 2
    assert unpack(packed, q.shape).equal(q)


def test_two_numbers_share_a_byte_by_hand():
    packed = pack(torch.tensor([-8, 7, 0], dtype=torch.int8))
    assert packed.tolist() == [0 * 16 + 15, 8 * 16]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantized_layer_computes_with_the_weights_it_stands_for(bits):
    plain = network()
    few = quantize_layers(copy.deepcopy(plain), bits)
    for layer in plain:
        if hasattr(layer, "weight") and not isinstance(layer, nn.GroupNorm):
            layer.weight.data = dequantize(*quantize.quantize(layer.weight.data, bits))
    x = drawn(2, 3, 4, 4)
    torch.testing.assert_close(few(x), plain(x))


def test_norms_and_biases_stay_as_they_are():
    plain = network()
    few = quantize_layers(copy.deepcopy(plain), 4)
    assert few[1].weight.equal(plain[1].weight)
    assert few[3].bias.equal(plain[3].bias)


@pytest.mark.parametrize(("bits", "each"), [(8, 1), (4, 0.5)])
def test_bytes_are_those_of_the_numbers_the_scales_and_the_rest(bits, each):
    plain = network()
    assert num_bytes(plain) == 4 * sum(p.numel() for p in plain.parameters())
    weights, rows, rest = 8 * 27 + 5 * 32, 8 + 5, 8 + 5 + 16
    assert num_bytes(quantize_layers(plain, bits)) == weights * each + 4 * rows + 4 * rest


def test_a_unet_of_the_library_can_be_quantized_and_still_runs():
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=12,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    inputs = (drawn(1, 4, 8, 8), 500, drawn(1, 5, 12))
    with torch.no_grad():
        before = unet(*inputs).sample
        after = quantize_layers(unet, 8)(*inputs).sample
    assert 0 < (after - before).abs().max() < 0.05 * before.abs().max()


def test_weights_are_kept_in_a_state_dict_and_read_again():
    few = quantize_layers(network(), 4)
    torch.manual_seed(1)
    other = quantize_layers(network(), 4)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(few.state_dict())
    x = drawn(1, 3, 4, 4)
    assert other(x).equal(few(x))


@pytest.mark.parametrize("bits", [0, 2, 16, 8.5])
def test_other_bits_are_refused(bits, refusal):
    with refusal(f"bits: expected 8 or 4, got {bits}"):
        quantize.quantize(drawn(2, 2), bits)


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_weight_that_is_not_finite_is_refused(value, refusal):
    with refusal("weight: expected finite numbers"):
        quantize.quantize(torch.tensor([[1.0, value]]))


def test_numbers_too_large_for_4_bits_are_refused(refusal):
    with refusal("q: expected numbers in −8…7, got -3…9"):
        pack(torch.tensor([-3, 9], dtype=torch.int8))


def test_bytes_for_another_shape_are_refused(refusal):
    with refusal("packed: expected 3 bytes, got 2"):
        unpack(torch.zeros(2, dtype=torch.uint8), torch.Size([5]))


def test_quantizing_twice_is_refused(refusal):
    few = quantize_layers(network(), 8)
    with refusal("network: expected plain weights"):
        quantize_layers(few, 4)


def test_the_parametrization_makes_weights_anew_at_every_use():
    layer = nn.Linear(6, 3).requires_grad_(False)
    nn.utils.parametrize.register_parametrization(layer, "weight", FewBits(4))
    kept = layer.parametrizations.weight
    kept.original1.data *= 2
    torch.testing.assert_close(
        layer.weight, dequantize(unpack(kept.original0, torch.Size([3, 6])), kept.original1)
    )
