import pytest
import torch

from edudiff.layers.pixel_transformer import PixelTransformer
from edudiff.models.unet import UNet
from edudiff.pipelines.attention_maps import record
from edudiff.pipelines.text_to_image import generate, load, sample

PROMPTS = ["a red circle", "a big green star"]
HEIGHTS = {
    "down_blocks.0": 8,
    "down_blocks.1": 4,
    "mid_block": 4,
    "up_blocks.0": 4,
    "up_blocks.1": 8,
}


@pytest.fixture(scope="module")
def pipe(folder):
    return load(folder)


def seeded():
    return torch.Generator().manual_seed(3)


def unet(**options):
    settings = {"in_channels": 4, "block_out_channels": (16, 32), "context_dim": 6, "num_heads": 2}
    return UNet(**settings, attention_levels=(True, True), **options).requires_grad_(False)


def ask(network, b=1, m=5, height=8, width=8):
    generator = seeded()
    x = torch.randn(b, 4, height, width, generator=generator)
    context = torch.randn(b, m, 6, generator=generator)
    return x, context, network(x, torch.full((b,), 10), context)


def test_there_is_one_map_for_each_layer_step_picture_and_token(pipe):
    with record(pipe.unet, 2) as maps:
        generate(pipe, PROMPTS, generator=seeded(), num_inference_steps=3)
    shapes = {name: {each.shape for each in calls} for name, calls in maps.layers.items()}
    cross = [n for n, each in pipe.unet.named_modules() if n.endswith("attn2")]
    assert set(shapes) == set(cross)
    for name, calls in maps.layers.items():
        assert len(calls) == 3
        side = next(side for block, side in HEIGHTS.items() if name.startswith(block))
        assert shapes[name] == {(2, 12, side, side)}


def test_what_every_place_looks_at_sums_to_one():
    network = unet()
    with record(network, 1) as maps:
        ask(network)
    for calls in maps.layers.values():
        torch.testing.assert_close(calls[0].sum(dim=1), torch.ones(1, *calls[0].shape[2:]))


def test_a_map_is_the_mean_over_heads_of_the_layers_own_weights():
    torch.manual_seed(1)
    network = unet()
    attention = network.down_blocks[1].attentions[0].transformer_blocks[0].attn2
    given = []
    handle = attention.register_forward_hook(
        lambda _, arguments, out: given.append((arguments, out))
    )
    with record(network, 1) as maps:
        ask(network)
    handle.remove()
    (tokens, context), answer = given[0]
    seen = maps.layers["down_blocks.1.attentions.0.transformer_blocks.0.attn2"][0]
    values = attention.to_v(context).unflatten(2, (2, 16)).transpose(1, 2)
    mixed = (attention.weights(tokens, context) @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention.to_out[0](mixed), answer)
    for place in range(16):
        expected = attention.weights(tokens, context)[0, :, place].mean(dim=0)
        torch.testing.assert_close(seen[0, :, place // 4, place % 4], expected)


def test_under_guidance_the_prompts_are_kept_and_not_the_empty_text(pipe):
    x, t = torch.randn(2, 4, 8, 8, generator=seeded()), torch.tensor([500, 500])
    context = torch.randn(4, 12, 16, generator=seeded())
    with torch.no_grad():
        with record(pipe.unet, 2) as both:
            pipe.unet(x.repeat(2, 1, 1, 1), t.repeat(2), context)
        with record(pipe.unet, 2) as alone:
            pipe.unet(x, t, context[2:])
    torch.testing.assert_close(both.at(8), alone.at(8))


def test_the_answers_stay_the_same(pipe):
    def draw():
        return list(sample(pipe, PROMPTS, generator=seeded(), num_inference_steps=2))[-1]

    before = draw()
    with record(pipe.unet, 2):
        during = draw()
    assert torch.equal(before, during)


def test_nothing_is_written_down_after_the_end_even_after_an_error():
    network = unet()
    with pytest.raises(RuntimeError, match="stop"), record(network, 1) as maps:
        raise RuntimeError("stop")
    ask(network)
    assert maps.layers == {}
    assert not any(each._forward_pre_hooks for each in network.modules())


def test_the_mean_is_over_the_layers_of_that_height():
    network = unet()
    with record(network, 1) as maps:
        ask(network)
        ask(network)
    high = [
        calls
        for name, calls in maps.layers.items()
        if name.startswith(("down_blocks.0", "up_blocks.1"))
    ]
    expected = torch.stack([torch.stack(calls) for calls in high]).mean(dim=0)
    assert len(high) == 3
    assert maps.at(8).shape == (2, 1, 5, 8, 8)
    torch.testing.assert_close(maps.at(8), expected)


def test_maps_of_pictures_that_are_not_square_lie_as_the_pictures_do():
    network = unet()
    with record(network, 1) as maps:
        ask(network, height=4, width=12)
    assert {calls[0].shape[2:] for calls in maps.layers.values()} == {(4, 12), (2, 6)}


def test_every_transformer_block_has_maps_of_its_own():
    network = unet(num_transformer_layers=2)
    with record(network, 1) as maps:
        ask(network)
    stacks = [each for each in network.modules() if isinstance(each, PixelTransformer)]
    assert len(maps.layers) == 2 * len(stacks)


def test_a_network_without_words_is_refused(refusal):
    with refusal("unet: expected cross-attention, got a network that is told no words"):
        with record(UNet(attention_levels=(True, True, True)), 1):
            pass


def test_fewer_than_one_prompt_is_refused(refusal):
    with refusal("num_prompts: expected"), record(unet(), 0):
        pass


def test_a_batch_with_fewer_members_than_prompts_is_refused(refusal):
    network = unet()
    with refusal("num_prompts: expected at most 1, got 2"), record(network, 2):
        ask(network)


def test_a_height_that_no_layer_has_is_refused(refusal):
    network = unet()
    with record(network, 1) as maps:
        ask(network)
    with refusal(r"height: expected one of \[4, 8\], got 16"):
        maps.at(16)


def test_maps_of_nothing_are_refused(refusal):
    with record(unet(), 1) as maps, refusal(r"height: expected one of \[\], got 8"):
        maps.at(8)
