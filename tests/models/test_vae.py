import diffusers
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch.distributions import Normal, kl_divergence

from edudiff.models.vae import AutoencoderKL, DiagonalGaussian, stable_diffusion_1

CONFIGURATIONS = [
    {},
    {"block_out_channels": (8,)},
    {"block_out_channels": (8, 12), "layers_per_block": 2, "norm_num_groups": 4},
    {"block_out_channels": (8, 8, 12, 12), "norm_num_groups": 1},
    {"mid_block_add_attention": False, "latent_channels": 3},
    {"in_channels": 1, "out_channels": 2, "latent_channels": 5, "block_out_channels": (6, 4)},
]


def pair(dtype=torch.float32, **configuration):
    """Ours and diffusers', built apart from each other, with the same weights."""
    ours = AutoencoderKL(**configuration)
    levels = len(ours.block_out_channels)
    defaults = {"block_out_channels": (16, 32, 48), "norm_num_groups": 2}
    theirs = diffusers.AutoencoderKL(
        **defaults | configuration,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
    )
    ours.load_state_dict(theirs.state_dict())
    return ours.to(dtype), torch.nn.Module.to(theirs, dtype)


def pictures(model, number=2, height=16, width=24, dtype=torch.float32):
    return 2 * torch.rand(number, model.in_channels, height, width, dtype=dtype) - 1


