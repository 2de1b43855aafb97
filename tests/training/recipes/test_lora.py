"""The recipe that teaches a base your own pictures: a handful of steps on eight scenes."""

import json
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from PIL import Image

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes
from edudiff.display.encode import to_image
from edudiff.layers import lora as layers
from edudiff.models import lora_files
from edudiff.pipelines import text_to_image
from edudiff.training.job import Every
from edudiff.training.log import read
from edudiff.training.recipes import lora, lora_pictures
from edudiff.training.recipes.lora_examples import LoRASettings, errors_of
from edudiff.training.recipes.lora_pictures import Pictures
from edudiff.training.run import run

EVERY = Every(log=1, sample=2, checkpoint=2)


def turned_round(root: Path, seeds: range) -> Pictures:
    """Scenes in colours that the base has never seen them in."""
    rows = []
    for seed in seeds:
        to_image(-drawing.draw([scenes.scene(seed)], 64)[0]).save(root / f"{seed}.png")
        text = captions.describe(scenes.scene(seed), seed)
        rows.append(json.dumps({"file_name": f"{seed}.png", "text": text}))
    (root / "metadata.jsonl").write_text("\n".join(rows))
    return lora_pictures.open_pictures(root)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return turned_round(tmp_path_factory.mktemp("pictures"), range(8))


def asked(**options: object) -> LoRASettings:
    return LoRASettings("lora", **{"num_steps": 4, "batch_size": 4, "rank": 4} | options)


