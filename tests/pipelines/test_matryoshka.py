from dataclasses import replace

import pytest
import torch

from edudiff.diffusion.guidance import guide
from edudiff.diffusion.schedule import make_schedule
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet
from edudiff.pipelines import matryoshka
from edudiff.pipelines.matryoshka import Matryoshka

PROMPTS = ["a red circle", "a blue square"]


class Lengths:
    """Words as long as a text has some; each says how long it is."""

    width = 6

    def check(self, prompts, name="prompts"):
        for i, prompt in enumerate(prompts):
            if len(prompt.split()) > 5:
                raise ValueError(f"{name}[{i}]: too long by {prompt.split()[5:]}")

    def __call__(self, prompts):
        most = max(1, *(len(prompt.split()) for prompt in prompts))
        states, mask = torch.zeros(len(prompts), most, 6), torch.zeros(len(prompts), most)
        for i, prompt in enumerate(prompts):
            for j, word in enumerate(prompt.split() or [""]):
                states[i, j, len(word) % 6], mask[i, j] = 3, 1
        return states, mask.bool()


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(20)
    options = {"block_out_channels": (8, 8), "num_heads": 2, "norm_num_groups": 4}
    inner = MatryoshkaUNet(text_dim=6, scale=4, **options)
    unet = NestedUNet(
        NestedUNet(inner, block_out_channels=(8, 8)), block_out_channels=(4, 8), scale=16
    )
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return Matryoshka(Lengths(), unet.eval(), make_schedule("cosine"), size=16)


def seeded():
    return torch.Generator().manual_seed(5)


def test_every_step_has_pictures_of_all_resolutions(pipe):
    steps = list(matryoshka.sample(pipe, PROMPTS, generator=seeded(), num_inference_steps=3))
    shapes = [[tuple(x.shape) for x in xs] for xs in steps]
    assert shapes == [[(2, 3, 16, 16), (2, 3, 8, 8), (2, 3, 4, 4)]] * 3
    assert all(x.isfinite().all() for xs in steps for x in xs)


def test_pictures_are_the_last_step_within_range(pipe):
    options = {"num_inference_steps": 3, "threshold": "none"}
    found = matryoshka.generate(pipe, PROMPTS, generator=seeded(), **options)
    *_, last = matryoshka.sample(pipe, PROMPTS, generator=seeded(), **options)
    assert all(torch.equal(a, b.clamp(-1, 1)) for a, b in zip(found, last, strict=True))


