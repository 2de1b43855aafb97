"""The measures, held against pictures that are drawn as they should be instead of generated."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import scenes, views
from edudiff.pipelines import text_to_image
from edudiff.training.recipes import quality, tiny_sd, tiny_sdxl, xl_quality

PROMPTS = xl_quality.lone_objects(tiny_sd.test_captions(60))


@pytest.fixture(scope="module")
def pipe():
    """Never asked: its pictures are drawn."""
    return tiny_sdxl.make_pipe(text_to_image.load(registry.path("tiny-sd")))


def perfect(pipe, prompts, *, height=64, width=64, original_size=None, **told):
    """What a pipeline would draw that does exactly what it is told."""
    seeds = {p: quality.FIRST_TEST_SEED + k for k, p in enumerate(tiny_sd.test_captions(60))}
    top, left = told.get("crops_coords_top_left", (0, 0))
    short = min(height, width)
    original = short if original_size is None else min(original_size)
    shown = short + max(top, left) + (short // 8 if top or left else 0)
    look = views.View(height, width, original, shown, top, left)
    some = scenes.scenes([seeds[prompt] for prompt in prompts])
    return views.draw_views(some, [look] * len(some))


def test_lone_objects_are_those_of_one_object():
    assert PROMPTS
    assert all(" and " not in prompt and "left of" not in prompt for prompt in PROMPTS)


def test_a_pipeline_that_does_what_it_is_told_measures_so(pipe, monkeypatch):
    monkeypatch.setattr(xl_quality, "pictures_of", perfect)
    found = xl_quality.measure_told(pipe, PROMPTS)
    assert found["sharp_small"] < 0.5 * found["sharp_full"]
    assert found["inside_0"] > 0.95 > found["inside_crop"] + 0.1
    assert min(found[name] for name in ("square", "wide", "tall")) >= 0.9


def test_a_pipeline_that_hears_nothing_of_sizes_measures_so(pipe, monkeypatch):
    def deaf(pipe, prompts, *, height=64, width=64, **told):
        picture = perfect(pipe, prompts)
        return torch.nn.functional.interpolate(picture, (height, width), mode="bilinear")

    monkeypatch.setattr(xl_quality, "pictures_of", deaf)
    found = xl_quality.measure_told(pipe, PROMPTS)
    assert found["sharp_small"] == pytest.approx(found["sharp_full"])
    assert found["inside_0"] == pytest.approx(found["inside_crop"])
    assert found["wide"] < 0.5 < found["square"]


def test_all_measures_of_tiny_sd_are_measured_too(pipe, monkeypatch):
    def drawn(pipe, prompts, **options):
        seeds = range(quality.FIRST_TEST_SEED, quality.FIRST_TEST_SEED + 200)
        known = {
            prompt: scenes.scene(seed, split=split)
            for split in ("train", "held_out")
            for seed, prompt in zip(seeds, tiny_sd.test_captions(200, split=split), strict=True)
        }
        size = (options.get("height", 64), options.get("width", 64))
        some = [known[prompt] for prompt in prompts]
        return views.draw_views(some, [views.View(*size, *(2 * [min(size)]))] * len(some))

    monkeypatch.setattr(xl_quality.text_to_image_xl, "generate", drawn)
    found = xl_quality.measure(pipe, count=30)
    for name in ("one", "two", "held_out", "count", "colour", "shape", "binding", "relation"):
        assert found[name] >= 0.9
