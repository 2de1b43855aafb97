import dataclasses

import pytest
import torch

from edudiff.data.tokens import make_tokenizer, tokenize
from edudiff.diffusion.flow import flow_times
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.mmdit import MMDiT
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines.flow_to_image import FlowToImage, decode, flow_model, generate, read, sample

WORDS = ["a red circle left of a blue square", "a big green star", "two small yellow triangles"]
LENGTH = 12


def make_text(tokenizer, width=8, projection_dim=6):
    tower = TextTransformer(
        len(tokenizer),
        tokenizer.eos_token_id,
        width=width,
        num_layers=2,
        num_heads=2,
        context_length=LENGTH,
    )
    return TextWithProjection(tower, projection_dim)


def make_pipe(**transformer):
    torch.manual_seed(20)
    tokenizer = make_tokenizer(WORDS, num_merges=50, context_length=LENGTH)
    sizes = {"sample_size": 4, "num_layers": 2, "num_heads": 2, "head_dim": 8}
    text = {"context_dim": 20, "pooled_dim": 10, "pos_embed_max_size": 6}
    pipe = FlowToImage(
        tokenizer,
        make_text(tokenizer),
        make_text(tokenizer, width=10, projection_dim=4),
        MMDiT(**sizes | text | transformer),
        AutoencoderKL(block_out_channels=(4, 4), scaling_factor=0.7),
    )
    for network in (*pipe.text_encoders, pipe.transformer):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        network.eval()
    return pipe


@pytest.fixture(scope="module")
def pipe():
    return make_pipe()


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def last(steps):
    return [*steps][-1]


def test_the_latents_after_each_step_come_out(pipe):
    found = [*sample(pipe, WORDS, generator=seeded(), num_inference_steps=4)]
    assert len(found) == 4 and all(each.shape == (3, 4, 4, 4) for each in found)


def test_the_walk_is_euler_s_by_hand(pipe):
    x = torch.randn(1, 4, 4, 4, generator=seeded())
    ids = tokenize(WORDS[:1], pipe.tokenizer)
    for s, s_next in ((1.0, 0.5), (0.5, 0.0)):
        with torch.no_grad():
            u = pipe.transformer(x, torch.tensor([1000 * s]), *read(pipe, ids))
        x = x + (s_next - s) * u
    options = {"num_inference_steps": 2, "guidance_scale": 1.0}
    found = last(sample(pipe, WORDS[:1], generator=seeded(), **options))
    torch.testing.assert_close(found, x)


def test_what_both_encoders_say_stands_side_by_side_and_zeros_fill_the_rest(pipe):
    ids = tokenize(WORDS, pipe.tokenizer)
    told = read(pipe, ids)
    first, second = pipe.text_encoder(ids), pipe.text_encoder_2(ids)
    assert torch.equal(told.context[..., :8], first.hidden_states[-2])
    assert torch.equal(told.context[..., 8:18], second.hidden_states[-2])
    assert not told.context[..., 18:].any()
    assert torch.equal(told.pooled, torch.cat([first.text_embeds, second.text_embeds], dim=1))


def test_one_encoder_may_stand_in_both_places(pipe):
    transformer = MMDiT(num_layers=1, context_dim=16, pooled_dim=12)
    twice = dataclasses.replace(pipe, text_encoder_2=pipe.text_encoder, transformer=transformer)
    told = read(twice, tokenize(WORDS, pipe.tokenizer))
    assert torch.equal(told.context[..., :8], told.context[..., 8:16])


