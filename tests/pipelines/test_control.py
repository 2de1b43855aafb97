"""Steering a pipeline by a ControlNet: what diffusers draws, and nothing left behind."""

from collections import deque

import diffusers
import pytest
import torch

from edudiff.models import controlnet_bridge
from edudiff.models.controlnet import ControlNet
from edudiff.pipelines import text_to_image
from edudiff.pipelines.control import generate, load, steered
from edudiff.pipelines.editing import image_to_image

PROMPTS = ["a red circle", "a big green star"]
LEVEL = 1 / 255
OPTIONS = {"num_inference_steps": 4, "guidance_scale": 5.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pipe(folder):
    return text_to_image.load(folder)


@pytest.fixture
def controlnet(pipe):
    """One that has something to say."""
    model = ControlNet.from_unet(
        pipe.unet, conditioning_channels=1, conditioning_embedding_out_channels=(8, 8, 8)
    )
    for name, parameter in model.named_parameters():
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def control():
    return (torch.rand(2, 1, 32, 40, generator=seeded(3)) < 0.3).float()


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_the_picture_is_that_of_diffusers(folder, pipe, controlnet, control, guidance_scale, scale):
    theirs = diffusers.StableDiffusionControlNetPipeline.from_pretrained(
        folder, controlnet=controlnet_bridge.to_diffusers(controlnet), local_files_only=True
    )
    theirs.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 6, "guidance_scale": guidance_scale}
    expected = theirs(
        PROMPTS,
        image=control,
        controlnet_conditioning_scale=scale,
        generator=seeded(),
        height=32,
        width=40,
        output_type="pt",
        **options,
    ).images
    options |= {"conditioning_scale": scale, "generator": seeded()}
    pictures = generate(pipe, controlnet, PROMPTS, control, **options)
    torch.testing.assert_close((pictures + 1) / 2, expected, atol=LEVEL, rtol=0)
    assert (pictures.abs() < 1).float().mean() > 0.8


def test_the_control_changes_the_picture_and_another_changes_it_otherwise(
    pipe, controlnet, control
):
    size = {"height": 32, "width": 40}
    without = text_to_image.generate(pipe, PROMPTS, generator=seeded(), **OPTIONS, **size)
    one = generate(pipe, controlnet, PROMPTS, control, generator=seeded(), **OPTIONS)
    other = generate(pipe, controlnet, PROMPTS, 1 - control, generator=seeded(), **OPTIONS)
    assert (one - without).abs().max() > 0.01
    assert (one - other).abs().max() > 0.01


def test_a_scale_of_zero_and_a_control_net_just_made_change_nothing(pipe, controlnet, control):
    size = {"height": 32, "width": 40}
    without = text_to_image.generate(pipe, PROMPTS, generator=seeded(), **OPTIONS, **size)
    fresh = ControlNet.from_unet(
        pipe.unet, conditioning_channels=1, conditioning_embedding_out_channels=(8, 8, 8)
    )
    for model, scale in ((controlnet, 0.0), (fresh, 1.0)):
        options = {"generator": seeded(), "conditioning_scale": scale, **OPTIONS}
        assert torch.equal(generate(pipe, model, PROMPTS, control, **options), without)


def test_nothing_is_left_behind_even_when_drawing_breaks_off(pipe, controlnet, control):
    before = text_to_image.generate(pipe, PROMPTS, generator=seeded(), **OPTIONS)
    generate(pipe, controlnet, PROMPTS, control, generator=seeded(), **OPTIONS)
    with pytest.raises(KeyboardInterrupt), steered(pipe, controlnet, control):
        raise KeyboardInterrupt
    assert torch.equal(text_to_image.generate(pipe, PROMPTS, generator=seeded(), **OPTIONS), before)


def test_image_to_image_can_be_steered_too(pipe, controlnet, control):
    pictures = torch.zeros(2, 3, 32, 40)
    plain = deque(image_to_image(pipe, pictures, PROMPTS, generator=seeded(), **OPTIONS), 1)[0]
    with steered(pipe, controlnet, control):
        made = deque(image_to_image(pipe, pictures, PROMPTS, generator=seeded(), **OPTIONS), 1)[0]
    assert (made - plain).abs().max() > 0.01


def test_gradients_reach_the_control_net_and_not_the_control(pipe, controlnet, control):
    x, t, words = torch.randn(2, 4, 8, 10), torch.tensor([3, 700]), torch.randn(2, 5, 16)
    with steered(pipe, controlnet, control):
        pipe.unet(x, t, words).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in controlnet.parameters())


def test_the_folder_that_diffusers_writes_is_read_again(tmp_path, pipe, controlnet, control):
    controlnet_bridge.to_diffusers(controlnet).half().save_pretrained(tmp_path)
    read = load(tmp_path)
    assert {p.dtype for p in read.parameters()} == {torch.float32} and not read.training
    for name, weight in read.state_dict().items():
        assert torch.equal(weight, controlnet.state_dict()[name].half().float()), name


def test_the_pipeline_and_the_control_net_may_be_of_half_precision(folder, controlnet, control):
    half = text_to_image.load(folder).to("cpu", torch.bfloat16)
    pictures = generate(
        half, controlnet.to(torch.bfloat16), PROMPTS, control, generator=seeded(), **OPTIONS
    )
    assert pictures.isfinite().all()


def test_a_folder_without_one_is_refused(tmp_path, refusal):
    with refusal("folder: expected a diffusers ControlNet, got none in"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with refusal("folder: expected weights that can be read, got"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (torch.zeros(2, 3, 32, 32), r"control: expected shape \(b, 1, h, w\), got \(2, 3, 32, 32"),
        (torch.zeros(2, 32, 32), r"control: expected shape \(b, 1, h, w\), got \(2, 32, 32\)"),
        (torch.zeros(2, 1, 32, 32).long(), "control: expected a floating-point tensor"),
        (torch.full((2, 1, 32, 32), -1.0), r"control: expected values in \[0, 1\]"),
        (torch.zeros(1, 1, 32, 32), "control: expected one for each of 2 prompts, got 1"),
        (torch.zeros(2, 1, 32, 36), "width: expected a multiple of 8"),
    ],
)
def test_a_control_that_cannot_be_is_refused(control, message, pipe, controlnet, refusal):
    with refusal(message):
        generate(pipe, controlnet, PROMPTS, control, generator=seeded())


def test_a_control_for_another_number_or_size_is_refused_when_drawing(
    pipe, controlnet, control, refusal
):
    options = {"generator": seeded(), "num_inference_steps": 1}
    with steered(pipe, controlnet, control):
        with refusal("control: expected one for each picture, got 2"):
            text_to_image.generate(pipe, ["a star"], guidance_scale=1.0, **options)
        with refusal(r"controlnet_cond: expected shape \(4, 1, 32, 32\), got shape \(4, 1, 32, 4"):
            text_to_image.generate(pipe, PROMPTS, **options)


def test_a_control_net_of_another_u_net_is_refused(pipe, control, refusal):
    other = ControlNet(in_channels=4, conditioning_channels=1, context_dim=16)
    with (
        refusal(r"controlnet.block_out_channels: expected \(16, 32\), as unet has, got \(32, 48"),
        steered(pipe, other, control),
    ):
        pass