def train(pictures: Pictures, out: Path, **options: object) -> dict[str, float]:
    settings = asked(**options)
    return run(lora.make_recipe(settings, pictures), out, settings, EVERY)


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """The folder of a short training, and what was measured."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lora, "NUM_PROMPTS", 4)
        quality = train(pictures, out, licence="CC0-1.0")
    return out, quality


def test_it_measures_before_and_after(trained):
    out, quality = trained
    assert set(quality) == {"held_out_before", "held_out", "old_right_before", "old_right"}
    assert 0 < quality["held_out"] != quality["held_out_before"] > 0
    assert read(out / "log.jsonl")[-1]["quality"] == quality


def test_the_file_says_what_it_is(trained):
    file = lora_files.read(trained[0] / "model")
    about = file.about
    assert (about["base_model"], about["licence"], about["rank"]) == ("tiny", "CC0-1.0", 4)
    assert about["training"]["num_steps"] == 4 and about["quality"] == trained[1]
    assert about["base_sha256"] == lora.fingerprint(lora.load_base("tiny").unet)
    assert all(name.endswith(("to_q", "to_v")) for name in about["targets"])


def test_diffusers_loads_what_comes_out(trained):
    folder = registry.path("tiny-sd")
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.load_lora_weights(trained[0] / "model")
    assert pipe.get_active_adapters() == ["default_0"]
    ours = lora.load_base("tiny").unet
    lora_files.load(ours, trained[0] / "model")
    x, context = torch.randn(2, 4, 8, 8), torch.randn(2, 24, 128)
    t = torch.tensor([10, 900])
    with torch.no_grad():
        plain = lora.load_base("tiny").unet(x, t, context)
        mine, its = ours(x, t, context), pipe.unet(x, t, context).sample
    torch.testing.assert_close(mine, its, atol=1e-4, rtol=1e-3)
    assert (mine - plain).abs().max() > 1e-3


def test_samples_are_the_base_s_answers_above_those_with_the_lora(trained):
    image = Image.open(trained[0] / "samples" / "step-000004.png")
    assert image.size == (8 * 64, 2 * 64)
    assert (trained[0] / "samples" / "step-000002.png").exists()


def test_a_checkpoint_holds_nothing_of_the_base(trained):
    state = torch.load(trained[0] / "last.pt", weights_only=True)
    shapes = [tuple(value.shape) for value in state["parts"]["network"].values()]
    assert all(4 in shape for shape in shapes)
    assert (trained[0] / "last.pt").stat().st_size < 1_000_000


def test_the_base_is_frozen_and_only_the_adapter_is_given_to_the_optimiser(pictures):
    job = lora.prepare(asked(), pictures)
    given = {id(p) for group in job.optimizer.param_groups for p in group["params"]}
    unet = job.frozen[2]
    learning = {id(p) for p in unet.parameters() if p.requires_grad}
    assert given == learning == {id(p) for p in layers.lora_parameters(unet).values()}
    job.losses(job.draw(4, torch.Generator().manual_seed(0)))["loss"].backward()
    assert all(p.grad is not None for p in job.network.parameters())


def test_the_fingerprint_is_that_of_the_base_alone():
    unet = lora.load_base("tiny").unet
    before = lora.fingerprint(unet)
    layers.add_lora(unet, ["to_q"], rank=2)
    assert lora.fingerprint(unet) == before
    with torch.no_grad():
        unet.conv_out.bias[0] += 1e-6
    assert lora.fingerprint(unet) != before


def test_a_base_that_has_changed_is_not_passed_over(pictures, tmp_path):
    job = lora.prepare(asked(), pictures)
    with torch.no_grad():
        job.frozen[2].conv_in.bias.add_(1)
    with pytest.raises(RuntimeError, match="but they have changed"):
        job.export(job.network, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("targets", [["to_q", "to_v"], ["all-linear"]])
def test_thirty_steps_lower_the_error_of_few_matrices_on_unseen_pictures_too(
    pictures, tmp_path, targets
):
    settings = asked(num_steps=30, rate=2e-3, targets=targets)
    job = lora.prepare(settings, pictures)
    pipe = text_to_image.load(registry.path("tiny-sd"))
    others = lora.Examples(pipe, turned_round(tmp_path, range(100, 124)), settings)
    seen = job.draw(32, torch.Generator().manual_seed(1000))
    unseen = others.draw(64, torch.Generator().manual_seed(1000))

    def errors(pipe: text_to_image.TextToImage) -> list[float]:
        with torch.no_grad():
            return [errors_of(pipe, batch).mean().item() for batch in (seen, unseen)]

    before = errors(pipe)
    for step in range(30):
        job.optimizer.zero_grad()
        job.losses(job.draw(8, torch.Generator().manual_seed(step)))["loss"].backward()
        job.optimizer.step()
    after = errors(replace(pipe, unet=job.frozen[2]))
    assert after[0] < 0.85 * before[0]
    assert after[1] < 0.92 * before[1]


def test_interrupted_and_begun_again_it_ends_with_the_same_bits(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(lora, "measure", lambda pipe, examples: {})
    monkeypatch.setattr(lora, "draw_samples", lambda pipe, told: torch.zeros(3, 8, 8))
    train(pictures, tmp_path / "straight")
    real, calls = lora.losses, []

    def pull_the_plug(*arguments: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(lora, "losses", pull_the_plug)
    with pytest.raises(KeyboardInterrupt):
        train(pictures, tmp_path / "twice")
    monkeypatch.setattr(lora, "losses", real)
    train(pictures, tmp_path / "twice")
    straight, twice = (lora_files.read(tmp_path / name / "model") for name in ("straight", "twice"))
    assert straight.tensors.keys() == twice.tensors.keys()
    assert all(torch.equal(straight.tensors[key], twice.tensors[key]) for key in twice.tensors)
    assert straight.metadata == twice.metadata


def test_other_settings_or_pictures_are_not_taken_up(pictures, trained, refusal):
    with refusal("other settings .rank: expected 4, got 2.*licence"):
        train(pictures, trained[0], rank=2)
    settings = asked(licence="CC0-1.0", pictures="another fingerprint")
    with refusal("pictures: expected '', got 'another fingerprint'"):
        run(lora.make_recipe(settings, pictures), trained[0], settings, EVERY)


def test_nan_stops_names_the_picture_and_keeps_the_last_good_state(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(lora, "draw_samples", lambda pipe, told: torch.zeros(3, 8, 8))
    real, calls = lora.losses, []

    def break_the_third(pipe, examples, batch):
        calls.append(1)
        if len(calls) == 3:
            batch["x0"][1] = torch.inf
            batch["row"][1] = 6
        return real(pipe, examples, batch)

    monkeypatch.setattr(lora, "losses", break_the_third)
    with pytest.raises(FloatingPointError, match="got nan at 6.png"):
        train(pictures, tmp_path)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["parts"]["network"].values())
    assert not (tmp_path / "model").exists()


def test_without_pictures_it_does_not_begin(refusal):
    with refusal("data: expected a folder with pictures, as in --data FOLDER"):
        lora.RECIPE.prepare(0, 1)


def test_what_does_not_fit_the_base_is_refused(pictures, refusal):
    with refusal("unknown target.*got 'to_query'. Did you mean"):
        lora.prepare(asked(targets=["to_query"]), pictures)
    with refusal("rank at down_blocks.0.*: expected at most 64, .* got 65"):
        lora.prepare(asked(rank=65), pictures)


def test_the_oracle_reads_only_the_shipped_base_s_pictures(tmp_path):
    assert lora.is_shipped("tiny")
    assert lora.is_shipped(str(registry.path("tiny-sd")))
    assert not lora.is_shipped("full")
    assert not lora.is_shipped(str(tmp_path))