def test_guidance_goes_on_from_the_answer_without_words_past_the_one_with_them(pipe):
    x, s = torch.randn(1, 4, 4, 4), torch.tensor([0.6])
    alone = flow_model(pipe, WORDS[:1], [""], 1.0)(x, s)
    without, guided = flow_model(pipe, WORDS[:1], [""], 0.0)(x, s), None
    guided = flow_model(pipe, WORDS[:1], [""], 3.0)(x, s)
    torch.testing.assert_close(guided, without + 3 * (alone - without), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(alone, without, atol=1e-3)


def test_a_negative_prompt_takes_the_place_of_no_text(pipe):
    x, s = torch.randn(1, 4, 4, 4), torch.tensor([0.6])
    away = flow_model(pipe, WORDS[:1], WORDS[1:2], 0.0)(x, s)
    torch.testing.assert_close(away, flow_model(pipe, WORDS[1:2], [""], 1.0)(x, s))


def test_a_shift_changes_the_times(pipe):
    asked = []
    net = pipe.transformer
    handle = net.register_forward_pre_hook(lambda _, given: asked.append(given[1][0].item()))
    shifted = dataclasses.replace(pipe, shift=3.0)
    last(sample(shifted, WORDS[:1], generator=seeded(), num_inference_steps=4))
    handle.remove()
    assert asked == pytest.approx((1000 * flow_times(4, 3.0)).tolist())


def test_a_seed_means_the_same_picture_whatever_comes_after_it(pipe):
    options = {"num_inference_steps": 2}
    alone = generate(pipe, WORDS[:1], generator=seeded(), **options)
    torch.testing.assert_close(
        generate(pipe, WORDS, generator=seeded(), **options)[:1], alone, atol=1e-4, rtol=1e-3
    )


def test_another_size_may_be_asked_for(pipe):
    found = generate(pipe, WORDS[:1], generator=seeded(), num_inference_steps=1, size=12)
    assert (pipe.size, pipe.smallest_size, found.shape) == (8, 2, (1, 3, 12, 12))


def test_pictures_are_within_one(pipe):
    found = decode(pipe, 100 * torch.randn(1, 4, 4, 4))
    assert found.abs().max() == 1


def test_networks_move_together():
    pipe = make_pipe().to("cpu", torch.float64)
    found = generate(pipe, WORDS[:1], generator=seeded(), num_inference_steps=1)
    assert found.isfinite().all()
    assert pipe.vae.quant_conv.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 3}, "transformer.in_channels: expected 4, as the vae has, got 3"),
        ({"out_channels": 8}, "transformer.out_channels: expected 4, as the vae has, got 8"),
        ({"pooled_dim": 9}, "transformer.pooled_dim: expected 10, as both text encoders have"),
        ({"context_dim": 17}, "transformer.context_dim: expected ≥ 18, as both text encoders"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options, message, refusal):
    with refusal(message):
        make_pipe(**options)


def test_a_tokeniser_of_another_length_is_refused(pipe, refusal):
    longer = make_tokenizer(WORDS, num_merges=50, context_length=LENGTH + 1)
    with refusal("tokenizer: expected at most .* texts of 12"):
        dataclasses.replace(pipe, tokenizer=longer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": "a red star"}, "prompts: expected a list of texts"),
        ({"prompts": [" "]}, r"prompts\[0\]: expected some words"),
        ({"negative_prompts": ["a", "b"]}, "negative_prompts: expected one for each of 1"),
        ({"num_inference_steps": 0}, "num_inference_steps: expected a whole number ≥ 1"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected a finite number ≥ 0"),
        ({"size": 9}, "size: expected a multiple of 2 up to 12, got 9"),
        ({"size": 14}, "size: expected a multiple of 2 up to 12, got 14"),
    ],
)
def test_what_cannot_be_sampled_is_refused_at_once(pipe, changes, message, refusal):
    options = {"prompts": WORDS[:1], "generator": seeded()} | changes
    with refusal(message):
        sample(pipe, options.pop("prompts"), **options)


def test_an_infinite_answer_is_refused_while_walking(refusal):
    broken = make_pipe()
    torch.nn.init.constant_(broken.transformer.proj_out.bias, torch.inf)
    with refusal("transformer: expected finite answers, got NaN or ∞ at s = 1"):
        next(sample(broken, WORDS[:1], generator=seeded()))


def test_infinite_pictures_are_refused(refusal):
    broken = make_pipe()
    torch.nn.init.constant_(broken.vae.decoder.conv_out.bias, torch.inf)
    with refusal("vae: expected finite pictures"):
        decode(broken, torch.randn(1, 4, 4, 4))
