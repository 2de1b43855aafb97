"""The same gradients, bit for bit, for less memory: our U-Net, and every other kind of brick."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from edudiff.evaluation.memory import Peak
from edudiff.layers.attention import write_out
from edudiff.layers.gpt import Block
from edudiff.layers.joint_transformer import JointTransformerBlock
from edudiff.layers.modulated_resnet import ModulatedResnet
from edudiff.layers.pixel_text_attention import PixelTextAttention
from edudiff.layers.resnet import ResnetBlock
from edudiff.layers.transformer import EncoderLayer
from edudiff.models.unet import UNet
from edudiff.training import recompute as module
from edudiff.training.recompute import recompute

X, CONTEXT, T = torch.randn(2, 4, 16, 16), torch.randn(2, 5, 24), torch.tensor([3, 700])


def make_unet() -> UNet:
    return UNet(
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        attention_levels=(True, True),
        context_dim=24,
        norm_num_groups=4,
    )


def gradients(network: UNet) -> list[Tensor]:
    network.zero_grad()
    with sdpa_kernel(SDPBackend.MATH):  # as the recipes do; the way back comes after it
        loss = network(X, T, CONTEXT).square().mean()
    loss.backward()
    return [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("written_out", [False, True])
def test_the_gradients_of_the_u_net_are_the_same_bits(written_out):
    unet = make_unet()
    if written_out:
        write_out(unet)
    before = gradients(unet)
    recompute(unet)
    assert all(map(torch.equal, gradients(unet), before))


def test_the_u_net_needs_much_less_memory():
    unet, needed = make_unet(), []
    for change in (lambda: None, lambda: recompute(unet)):
        change()
        unet.zero_grad()
        with Peak() as peak:
            loss = unet(X, T, CONTEXT).square().mean()
            held = peak.now
            loss.backward()
        needed.append((held, peak.bytes))
    (held, peak), (held_after, peak_after) = needed
    assert held_after < held / 3
    assert peak_after < 0.6 * peak


def test_every_brick_of_the_u_net_computes_twice_where_gradients_are_wanted_and_once_elsewhere():
    unet, calls = make_unet(), []
    for layer in unet.modules():
        if isinstance(layer, ResnetBlock):
            layer.norm1.register_forward_hook(lambda *ignored: calls.append(1))
    number = sum(isinstance(layer, ResnetBlock) for layer in unet.modules())
    recompute(unet)
    gradients(unet)
    assert len(calls) == 2 * number
    with torch.no_grad():
        unet(X, T, CONTEXT)
    assert len(calls) == 3 * number


def test_dropout_drops_the_same_the_second_time():
    torch.manual_seed(0)
    block = Block(8, 2)
    block.mlp = nn.Sequential(nn.Dropout(0.5), block.mlp)
    found = []
    for change in (lambda: None, lambda: recompute(block)):
        change()
        block.zero_grad()
        torch.manual_seed(1)
        block(torch.ones(3, 4, 8))[0].square().sum().backward()
        found.append([parameter.grad.clone() for parameter in block.parameters()])
    assert all(map(torch.equal, *found))


def test_names_and_copies_are_as_before():
    unet = make_unet()
    names = list(unet.state_dict())
    assert recompute(unet) == 4 + 2 + 4 + 4 + 1  # residual blocks and attention: down, middle, up
    twin = copy.deepcopy(unet)
    assert list(unet.state_dict()) == list(twin.state_dict()) == names
    with torch.no_grad():
        unet.conv_in.weight.zero_()
        for parameter in unet.mid_block.parameters():
            parameter.zero_()
    changed, kept = (gradients(each) for each in (unet, twin))
    assert not all(map(torch.equal, changed, kept))


@pytest.mark.parametrize("kind", module.BRICKS, ids=lambda kind: kind.__name__)
def test_no_brick_is_inside_another(kind):
    """A brick in a brick would be computed three times."""
    made = {
        ResnetBlock: lambda: ResnetBlock(16, 16, groups=4),
        ModulatedResnet: lambda: ModulatedResnet(16, 16, temb_channels=8, groups=4),
        EncoderLayer: lambda: EncoderLayer(16, 2, 32, F.gelu, causal=False),
        JointTransformerBlock: lambda: JointTransformerBlock(16, num_heads=2),
        Block: lambda: Block(16, 2),
    }
    if kind in made:
        network = made[kind]()
    else:
        network = next(each for each in everything() if isinstance(each, kind))
    inside = [each for each in network.modules() if isinstance(each, module.BRICKS)]
    assert inside == [network]


def everything() -> list[nn.Module]:
    plain = UNet(block_out_channels=(16,), attention_levels=(True,), norm_num_groups=4)
    text = PixelTextAttention(16, context_dim=8, num_heads=2, groups=4)
    return [*plain.modules(), *make_unet().modules(), text]