@pytest.fixture
def gaussian():
    return DiagonalGaussian(torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(20)
    return AutoencoderKL(block_out_channels=(4, 4, 4))


def test_kingma_welling_appendix_b_kl(gaussian):
    expected = kl_divergence(Normal(gaussian.mean, gaussian.std), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian.kl(), expected.sum(dim=(1, 2, 3)))


def test_kl_is_that_of_diffusers(gaussian):
    parameters = torch.cat([gaussian.mean, gaussian.logvar], dim=1)
    theirs = DiagonalGaussianDistribution(parameters)
    torch.testing.assert_close(gaussian.kl(), theirs.kl())


def test_kl_of_the_standard_normal_is_zero():
    zeros = torch.zeros(2, 1, 3, 3)
    assert torch.equal(DiagonalGaussian(zeros, zeros).kl(), torch.zeros(2))


def test_evidence_is_the_bound_and_what_the_proposal_misses():
    # z ~ N(0, 1) and x ~ N(2 z, 1), so x ~ N(0, 5) and z given x is N(2 x / 5, 1 / 5); the
    # proposal is a third Gaussian. E[log p(x | z)] over it is known as well.
    x, mean, logvar = (torch.full((1, 1, 1, 1), v).double() for v in (1.5, 0.2, -0.7))
    proposal = DiagonalGaussian(mean, logvar)
    miss = kl_divergence(Normal(mean, proposal.std), Normal(2 * x / 5, 0.2**0.5))
    likelihood = Normal(2 * mean, 1.0).log_prob(x) - 2 * proposal.std**2
    found = likelihood.sum() - proposal.kl().sum() + miss.sum()
    torch.testing.assert_close(found, Normal(0.0, 5**0.5).log_prob(x).sum())


def test_without_noise_a_sample_is_the_mode_which_is_the_mean(gaussian):
    assert torch.equal(gaussian.sample(torch.zeros(3, 2, 4, 5)), gaussian.mode())
    assert torch.equal(gaussian.mode(), gaussian.mean)


def test_a_sample_is_that_of_diffusers(gaussian):
    parameters = torch.cat([gaussian.mean, gaussian.logvar], dim=1)
    theirs = DiagonalGaussianDistribution(parameters)
    noise = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(1))
    expected = theirs.sample(generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(gaussian.sample(noise), expected)


def test_samples_have_the_mean_and_the_standard_deviation(generator):
    one = torch.ones(1, 1, 100, 1000)
    z = DiagonalGaussian(3 * one, 4 * one).sample(torch.randn(one.shape, generator=generator))
    assert z.mean().item() == pytest.approx(3, abs=0.1)  # standard error 0.023
    assert z.std().item() == pytest.approx(torch.tensor(2.0).exp().item(), rel=0.01)


def test_gradients_reach_mean_and_logvar_through_a_sample():
    mean, logvar = torch.zeros(1, 1, 1, 1, requires_grad=True), torch.zeros(1, 1, 1, 1)
    logvar.requires_grad_()
    DiagonalGaussian(mean, logvar).sample(torch.full((1, 1, 1, 1), 3.0)).backward()
    assert (mean.grad.item(), logvar.grad.item()) == (1.0, 1.5)


def test_noise_of_another_shape_is_refused(gaussian, refusal):
    with refusal("noise: expected the shape of mean"):
        gaussian.sample(torch.zeros(1, 2, 4, 5))


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_encode_is_that_of_diffusers(configuration):
    ours, theirs = pair(**configuration)
    x = pictures(ours)
    found, expected = ours.encode(x), theirs.encode(x).latent_dist
    torch.testing.assert_close(found.mean, expected.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.logvar, expected.logvar, atol=1e-5, rtol=0)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_decode_is_that_of_diffusers(configuration):
    ours, theirs = pair(**configuration)
    z = torch.randn(2, ours.latent_channels, 4, 3)
    torch.testing.assert_close(ours.decode(z), theirs.decode(z).sample, atol=1e-5, rtol=0)


# In float64: gradients of order 100 in float32 differ in the fifth digit when sums are reordered.
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_gradients_are_those_of_diffusers(configuration):
    ours, theirs = pair(torch.float64, **configuration)
    x = pictures(ours, dtype=torch.float64)
    posterior, reference = ours.encode(x), theirs.encode(x).latent_dist
    noise = torch.randn_like(posterior.mean)
    (ours.decode(posterior.sample(noise)).square().mean() + posterior.kl().mean()).backward()
    z = reference.mean + reference.std * noise
    (theirs.decode(z).sample.square().mean() + reference.kl().mean()).backward()
    for name, parameter in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_reconstructing_is_that_of_diffusers(configuration):
    ours, theirs = pair(**configuration)
    x = pictures(ours)
    torch.testing.assert_close(ours(x), theirs(x).sample, atol=1e-5, rtol=0)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_diffusers_takes_our_weights_as_they_are(configuration):
    ours, theirs = pair(**configuration)
    theirs.load_state_dict(ours.state_dict())


def test_logvar_is_clamped_as_in_diffusers():
    ours, theirs = pair()
    with torch.no_grad():
        for model in (ours, theirs):
            model.quant_conv.bias[4:] = torch.tensor([-100.0, 100.0, -29.0, 19.0])
    x = pictures(ours)
    found = ours.encode(x).logvar
    assert (found.min(), found.max()) == (-30, 20)
    torch.testing.assert_close(found, theirs.encode(x).latent_dist.logvar, atol=1e-5, rtol=0)


def test_stable_diffusion_has_the_83_653_863_parameters_of_diffusers():
    with torch.device("meta"):
        ours = stable_diffusion_1()
        theirs = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        )
    shapes = [
        {name: tuple(p.shape) for name, p in model.named_parameters()} for model in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in ours.parameters()) == 83_653_863


