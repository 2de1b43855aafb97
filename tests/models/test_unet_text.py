"""The U-Net that asks words: Stable Diffusion 1 and 2, SDXL and its refiner."""

import diffusers
import pytest
import torch

from edudiff.layers.pixel_transformer import PixelTransformer
from edudiff.models import unet
from edudiff.models.unet import UNet

# What ours and diffusers' are built with: small versions of the four, equal in everything else.
SMALL = {
    "SD 1.x": (
        {
            "block_out_channels": (8, 8, 16),
            "attention_levels": (True, True, False),
            "num_heads": 2,
        },
        {
            "block_out_channels": (8, 8, 16),
            "down_block_types": ("CrossAttnDownBlock2D",) * 2 + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 2,
            "attention_head_dim": 2,
        },
    ),
    "SD 2.x": (
        {
            "block_out_channels": (8, 16, 16),
            "attention_levels": (True, True, False),
            "num_heads": (1, 2, 4),
            "linear_projection": True,
        },
        {
            "block_out_channels": (8, 16, 16),
            "down_block_types": ("CrossAttnDownBlock2D",) * 2 + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 2,
            "attention_head_dim": (1, 2, 4),
            "use_linear_projection": True,
        },
    ),
    "SDXL": (
        {
            "block_out_channels": (8, 8, 16),
            "attention_levels": (False, True, True),
            "num_heads": (1, 2, 4),
            "num_transformer_layers": (1, 2, 3),
            "linear_projection": True,
            "pooled_dim": 10,
        },
        {
            "block_out_channels": (8, 8, 16),
            "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
            "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
            "attention_head_dim": (1, 2, 4),
            "transformer_layers_per_block": (1, 2, 3),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 10 + 6 * 256,
        },
    ),
    "refiner": (
        {
            "block_out_channels": (8, 16, 16),
            "attention_levels": (False, True, False),
            "num_heads": (1, 2, 4),
            "num_transformer_layers": 2,
            "linear_projection": True,
            "pooled_dim": 10,
            "num_time_ids": 5,
        },
        {
            "block_out_channels": (8, 16, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": (1, 2, 4),
            "transformer_layers_per_block": 2,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 10 + 5 * 256,
        },
    ),
}
# Not the released ones: another clock, and other zeros.
SMALL["another clock"] = (
    SMALL["SDXL"][0] | {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0},
    SMALL["SDXL"][1] | {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0},
)
OURS = {"in_channels": 4, "out_channels": 4, "norm_num_groups": 4, "layers_per_block": 2}
THEIRS = {"norm_num_groups": 4, "layers_per_block": 2}

# The `unet/config.json` of the released models; what they leave out is diffusers' default.
FOUR = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
FOUR_UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
RELEASED = {
    unet.stable_diffusion_1: (
        859_520_964,
        {
            "block_out_channels": (320, 640, 1280, 1280),
            "down_block_types": FOUR,
            "up_block_types": FOUR_UP,
            "layers_per_block": 2,
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
        },
    ),
    unet.stable_diffusion_2: (
        865_910_724,
        {
            "block_out_channels": (320, 640, 1280, 1280),
            "down_block_types": FOUR,
            "up_block_types": FOUR_UP,
            "layers_per_block": 2,
            "attention_head_dim": (5, 10, 20, 20),
            "cross_attention_dim": 1024,
            "use_linear_projection": True,
        },
    ),
    unet.sdxl: (
        2_567_463_684,
        {
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
            "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
            "layers_per_block": 2,
            "attention_head_dim": (5, 10, 20),
            "transformer_layers_per_block": (1, 2, 10),
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    ),
    unet.sdxl_refiner: (
        2_259_526_660,
        {
            "block_out_channels": (384, 768, 1536, 1536),
            "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2 + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
            "layers_per_block": 2,
            "attention_head_dim": (6, 12, 24, 24),
            "transformer_layers_per_block": 4,
            "cross_attention_dim": 1280,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2560,
        },
    ),
}


def pair(name):
    """Ours and diffusers' with the same weights, all of them random, norms and biases too."""
    ours = UNet(context_dim=12, **OURS, **SMALL[name][0])
    theirs = diffusers.UNet2DConditionModel(cross_attention_dim=12, **THEIRS, **SMALL[name][1])
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs.eval()


def question(model, number=2, words=7):
    """x, t and the words; and for SDXL what it is told beside them."""
    x, t = torch.randn(number, 4, 8, 12), torch.tensor([3, 999, 250])[:number]
    context = torch.randn(number, words, model.context_dim)
    if model.pooled_dim is None:
        return (x, t, context), {}
    sizes = torch.randint(0, 1024, (number, model.num_time_ids)).float()
    return (x, t, context), {
        "text_embeds": torch.randn(number, model.pooled_dim),
        "time_ids": sizes,
    }


def their_answer(theirs, args, told):
    return theirs(*args, added_cond_kwargs=told or None).sample


@pytest.fixture
def small():
    return UNet(context_dim=12, **OURS, **SMALL["SD 1.x"][0])


@pytest.fixture
def told_sizes():
    return UNet(context_dim=12, **OURS, **SMALL["SDXL"][0])


@pytest.mark.parametrize("name", SMALL)
def test_the_answer_is_that_of_diffusers(name):
    ours, theirs = pair(name)
    args, told = question(ours)
    expected = their_answer(theirs, args, told)
    assert expected.std() > 0.1
    # Sines of a thousand differ in their fourth digit when a frequency is rounded otherwise.
    torch.testing.assert_close(ours(*args, **told), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_those_of_diffusers_and_reach_every_parameter(name):
    ours, theirs = pair(name)
    args, told = question(ours)
    ours(*args, **told).square().mean().backward()
    their_answer(theirs, args, told).square().mean().backward()
    for parameter_name, parameter in ours.named_parameters():
        expected = theirs.get_parameter(parameter_name).grad
        assert parameter.grad is not None and parameter.grad.any(), parameter_name
        scale = expected.abs().max().item()
        torch.testing.assert_close(parameter.grad, expected, atol=1e-4 * scale, rtol=1e-3)


@pytest.mark.parametrize("make", RELEASED, ids=lambda make: make.__name__)
def test_released_networks_have_as_many_parameters_as_diffusers_counts(make):
    number, config = RELEASED[make]
    with torch.device("meta"):
        ours, theirs = make(), diffusers.UNet2DConditionModel(**config)
    shapes = [
        {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
        for model in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in ours.parameters()) == number
    assert make.__doc__ is not None and f"{number:,} parameters" in make.__doc__


@pytest.mark.parametrize("make", RELEASED, ids=lambda make: make.__name__)
def test_heads_of_released_networks_are_as_many_as_in_diffusers(make):
    with torch.device("meta"):
        ours, theirs = make(), diffusers.UNet2DConditionModel(**RELEASED[make][1])
    expected = {
        name: module.heads for name, module in theirs.named_modules() if hasattr(module, "heads")
    }
    found = {
        name: module.num_heads
        for name, module in ours.named_modules()
        if name.endswith(("attn1", "attn2"))
    }
    assert found == expected


@pytest.mark.parametrize("make", RELEASED, ids=lambda make: make.__name__)
def test_released_networks_tell_time_normalise_and_halve_as_diffusers_does(make):
    with torch.device("meta"):
        ours, theirs = make(), diffusers.UNet2DConditionModel(**RELEASED[make][1])
    names = ("flip_sin_to_cos", "freq_shift", "norm_eps", "norm_num_groups", "downsample_padding")
    assert [getattr(ours, name) for name in names] == [theirs.config[name] for name in names]


@pytest.mark.parametrize("name", SMALL)
def test_the_answer_for_one_picture_does_not_depend_on_the_others(name):
    model, _ = pair(name)
    args, told = question(model, number=3)
    alone = model(*(arg[1:2] for arg in args), **{key: each[1:2] for key, each in told.items()})
    torch.testing.assert_close(alone, model(*args, **told)[1:2], atol=1e-4, rtol=1e-4)


def test_the_order_of_the_words_does_not_matter():
    model, _ = pair("SD 1.x")
    (x, t, context), _ = question(model)
    shuffled = context[:, torch.randperm(7)]
    torch.testing.assert_close(model(x, t, shuffled), model(x, t, context), atol=1e-5, rtol=1e-4)


def test_one_other_word_changes_every_pixel():
    model, _ = pair("SD 1.x")
    (x, t, context), _ = question(model)
    other = context.clone()
    other[:, 3] = torch.randn(12)
    assert ((model(x, t, other) - model(x, t, context)).abs() > 1e-6).all()


@pytest.mark.parametrize("name", ["text_embeds", "time_ids"])
def test_the_pooled_text_and_the_sizes_change_the_answer(name):
    model, _ = pair("SDXL")
    args, told = question(model)
    other = told | {name: told[name].flip(1)}
    assert (model(*args, **other) - model(*args, **told)).abs().max() > 1e-3


def test_the_words_are_asked_on_the_way_down_in_the_middle_and_on_the_way_up(small):
    asked = []
    for name, module in small.named_modules():
        if isinstance(module, PixelTransformer):
            module.register_forward_hook(lambda *args, name=name: asked.append((name, args[1][1])))
    args, _ = question(small)
    small(*args)
    places = [f"down_blocks.{i}.attentions.{j}" for i in (0, 1) for j in (0, 1)]
    places += ["mid_block.attentions.0"]
    places += [f"up_blocks.{i}.attentions.{j}" for i in (1, 2) for j in (0, 1, 2)]
    assert [name for name, _ in asked] == places
    assert all(context is args[2] for _, context in asked)


def test_without_attention_in_the_middle_no_words_are_asked_there():
    model = UNet(context_dim=12, mid_block_add_attention=False, **OURS, **SMALL["SD 1.x"][0])
    assert len(model.mid_block.attentions) == 0
    args, _ = question(model)
    assert model(*args).shape == args[0].shape


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_follows_the_input(told_sizes, dtype):
    (x, t, context), told = question(told_sizes)
    told = {name: each.to(dtype) for name, each in told.items()}
    assert told_sizes.to(dtype)(x.to(dtype), t, context.to(dtype), **told).dtype == dtype


def test_missing_words_are_refused(small, refusal):
    with refusal(r"encoder_hidden_states: expected shape \(2, m, 12\), got none"):
        small(torch.zeros(2, 4, 8, 8), torch.tensor([0, 1]))


@pytest.mark.parametrize("shape", [(2, 7, 11), (3, 7, 12), (2, 12)])
def test_words_of_another_shape_are_refused(small, shape, refusal):
    with refusal(r"encoder_hidden_states: expected shape \(2, m, 12\), got shape"):
        small(torch.zeros(2, 4, 8, 8), torch.tensor([0, 1]), torch.zeros(shape))


def test_words_for_a_network_that_is_told_none_are_refused(refusal):
    with refusal("encoder_hidden_states: expected none, as the network was built, got shape"):
        UNet()(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.zeros(2, 7, 12))


@pytest.mark.parametrize(
    ("name", "expected"), [("text_embeds", r"\(2, 10\)"), ("time_ids", r"\(2, 6\)")]
)
def test_a_missing_pooled_text_or_size_is_refused(told_sizes, name, expected, refusal):
    args, told = question(told_sizes)
    with refusal(f"{name}: expected shape {expected}, got none"):
        told_sizes(*args, **told | {name: None})


@pytest.mark.parametrize(("name", "width"), [("text_embeds", 9), ("time_ids", 5)])
def test_a_pooled_text_or_size_of_another_width_is_refused(told_sizes, name, width, refusal):
    args, told = question(told_sizes)
    with refusal(rf"{name}: expected shape .*, got shape \(2, {width}\)"):
        told_sizes(*args, **told | {name: torch.zeros(2, width)})


@pytest.mark.parametrize("name", ["text_embeds", "time_ids"])
def test_a_pooled_text_or_size_that_is_not_wanted_is_refused(small, name, refusal):
    args, _ = question(small)
    with refusal(f"{name}: expected none, as the network was built, got shape"):
        small(*args, **{name: torch.zeros(2, 6)})


@pytest.mark.slow
def test_the_full_size_network_answers_as_diffusers_does():
    """860 million random weights, held once by both: 3.4 GB, and as much again while it runs."""
    with torch.device("meta"):
        ours = unet.stable_diffusion_1()
        theirs = diffusers.UNet2DConditionModel(**RELEASED[unet.stable_diffusion_1][1]).eval()
    generator = torch.Generator().manual_seed(7)
    weights = {}
    for name, weight in theirs.state_dict().items():
        spread = weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1
        centre = float(weight.ndim == 1 and "norm" in name and name.endswith("weight"))
        weights[name] = torch.empty_like(weight, device="cpu").normal_(
            centre, spread, generator=generator
        )
    for model in (ours, theirs):
        model.load_state_dict(weights, assign=True)
    x, t = torch.randn(1, 4, 32, 32, generator=generator), torch.tensor([500])
    context = torch.randn(1, 77, 768, generator=generator)
    with torch.no_grad():
        found, expected = ours(x, t, context), theirs(x, t, context).sample
    distance = (found - expected).abs().max() / expected.abs().max()
    assert expected.std() > 0.1 and distance < 1e-4