def test_a_seed_decides_the_pictures(pipe):
    one, two = (
        matryoshka.generate(pipe, PROMPTS, generator=seeded(), num_inference_steps=2)
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_picture_does_not_depend_on_those_after_it(pipe):
    options = {"generator": seeded(), "num_inference_steps": 2}
    alone = matryoshka.generate(pipe, PROMPTS[:1], **options)
    both = matryoshka.generate(pipe, PROMPTS, **options | {"generator": seeded()})
    for a, b in zip(alone, both, strict=True):
        torch.testing.assert_close(a, b[:1], atol=1e-4, rtol=0)


def test_guidance_acts_on_every_stream(pipe):
    xs, t = [torch.randn(2, 3, side, side) for side in (16, 8, 4)], torch.tensor([500, 500])
    with torch.no_grad():
        conditional = matryoshka.denoiser(pipe, PROMPTS, ["", ""], 1.0)(xs, t)
        unconditional = matryoshka.denoiser(pipe, ["", ""], PROMPTS, 1.0)(xs, t)
        found = matryoshka.denoiser(pipe, PROMPTS, ["", ""], 4.0)(xs, t)
    for answer, u, c in zip(found, unconditional, conditional, strict=True):
        torch.testing.assert_close(answer, guide(u, c, 4.0), atol=1e-4, rtol=0)
        assert (answer - c).abs().max() > 1e-4


def test_a_negative_prompt_changes_the_pictures_and_none_is_the_empty_one(pipe):
    found = [
        matryoshka.generate(
            pipe, PROMPTS, generator=seeded(), num_inference_steps=2, negative_prompts=negative
        )[0]
        for negative in (None, ["", ""], ["an ugly thing", "unpleasant"])
    ]
    assert torch.equal(found[0], found[1])
    assert (found[0] - found[2]).abs().max() > 1e-4


@pytest.mark.parametrize("eta", [1.0, None])
def test_sampling_with_noise_depends_on_the_generator_alone(pipe, eta):
    options = {"num_inference_steps": 2, "eta": eta}
    one, two = (
        matryoshka.generate(pipe, PROMPTS, generator=seeded(), **options)[0] for _ in range(2)
    )
    calm = matryoshka.generate(pipe, PROMPTS, generator=seeded(), num_inference_steps=2)[0]
    assert torch.equal(one, two) and not torch.equal(one, calm)


@pytest.mark.parametrize(("spacing", "first"), [("matryoshka", 800), ("trailing", 999)])
def test_the_spacing_decides_where_the_walk_begins(pipe, spacing, first):
    told = []
    hook = pipe.unet.register_forward_hook(lambda module, args, out: told.append(int(args[1][0])))
    steps = matryoshka.sample(
        replace(pipe, spacing=spacing), PROMPTS, generator=seeded(), num_inference_steps=4
    )
    next(iter(steps))
    hook.remove()
    assert told == [first]


def test_schedules_and_sizes_are_those_of_each_resolution(pipe):
    assert pipe.sizes == [16, 8, 4]
    ends = [schedule.alphas_cumprod[500].item() for schedule in pipe.schedules]
    assert ends == sorted(ends)
    assert pipe.smallest_size == 8


def test_weights_in_half_precision_draw_pictures_in_float32(pipe):
    half = replace(pipe, unet=pipe.unet.bfloat16())
    found = matryoshka.generate(half, PROMPTS, generator=seeded(), num_inference_steps=2)
    pipe.unet.float()
    assert {x.dtype for x in found} == {torch.float32}


def test_a_reader_of_other_words_is_refused(pipe, refusal):
    class Other(Lengths):
        width = 7

    with refusal("reader: expected words 6 wide, as the unet has, got 7"):
        replace(pipe, reader=Other())


@pytest.mark.parametrize("size", [12, 0])
def test_a_size_that_the_network_cannot_have_is_refused(pipe, size, refusal):
    with refusal("size: expected a"):
        replace(pipe, size=size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": "a circle"}, "prompts: expected a list of texts"),
        ({"prompts": []}, "prompts: expected one for each of 1 pictures, got 0"),
        ({"prompts": ["a circle", " "]}, r"prompts\[1\]: expected some words"),
        ({"prompts": ["a", "a b c d e f"]}, r"prompts\[1\]: too long by \['f'\]"),
        ({"negative_prompts": ["a b c d e f", ""]}, r"negative_prompts\[0\]: too long by"),
        ({"negative_prompts": ["a"]}, "negative_prompts: expected one for each of 2 pictures"),
        ({"num_inference_steps": 0}, "num_inference_steps: expected"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected a finite number ≥ 0"),
        ({"threshold": "clipp"}, "unknown threshold: .* Did you mean 'clip'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(pipe, arguments, message, refusal):
    with refusal(message):
        matryoshka.sample(pipe, **{"prompts": PROMPTS, "generator": seeded(), **arguments})


def test_an_unknown_spacing_is_refused(pipe, refusal):
    with refusal("unknown spacing"):
        matryoshka.sample(replace(pipe, spacing="even"), PROMPTS, generator=seeded())


def test_an_answer_that_is_not_finite_is_refused(pipe, refusal):
    bias = pipe.unet.conv_out.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias[0] = float("nan")
    with refusal("unet: expected finite answers, got infinity or NaN at t = 999"):
        next(matryoshka.sample(pipe, PROMPTS, generator=seeded()))
    with torch.no_grad():
        bias.copy_(before)