def test_stable_diffusion_normalises_as_diffusers_and_scales_as_published():
    with torch.device("meta"):
        ours = stable_diffusion_1()
    assert (ours.norm_num_groups, ours.scaling_factor) == (32, 0.18215)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_every_level_but_the_last_halves_height_and_width(levels):
    model = AutoencoderKL(block_out_channels=(4,) * levels)
    factor = 2 ** (levels - 1)
    assert model.downsampling_factor == factor
    assert model.encode(pictures(model)).mean.shape == (2, 4, 16 // factor, 24 // factor)


def test_a_picture_comes_back_in_its_size(small):
    assert small(pictures(small)).shape == (2, 3, 16, 24)


def test_latents_of_one_picture_do_not_depend_on_the_others(small):
    x = pictures(small, number=3)
    expected = small.encode(x).mean[1:2]
    torch.testing.assert_close(small.encode(x[1:2]).mean, expected, atol=1e-5, rtol=0)


def test_the_picture_of_one_latent_does_not_depend_on_the_others(small):
    z = torch.randn(3, 4, 4, 6)
    torch.testing.assert_close(small.decode(z[1:2]), small.decode(z)[1:2], atol=1e-5, rtol=0)


def test_nothing_is_drawn(small):
    x = pictures(small)
    assert torch.equal(small(x), small(x))


def test_dtype_and_device_follow_the_input(device):
    dtype = torch.float32 if device.type == "mps" else torch.float64
    model = AutoencoderKL(block_out_channels=(4, 4)).to(device, dtype)
    found = model(pictures(model, dtype=torch.float32).to(device, dtype))
    assert (found.dtype, found.device.type) == (dtype, device.type)


def test_pictures_are_read_the_same_however_they_lie_in_memory(small):
    x = pictures(small)
    other = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(small(x), small(other))


def test_a_picture_that_overshoots_a_little_is_taken(small):
    small.encode(torch.full((1, 3, 16, 16), -1.4))


@pytest.mark.parametrize("value", [255.0, -2.0, float("nan"), float("inf")])
def test_values_far_outside_minus_one_to_one_are_refused(small, value, refusal):
    x = pictures(small)
    x[1, 0, 3, 2] = value
    with refusal(r"x: expected pictures in \[-1, 1\], got values in \["):
        small.encode(x)


def test_bytes_are_refused(small, refusal):
    with refusal("x: expected a floating-point tensor, got torch.uint8"):
        small.encode(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (3, 16, 16), (1, 16, 16, 3)])
def test_pictures_without_three_channels_are_refused(small, shape, refusal):
    with refusal(r"x: expected shape \(b, 3, h, w\), got"):
        small.encode(torch.zeros(shape))


@pytest.mark.parametrize("size", [(16, 18), (17, 16)])
def test_sides_that_cannot_be_halved_twice_are_refused(small, size, refusal):
    with refusal(r"x: expected sides divisible by 4, got"):
        small.encode(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (4, 4, 4)])
def test_latents_without_four_channels_are_refused(small, shape, refusal):
    with refusal(r"z: expected shape \(b, 4, h, w\), got"):
        small.decode(torch.zeros(shape))


def test_whole_numbers_are_refused_as_latents(small, refusal):
    with refusal("z: expected a floating-point tensor, got torch.int64"):
        small.decode(torch.zeros(1, 4, 4, 4, dtype=torch.int64))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_are_refused(small, value, refusal):
    with refusal("z: expected finite latents"):
        small.decode(torch.full((1, 4, 4, 4), value))


@pytest.mark.parametrize(
    "name",
    ["in_channels", "out_channels", "latent_channels", "layers_per_block", "norm_num_groups"],
)
def test_a_number_below_one_is_refused(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        AutoencoderKL(**{name: 0})


@pytest.mark.parametrize("widths", [(), (16, 31), (0, 16)])
def test_widths_that_are_no_multiple_of_the_number_of_groups_are_refused(widths, refusal):
    with refusal("block_out_channels: expected multiples of norm_num_groups=2, got"):
        AutoencoderKL(block_out_channels=widths)


def test_a_scaling_factor_of_zero_is_refused(refusal):
    with refusal("scaling_factor: expected a number above 0"):
        AutoencoderKL(scaling_factor=0.0)


@pytest.mark.slow
def test_four_pictures_are_learnt_by_heart(generator):
    model = AutoencoderKL(block_out_channels=(8, 16))
    x = torch.zeros(4, 3, 16, 16)
    for i, picture in enumerate(x):
        picture[i % 3, 4 * i : 4 * i + 4] = 1
    before = (model(x) - x).square().mean().item()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        posterior = model.encode(x)
        z = posterior.sample(torch.randn(posterior.mean.shape, generator=generator))
        loss = (model.decode(z) - x).square().mean() + 1e-5 * posterior.kl().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (model(x) - x).square().mean().item() < min(0.003, before / 20)
