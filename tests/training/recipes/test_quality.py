import torch

from edudiff.data import captions, drawing, scenes
from edudiff.training.recipes import quality, tiny_sd


def true_pictures(prompts, generator):
    """The pictures that the captions were written of, found by asking all test scenes."""
    first = quality.FIRST_TEST_SEED
    told = {}
    for split in ("held_out", "train"):
        for seed in range(first, first + 40):
            scene = scenes.scene(seed, split=split)
            told[captions.describe(scene, seed)] = scene
    return drawing.draw([told[prompt] for prompt in prompts], 64)


def grey(prompts, generator):
    return torch.zeros(len(prompts), 3, 64, 64)


def test_true_pictures_are_judged_right_nearly_always():
    found = quality.measure(true_pictures, 40)
    assert min(found["one"], found["two"], found["held_out"], found["colour"]) > 0.85


def test_grey_pictures_show_nothing_that_was_asked_for():
    found = quality.measure(grey, 20)
    assert {"one", "two", "held_out", *quality.NAMED} == set(found)
    assert max(found.values()) == 0


def test_the_measures_are_those_of_stable_diffusion_on_the_same_captions():
    asked = []
    quality.measure(lambda prompts, _: asked.extend(prompts) or grey(prompts, None), 20)
    expected = tiny_sd.test_captions(20) + tiny_sd.test_captions(10, split="held_out")
    assert asked == expected


def test_a_seed_goes_on_from_one_chunk_to_the_next():
    drawn = []

    def noise(prompts, generator):
        drawn.append(torch.rand(len(prompts), generator=generator))
        return grey(prompts, generator)

    quality.judge(noise, tiny_sd.test_captions(quality.CHUNK + 2), seed=5)
    expected = torch.Generator().manual_seed(5)
    for rows in (quality.CHUNK, 2):
        assert torch.equal(drawn.pop(0), torch.rand(rows, generator=expected))
    assert not drawn
