import pytest
import torch
from torch import nn

from edudiff.checkpoints import registry
from edudiff.layers import lora
from edudiff.pipelines import text_to_image
from edudiff.training.recipes import contest, tiny_sd
from edudiff.training.recipes.contest import Contestant

PROMPTS = ["a red circle", "a blue star"]


def test_what_two_networks_share_is_counted_once():
    layer = nn.Linear(3, 2)
    assert contest.count_parameters(layer, nn.Sequential(layer, nn.Linear(2, 1))) == 8 + 3


def test_every_shipped_model_can_be_entered():
    assert {"tiny-sd", "tiny-sdxl"} <= set(contest.shipped()) <= set(contest.CONTESTANTS)


@pytest.mark.parametrize("name", ["tiny-sd", "tiny-dit", "tiny-sdxl with its refiner"])
def test_an_entered_model_draws_pictures_of_the_right_size(name):
    one = contest.enter(name)
    pictures = contest.draw(one, PROMPTS)
    assert pictures.shape == (2, 3, 64, 64)
    assert pictures.abs().max() <= 1 and one.parameters > 1e6


def test_it_draws_what_its_recipe_draws():
    pipe = text_to_image.load(registry.path("tiny-sd"))
    with torch.no_grad():
        theirs = tiny_sd.draw(pipe, PROMPTS, torch.Generator().manual_seed(0))
    ours = contest.draw(contest.enter("tiny-sd"), PROMPTS)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)  # attention written out


def test_a_seed_goes_on_from_one_chunk_to_the_next(monkeypatch):
    monkeypatch.setattr(contest, "CHUNK", 2)
    noise = Contestant(lambda some, g: torch.rand(len(some), 3, 4, 4, generator=g), 0)
    expected = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(contest.draw(noise, ["a"] * 5, seed=3), expected)


def test_a_lora_is_taught_beside_the_base():
    pipe = contest.teach_diamonds(num_steps=2)
    matrices = lora.lora_parameters(pipe.unet)
    assert any(bool(each.any()) for name, each in matrices.items() if "lora_B" in name)
    with pytest.raises(ValueError, match="num_steps"):
        contest.teach_diamonds(num_steps=0)


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="contestant"):
        contest.enter("tiny-gan")
