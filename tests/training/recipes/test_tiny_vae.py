"""The picture compressor's recipe: what it asks for, what it never sees, what it writes."""

import diffusers
import pytest
import torch
from torch.testing import assert_close

from edudiff.data import drawing, scenes
from edudiff.models.vae import AutoencoderKL, DiagonalGaussian
from edudiff.models.vae_bridge import from_diffusers
from edudiff.training.recipes import tiny_vae


class Copy(AutoencoderKL):
    """Gives back every picture, fainter or not."""

    def __init__(self, gain):
        super().__init__(block_out_channels=(2,))
        self.gain = gain

    def encode(self, x):
        return DiagonalGaussian(self.gain * x, torch.zeros_like(x))

    def forward(self, x):
        return self.gain * x


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(20)
    return tiny_vae.make_model().eval()


@pytest.fixture(scope="module")
def exported(untrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny-vae")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_vae, "scaling_factor", lambda model: 0.7)  # its own test is below
        tiny_vae.export(untrained, folder)
    return folder


def batch(job, rows=2, seed=0):
    return job.draw(rows, torch.Generator().manual_seed(seed))


def pictures(count=2, size=16):
    return 2 * torch.rand(count, 3, size, size) - 1


def test_a_perfect_reconstruction_costs_nothing():
    x = pictures()
    assert tiny_vae.reconstruction_loss(x, x) == 0


def test_a_constant_offset_costs_its_square_and_its_size_and_no_edges():
    x = pictures().double()
    expected = torch.tensor(0.3**2 + 0.3, dtype=torch.float64)
    assert_close(tiny_vae.reconstruction_loss(x - 0.3, x), expected)


def test_one_step_in_brightness_costs_its_edge_once():
    x = torch.zeros(1, 3, 8, 8)
    half = x.clone()
    half[..., 4:] = 0.5  # half the pixels are off by ½; 1 of 7 pairs side by side has an edge
    expected = (0.25 + 0.5) / 2 + 0.5 * tiny_vae.EDGE_WEIGHT / 7
    assert_close(tiny_vae.reconstruction_loss(half, x), torch.tensor(expected))


def one_coloured_pixel():
    x = torch.zeros(1, 3, 8, 8)
    x[0, 0, 4, 4] = 1.0
    return x


def test_coloured_pixels_and_those_beside_them_weigh_more():
    weights = tiny_vae.object_weights(one_coloured_pixel(), 5.0)
    expected = torch.ones(1, 1, 8, 8)
    expected[..., 3:6, 3:6] = 5.0
    assert_close(weights, expected)


def test_grey_pictures_weigh_the_same_everywhere():
    grey = (2 * torch.rand(2, 1, 8, 8) - 1).expand(2, 3, 8, 8)
    assert_close(tiny_vae.object_weights(grey, 5.0), torch.ones(2, 1, 8, 8))


@pytest.mark.parametrize(("place", "factor"), [((4, 3), 5), ((0, 0), 1)])
def test_an_error_costs_the_weight_of_its_pixel(place, factor):
    x = one_coloured_pixel()
    wrong = x.clone()
    wrong[0, :, *place] += 0.5
    dearer = tiny_vae.reconstruction_loss(wrong, x, 5.0) - tiny_vae.reconstruction_loss(wrong, x)
    assert_close(dearer, torch.tensor((factor - 1) * (0.25 + 0.5) / 64))


def test_edges_count_alike_along_and_down():
    x, x_hat = pictures(), pictures()
    turned = tiny_vae.reconstruction_loss(x_hat.mT, x.mT)
    assert_close(turned, tiny_vae.reconstruction_loss(x_hat, x))


def test_pictures_are_other_ones_every_time(generator):
    first = tiny_vae.random_pictures(2, 16, generator)
    second = tiny_vae.random_pictures(2, 16, generator)
    assert first.shape == (2, 3, 16, 16)
    assert not torch.equal(first, second)


def test_no_training_picture_is_of_a_test_scene(generator, monkeypatch):
    asked = []
    draw_scenes = scenes.scenes

    def record(seeds):
        asked.extend(seeds)
        return draw_scenes(seeds[:1])

    monkeypatch.setattr(tiny_vae.scenes, "scenes", record)
    tiny_vae.random_pictures(100_000, 16, generator)
    assert len(asked) == 100_000
    assert 0 <= min(asked) < 10**6 and 2**31 - 10**6 < max(asked) < tiny_vae.FIRST_TEST_SEED


def test_test_scenes_begin_where_training_ends():
    assert tiny_vae.test_scenes(3) == scenes.scenes([2**31, 2**31 + 1, 2**31 + 2])


def test_the_latents_have_64_times_fewer_places_and_48_times_fewer_numbers(untrained):
    x = torch.zeros(1, 3, tiny_vae.SIZE, tiny_vae.SIZE)
    z = untrained.encode(x).mean
    assert z.shape == (1, 4, 8, 8)
    assert x.numel() == 48 * z.numel()


def test_the_scaling_factor_gives_latents_of_unit_variance():
    model = Copy(0.2)
    x = drawing.draw(scenes.scenes(range(512)), tiny_vae.SIZE)
    z = tiny_vae.scaling_factor(model) * model.encode(x).mean
    assert_close(z.std(), torch.tensor(1.0))


def test_reconstructions_stay_in_range_and_each_picture_has_its_own(untrained):
    x = drawing.draw(tiny_vae.test_scenes(3), 32)
    together = tiny_vae.reconstruct(untrained, x)
    assert together.min() >= -1 and together.max() <= 1
    assert_close(tiny_vae.reconstruct(untrained, x[2:]), together[2:])


def test_the_loss_is_the_reconstruction_and_a_little_kl():
    job = tiny_vae.prepare(0, num_steps=2)
    terms = job.losses(batch(job))
    assert terms["kl"] > 0
    assert_close(terms["loss"], terms["reconstruction"] + tiny_vae.KL_WEIGHT * terms["kl"])


def test_objects_count_more_in_the_second_half_of_the_training():
    job = tiny_vae.prepare(0, num_steps=4)
    drawn = batch(job)
    found = []
    for _ in range(4):
        found.append(job.losses(drawn)["reconstruction"].item())
        job.optimizer.step()  # without gradients: the weights stay
        job.scheduler.step()
    with torch.no_grad():
        x = drawn["pictures"]
        x_hat = job.network.decode(job.network.encode(x).sample(drawn["noise"]))
    weights = (1.0, 1.0, tiny_vae.OBJECT_WEIGHT, tiny_vae.OBJECT_WEIGHT)
    expected = [tiny_vae.reconstruction_loss(x_hat, x, weight).item() for weight in weights]
    assert found == pytest.approx(expected)
    assert found[2] > found[1]


def test_the_kl_is_that_of_one_number_of_the_latents():
    job = tiny_vae.prepare(0, num_steps=2)
    drawn = batch(job)
    with torch.no_grad():
        one_by_one = job.network.encode(drawn["pictures"])
        terms = one_by_one.mean.square() + one_by_one.std.square() - 1 - one_by_one.logvar
    assert_close(job.losses(drawn)["kl"], terms.mean() / 2)


def test_the_decoder_is_trained_on_a_draw_not_on_the_mode():
    job = tiny_vae.prepare(0, num_steps=2)
    drawn = batch(job)
    quiet = {**drawn, "noise": torch.zeros_like(drawn["noise"])}
    assert job.losses(drawn)["reconstruction"] != job.losses(quiet)["reconstruction"]


def test_a_batch_is_drawn_from_its_generator_alone():
    job = tiny_vae.prepare(0, num_steps=2)
    for name, each in batch(job).items():
        assert torch.equal(each, batch(job)[name])
        assert not torch.equal(each, batch(job, seed=1)[name])


def two_steps(seed):
    job = tiny_vae.prepare(seed, num_steps=2)
    losses = []
    for step in range(2):
        loss = job.losses(batch(job, seed=step))["loss"]
        job.optimizer.zero_grad()
        loss.backward()
        job.optimizer.step()
        job.scheduler.step()
        losses.append(loss.item())
    return job.network, losses


def test_two_steps_reach_every_weight_and_repeat_bit_for_bit():
    before = tiny_vae.prepare(3, num_steps=2).network
    first, losses = two_steps(3)
    second, same = two_steps(3)
    assert losses == same
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert not any(map(torch.equal, first.parameters(), before.parameters()))


def test_the_export_loads_in_diffusers_and_is_the_model_in_half_precision(untrained, exported):
    theirs = diffusers.AutoencoderKL.from_pretrained(exported)
    x = drawing.draw(tiny_vae.test_scenes(2), tiny_vae.SIZE)
    with torch.no_grad():
        expected = untrained(x)
        assert_close(theirs(x).sample, expected, rtol=0, atol=5e-3)  # weights have 11 bits
        assert_close(from_diffusers(theirs)(x), theirs(x).sample, rtol=0, atol=1e-4)


def test_the_export_says_the_scaling_factor_and_the_size(exported):
    config = diffusers.AutoencoderKL.load_config(exported)
    assert config["scaling_factor"] == 0.7
    assert config["sample_size"] == tiny_vae.SIZE


def test_the_export_is_stored_in_half_precision(untrained, exported):
    (file,) = exported.glob("*.safetensors")
    number = sum(parameter.numel() for parameter in untrained.parameters())
    assert 2 * number < file.stat().st_size < 2.2 * number


def test_a_nearly_perfect_copy_keeps_every_scene():
    quality = tiny_vae.measure(Copy(0.99), count=4)
    x = drawing.draw(tiny_vae.test_scenes(4), tiny_vae.SIZE)
    by_hand = -20 * (0.005 * x.square().mean(dim=(1, 2, 3)).sqrt()).log10()
    assert quality == {"psnr": pytest.approx(by_hand.mean().item(), abs=1e-3), "kept": 1.0}


def test_grey_squares_keep_no_scene():
    assert tiny_vae.measure(Copy(0.0), count=4)["kept"] == 0


def test_pairs_of_a_picture_and_its_reconstruction_are_shown():
    job = tiny_vae.prepare(0, num_steps=2)
    with torch.no_grad():
        shown = job.sample(job.network)
    truth = drawing.draw(tiny_vae.test_scenes(24), tiny_vae.SIZE)
    assert torch.equal(shown[::2], truth)
    assert_close(shown[1::2], tiny_vae.reconstruct(job.network, truth))
