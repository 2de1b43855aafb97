"""The recipe in which every word learns where its thing is."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import captions, mentions, scenes
from edudiff.pipelines.text_to_image import load
from edudiff.training.recipes import tiny_sd, tiny_sd_places, tiny_sd_words
from edudiff.training.recipes.tiny_sd_places import COLOURS, SHAPES, UNIT

NUM_SCENES = 64


@pytest.fixture(scope="module")
def job():
    return tiny_sd_places.prepare(0, num_steps=4)


@pytest.fixture(scope="module")
def examples():
    return tiny_sd_places.Examples(load(registry.path("tiny-sd")), range(NUM_SCENES))


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_begins_with_the_shipped_weights(job):
    shipped = load(registry.path("tiny-sd"))
    for name in ("unet", "text_encoder"):
        theirs = getattr(shipped, name).float().parameters()
        assert all(map(torch.equal, job.network[name].parameters(), theirs))


class Stopped(Exception):
    pass


def test_its_scenes_are_not_those_of_the_trainings_before(monkeypatch):
    seen = []

    def note(pipe, seeds):
        seen.extend(seeds)
        raise Stopped

    for module, count in ((tiny_sd_words, 5), (tiny_sd_places, 3)):
        monkeypatch.setattr(module, "Examples", note)
        for seed in range(count):
            with pytest.raises(Stopped):
                module.prepare(seed, num_steps=2)
    assert 0 < len(seen) == len(set(seen))
    assert max(seen) < scenes.FIRST_TEST_SEED


def test_each_caption_comes_with_what_it_speaks_of(examples):
    batch = examples.draw_choosing(examples.two, 48, seeded())
    for row, ids in enumerate(batch["input_ids"]):
        said = examples.tokenizer.decode(ids, skip_special_tokens=True)
        assert torch.equal(batch["x0"][row], examples.latents[batch["rows"][row]])
        if not said:
            assert (batch["about"][row] == -1).all()
            continue
        scene = scenes.scene(int(batch["rows"][row]))
        assert captions.describe(scene, int(batch["rows"][row])).replace(",", "") == said.replace(
            " ,", ""
        )
        objects = mentions.in_order(scene, said)
        assert batch["about"][row].max() == len(objects) - 1
        for number, thing in enumerate(objects):
            x, y, radius = batch["geometry"][row, number] * UNIT
            assert (x + 0.5, y + 0.5, radius + 0.2) == pytest.approx(
                (thing.x, thing.y, thing.radius)
            )
            colour, shape = batch["kinds"][row, number].tolist()
            assert (COLOURS[colour], SHAPES[shape]) == (thing.colour, thing.shape)


def told_rightly(batch):
    """States that hold what is to be told, and a lesson that reads it off."""
    width = 3 + len(COLOURS) + len(SHAPES)
    lesson = tiny_sd_places.Lesson(width)
    with torch.no_grad():
        lesson.weight.copy_(torch.eye(width))
        lesson.bias.zero_()
    rows = torch.arange(len(batch["about"]))[:, None]
    which = batch["about"].clamp(min=0)
    colour, shape = batch["kinds"][rows, which].unbind(dim=2)
    one_hot = torch.nn.functional.one_hot
    states = [
        batch["geometry"][rows, which],
        50.0 * one_hot(colour, len(COLOURS)),
        50.0 * one_hot(shape, len(SHAPES)),
    ]
    return torch.cat(states, dim=2), lesson


def test_the_lesson_asks_words_for_their_own_object_and_no_others(examples):
    batch = examples.draw_choosing(examples.two, 16, seeded())
    states, lesson = told_rightly(batch)
    assert all(
        x.item() == pytest.approx(0, abs=1e-6) for x in lesson.errors(states, batch).values()
    )
    unasked = torch.where((batch["about"] < 0)[..., None], 99.0, states)
    assert all(
        x.item() == pytest.approx(0, abs=1e-6) for x in lesson.errors(unasked, batch).values()
    )
    other = batch | {"about": torch.where(batch["about"] >= 0, 1 - batch["about"], -1)}
    assert lesson.errors(states, other)["place"] > 0.1


def test_captions_count_alike_and_none_at_all_costs_nothing(examples):
    batch = examples.draw_choosing(examples.two, 16, seeded())
    states, lesson = told_rightly(batch)
    named = (batch["about"] >= 0).any(dim=1)
    row = int(named.nonzero()[0])
    states[row, :, 0] += 3**0.5  # x alone, by the root of 3: 1 in the mean of three squares
    place = lesson.errors(states, batch)["place"].item()
    assert place == pytest.approx(1 / named.sum().item(), rel=1e-4)
    nothing = batch | {"about": torch.full_like(batch["about"], -1)}
    assert all(x.item() == 0 for x in lesson.errors(states, nothing).values())


def test_the_loss_is_that_of_the_u_net_and_the_lesson(job):
    batch = job.draw(8, seeded())
    found = job.losses(batch)
    shipped = load(registry.path("tiny-sd"))
    shipped.unet.float(), shipped.text_encoder.float()
    with torch.no_grad():
        before = tiny_sd_words.losses(shipped, batch)
    lesson = sum(found[name] for name in ("place", "colour", "shape"))
    expected = before["loss"] + tiny_sd_places.LESSON_WEIGHT * lesson
    torch.testing.assert_close(found["loss"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["even"].detach(), before["even"], rtol=1e-4, atol=1e-5)


def test_words_and_lesson_learn_and_pictures_do_not(job):
    job.network.zero_grad()
    job.losses(job.draw(8, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_what_is_exported_is_a_pipeline_without_the_lesson(job, tmp_path):
    job.export(job.network.eval(), tmp_path)
    after = load(tmp_path)
    assert tiny_sd.draw(after, ["a red circle"], seeded()).shape == (1, 3, 64, 64)
    names = {file.name for file in tmp_path.rglob("*.safetensors")}
    assert names == {"diffusion_pytorch_model.safetensors", "model.safetensors"}
