"""The recipe of the shipped Stable Diffusion XL: where it starts, and what learns."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import scenes
from edudiff.diffusion.prediction import velocity
from edudiff.pipelines import text_to_image, text_to_image_xl
from edudiff.training.recipes import tiny_sd, tiny_sdxl, tiny_sdxl_decoder


@pytest.fixture(scope="module")
def known():
    return text_to_image.load(registry.path("tiny-sd"))


@pytest.fixture(scope="module")
def job():
    return tiny_sdxl.prepare(3, num_steps=2)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def loss_of(pipe, batch):
    told = torch.tensor([[64.0, 64, 0, 0, 64, 64]]).expand(len(batch["x0"]), 6)
    return tiny_sdxl.denoising_loss(pipe, {**batch, "time_ids": told})["loss"].item()


def test_it_starts_where_tiny_sd_stands_and_not_from_nothing(known):
    torch.manual_seed(0)
    pipe = tiny_sdxl.make_pipe(known)
    seeds = range(tiny_sd.FIRST_TUNING_SEED, tiny_sd.FIRST_TUNING_SEED + 256)
    batch = tiny_sd.Examples(known, seeds).draw(256, seeded())
    with torch.no_grad():
        before = tiny_sd.denoising_loss(known, batch)["loss"].item()
    fresh = tiny_sdxl.replace(pipe, unet=tiny_sdxl.make_unet(pipe.unet.context_dim))
    assert loss_of(pipe, batch) < 1.05 * before
    assert loss_of(fresh, batch) > 2 * before


def test_the_loss_is_zero_only_for_the_velocity(job, known, monkeypatch):
    batch = job.draw(8, seeded())
    right = velocity(batch["x0"], batch["eps"], batch["t"], known.schedule)
    monkeypatch.setattr(job.network["unet"], "forward", lambda *args, **told: right)
    assert job.losses(batch)["loss"].item() == pytest.approx(0, abs=1e-10)


def test_both_networks_learn_and_nothing_frozen_does(job):
    with torch.no_grad():  # what begins by adding nothing hides what comes before it
        for weight in job.network.parameters():
            weight.add_(0.01 * torch.randn(weight.shape, generator=seeded()))
    job.network.zero_grad()
    job.losses(job.draw(4, seeded()))["loss"].backward()
    idle = [n for n, w in job.network.named_parameters() if w.grad is None or not w.grad.any()]
    # A constant in the keys changes no weight of attention.
    assert [name for name in idle if not name.endswith("k_proj.bias")] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_the_average_covers_the_second_encoder_too(job):
    assert set(job.network.keys()) == {"unet", "text_encoder_2"}
    assert job.ema_decay is not None


def test_scenes_are_others_than_tiny_sds_and_than_those_of_tests():
    seeds = [tiny_sdxl.training_seeds(part, 10**6) for part in range(3)]
    assert seeds[0].stop == seeds[1].start and seeds[1].stop == seeds[2].start
    assert seeds[0].start > 100 * tiny_sd.NUM_SCENES
    assert seeds[2].stop < scenes.FIRST_TEST_SEED


def test_its_decoder_is_the_one_that_lets_blur_through(job):
    vae, (_, other) = tiny_sdxl_decoder.load_shipped().state_dict(), job.frozen
    assert all(weight.equal(vae[name]) for name, weight in other.state_dict().items())


def test_harder_captions_and_late_timesteps_are_drawn_more_often(monkeypatch):
    asked, examples = [], tiny_sdxl.Examples

    def remember(*args, **options):
        asked.append(options)
        return examples(*args, **options)

    monkeypatch.setattr(tiny_sdxl, "Examples", remember)
    tiny_sdxl.prepare(0, num_steps=1)
    aimed = {"chosen": tiny_sdxl.CHOSEN, "lateness": tiny_sdxl.LATENESS}
    assert asked == [{"shares": tiny_sdxl.SHARES} | aimed]
    assert 0 < tiny_sdxl.CHOSEN < 0.5 and 0 < tiny_sdxl.LATENESS < 1


def test_what_is_exported_draws_as_before_to_half_precision(job, known, tmp_path):
    with torch.no_grad():
        job.export(job.network.eval(), tmp_path)
    torch.manual_seed(3)
    blank = tiny_sdxl.make_pipe(known, tiny_sdxl_decoder.load_shipped())
    ours = tiny_sdxl.with_weights(blank, job.network)
    pictures = [
        text_to_image_xl.generate(each, ["a red star"], generator=seeded(), num_inference_steps=4)
        for each in (ours, text_to_image_xl.load(tmp_path))
    ]
    apart = (pictures[0] - pictures[1]).abs()
    assert apart.mean() < 0.01 and apart.max() < 0.3  # on an outline one last digit can be seen
