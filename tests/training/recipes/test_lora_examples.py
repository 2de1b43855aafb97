"""What a LoRA learns from: batches, weights of errors, and what is not finite."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import captions, scenes
from edudiff.data.folder import Example
from edudiff.diffusion.min_snr import min_snr_weight
from edudiff.pipelines import text_to_image
from edudiff.training.recipes import lora_examples, lora_pictures, tiny_sd
from edudiff.training.recipes.lora_examples import Examples, LoRASettings
from edudiff.training.recipes.lora_pictures import Pictures


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pipe() -> text_to_image.TextToImage:
    return text_to_image.load(registry.path("tiny-sd"))


@pytest.fixture
def make(pipe, tmp_path, monkeypatch):
    """Examples of eight pictures, whose latents are known; the fifth is held out."""
    latents = torch.randn(8, 4, 16, 16, generator=seeded(1))
    monkeypatch.setattr(lora_pictures, "latents_of", lambda pipe, pictures: latents)
    files = tuple(Example(tmp_path / f"{k}.png") for k in range(8))
    told = tuple(captions.describe(scenes.scene(seed), seed) for seed in range(8))
    pictures = Pictures(tmp_path, files, told)

    def made(**options: object) -> Examples:
        return Examples(pipe, pictures, LoRASettings("lora", 4, 4, **options))

    return made


def test_a_batch_has_the_latents_and_the_text_of_its_pictures(make):
    examples = make()
    batch = examples.draw(64, seeded())
    assert torch.equal(batch["x0"], examples.latents[batch["row"]])
    kept = (batch["context"] != examples.no_text).flatten(1).any(1)
    assert torch.equal(batch["context"][kept], examples.contexts[batch["row"][kept]])
    assert 0.8 < kept.float().mean() < 1
    assert set(batch["row"].tolist()) == {0, 1, 2, 3, 5, 6, 7}


def test_timesteps_are_spread_over_the_whole_table(make):
    t = make().draw(50, seeded())["t"]
    assert t.dtype == torch.int64 and torch.equal(t // 20, torch.arange(50))


def test_with_prior_preservation_every_second_one_is_the_base_s_own(make, monkeypatch):
    own = torch.full((64, 4, 16, 16), 3.0)
    monkeypatch.setattr(lora_examples, "draw_prior", lambda pipe, prompts, seed: own)
    examples = make(prior=["a red star", "a blue circle"], prior_weight=0.5)
    batch = examples.draw(10, seeded())
    assert torch.equal(batch["weight"], torch.tensor([1, 0.5] * 5))
    assert (batch["x0"][1::2] == 3).all() and not (batch["x0"][::2] == 3).any()
    assert (batch["row"][1::2] >= 8).all()
    assert examples.contexts[8].equal(examples.contexts[10])
    assert not examples.contexts[8].equal(examples.contexts[9])


def test_what_the_base_draws_itself_is_what_it_draws_for_these_prompts(pipe, monkeypatch):
    monkeypatch.setattr(lora_pictures, "AT_ONCE", 2)
    prompts = ["a red star", "a blue circle", "a green square"]
    found = lora_examples.draw_prior(pipe, prompts, seed=3)
    first = tiny_sd.draw(pipe, prompts[:2], seeded(3))
    assert found.shape == (3, 4, 8, 8)
    decoded = text_to_image.decode(pipe, found[:2])
    torch.testing.assert_close(decoded, first, atol=1e-3, rtol=0)


@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_the_loss_is_the_weighted_mean_of_the_errors(make, pipe, gamma):
    examples = make(snr_gamma=gamma)
    batch = examples.draw(6, seeded())
    batch["weight"][:3] = 0.5
    with torch.no_grad():
        errors = lora_examples.errors_of(pipe, batch)
        terms = lora_examples.losses(pipe, examples, batch)
    weight = batch["weight"]
    if gamma:
        weight = weight * min_snr_weight(batch["t"], pipe.schedule, "v_prediction", gamma=gamma)
    torch.testing.assert_close(terms["loss"], (weight * errors).mean())
    torch.testing.assert_close(terms["error"], errors.mean())


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_the_error_is_zero_only_for_what_the_base_predicts(
    make, pipe, prediction_type, monkeypatch
):
    batch = make().draw(4, seeded())
    signal, noise = (pipe.schedule.alpha_bar(batch["t"], batch["x0"]) ** 0.5).float(), None
    noise = (1 - signal**2).sqrt()
    right = {"epsilon": batch["eps"], "v_prediction": signal * batch["eps"] - noise * batch["x0"]}
    asked = text_to_image.TextToImage(
        pipe.tokenizer, pipe.text_encoder, pipe.unet, pipe.vae, pipe.schedule, prediction_type
    )
    monkeypatch.setattr(pipe.unet, "forward", lambda xt, t, context: right[prediction_type])
    assert lora_examples.errors_of(asked, batch).abs().max() < 1e-8
    monkeypatch.setattr(pipe.unet, "forward", lambda xt, t, context: batch["x0"])
    assert lora_examples.errors_of(asked, batch).min() > 0.1


def test_an_error_that_is_not_finite_stops_with_the_picture_s_name(make, pipe):
    examples = make()
    batch = examples.draw(6, seeded())
    batch["x0"][2] = torch.nan
    name = examples.names[int(batch["row"][2])]
    with pytest.raises(FloatingPointError, match=f"got nan at {name}; the weights are as before"):
        lora_examples.losses(pipe, examples, batch)


def test_a_picture_of_the_base_s_own_has_no_file(make):
    assert make().name(3) == "3.png"
    assert make().name(8) == "a picture of the base's own"


@pytest.mark.parametrize(
    "options, said",
    [
        ({"rank": 0}, "rank: expected a whole number"),
        ({"lora_alpha": 0.0}, "lora_alpha: expected a number above 0"),
        ({"rate": -1.0}, "rate: expected"),
        ({"prior_weight": 0.0}, "prior_weight: expected"),
        ({"snr_gamma": -1.0}, "snr_gamma: expected a number ≥ 0"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, said, refusal):
    with refusal(said):
        LoRASettings("lora", 4, 4, **options)
