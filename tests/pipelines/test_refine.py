import pytest
import torch

from edudiff.pipelines.refine import generate_refined, sample_refined
from edudiff.pipelines.text_to_image_xl import decode, load, sample

PROMPTS = ["a red circle left of a blue square"]


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def base(base_folder):
    return load(base_folder)


@pytest.fixture(scope="module")
def refiner(refiner_folder):
    return load(refiner_folder)


def test_both_models_together_take_the_steps_of_one_walk(base, refiner):
    options = {"num_inference_steps": 10, "generator": seeded()}
    steps = list(sample_refined(base, refiner, PROMPTS, split=0.6, **options))
    alone = list(sample(base, PROMPTS, num_inference_steps=10, generator=seeded()))
    assert len(steps) == 10
    assert all(torch.equal(a, b) for a, b in zip(steps[:6], alone[:6], strict=True))
    assert not torch.equal(steps[6], alone[6])


def test_the_last_steps_are_the_refiners(base, refiner):
    options = {"num_inference_steps": 10, "guidance_scale": 2.0}
    steps = list(sample_refined(base, refiner, PROMPTS, generator=seeded(), split=0.6, **options))
    rest = sample(
        refiner, PROMPTS, generator=seeded(), denoising_start=0.6, latents=steps[5], **options
    )
    assert torch.equal(list(rest)[-1], steps[-1])


def test_the_picture_is_what_the_walk_ends_with(base, refiner):
    options = {"num_inference_steps": 5}
    picture = generate_refined(base, refiner, PROMPTS, generator=seeded(), **options)
    steps = list(sample_refined(base, refiner, PROMPTS, generator=seeded(), **options))
    assert torch.equal(picture, decode(refiner, steps[-1]))
    assert picture.shape == (1, 3, 32, 32)


def test_a_split_outside_0_to_1_is_refused(base, refiner):
    with pytest.raises(ValueError, match="denoising_end: expected a share"):
        sample_refined(base, refiner, PROMPTS, generator=seeded(), split=1.0)
