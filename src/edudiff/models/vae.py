"""An autoencoder between pixels and latents, the small pictures a diffusion model can work in.

The encoder answers with a Gaussian for every picture; the decoder turns a draw from it back into
the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks
from edudiff.models.vae_coders import Decoder, Encoder


def stable_diffusion_1() -> "AutoencoderKL":
    """The autoencoder of Stable Diffusion 1: 83,653,863 parameters, 8 × 8 pixels to a latent."""
    widths = (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=widths, layers_per_block=2, norm_num_groups=32, scaling_factor=0.18215
    )


def _check_widths(widths: Sequence[int], groups: int) -> None:
    if not widths or any(width < 1 or width % groups for width in widths):
        raise ValueError(
            f"block_out_channels: expected multiples of norm_num_groups={groups}, got {widths}"
        )


def _check_channels(name: str, x: Tensor, channels: int) -> None:
    checks.floating(**{name: x})
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"{name}: expected shape (b, {channels}, h, w), got {tuple(x.shape)}")


@dataclass(frozen=True, eq=False)
class DiagonalGaussian:
    """What the encoder says of the latents z of each picture: N(mean, exp(logvar)), no more."""

    mean: Float[Tensor, " b c h w"]
    logvar: Float[Tensor, " b c h w"]

    @property
    def std(self) -> Float[Tensor, " b c h w"]:
        """σ = exp(½ log σ²)."""
        return (0.5 * self.logvar).exp()

    def sample(self, noise: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c h w"]:
        """z = μ + σ · noise: a draw through which gradients reach μ and σ.

        Args:
            noise: standard normal noise.

        Raises:
            ValueError: if the noise does not have the shape of the mean.

        Source:
            Kingma & Welling 2013 (arXiv:1312.6114), section 2.4, the reparameterisation trick. In
            diffusers: `DiagonalGaussianDistribution.sample`, which draws its own noise.
        """
        checks.same_shape(mean=self.mean, noise=noise)
        return self.mean + self.std * noise

    def mode(self) -> Float[Tensor, " b c h w"]:
        """The likeliest latents: the mean."""
        return self.mean

    def kl(self) -> Float[Tensor, " b"]:
        """KL(N(μ, σ²) ‖ N(0, 1)) of each picture = ½ Σ (μ² + σ² − 1 − log σ²), in nats.

        Source:
            Kingma & Welling 2013 (arXiv:1312.6114), appendix B, with the sign turned. In
            diffusers: `DiagonalGaussianDistribution.kl`.
        """
        terms = self.mean.square() + self.logvar.exp() - 1 - self.logvar
        return 0.5 * terms.sum(dim=(1, 2, 3))


class AutoencoderKL(nn.Module):
    """An autoencoder whose latents a KL term keeps near N(0, 1).

    Args:
        in_channels: colours of the pictures that come in.
        out_channels: colours of the pictures that come out.
        latent_channels: channels of the latents.
        block_out_channels: width of every level, from pixels to latents; between two levels height
            and width are halved.
        layers_per_block: residual blocks on a level of the encoder; the decoder has one more.
        norm_num_groups: number of groups that are normalised separately; divides every width.
        mid_block_add_attention: whether pixels of the smallest level see each other.
        scaling_factor: 1 / standard deviation of the latents, measured after training. Only carried
            here: whoever runs a diffusion model multiplies by it, and divides before `decode`.

    Raises:
        ValueError: if a number is below 1, a width is no multiple of `norm_num_groups`, or
            scaling_factor is not above 0.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752), section 3.1. In diffusers: `AutoencoderKL`, with the
        same parameter names.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        latent_channels: int = 4,
        block_out_channels: Sequence[int] = (16, 32, 48),
        layers_per_block: int = 1,
        norm_num_groups: int = 2,
        mid_block_add_attention: bool = True,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        checks.positive(scaling_factor=scaling_factor)
        checks.whole_at_least(
            1, in_channels=in_channels, out_channels=out_channels, latent_channels=latent_channels
        )
        checks.whole_at_least(1, layers_per_block=layers_per_block, norm_num_groups=norm_num_groups)
        _check_widths(block_out_channels, norm_num_groups)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.latent_channels, self.block_out_channels = latent_channels, tuple(block_out_channels)
        self.layers_per_block, self.norm_num_groups = layers_per_block, norm_num_groups
        self.mid_block_add_attention, self.scaling_factor = mid_block_add_attention, scaling_factor
        widths, number, groups = self.block_out_channels, layers_per_block, norm_num_groups
        inner = (widths, number, groups, mid_block_add_attention)
        self.encoder = Encoder(in_channels, latent_channels, *inner)
        self.decoder = Decoder(latent_channels, out_channels, *inner)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    @property
    def downsampling_factor(self) -> int:
        """How many pixels lie along one side of a latent."""
        return 2 ** (len(self.block_out_channels) - 1)

    def encode(self, x: Float[Tensor, " b c h w"]) -> DiagonalGaussian:
        """The Gaussian of the latents of each picture, log σ² clamped to [-30, 20].

        Args:
            x: pictures in [-1, 1]; up to 1.5 is let through, as reconstructions overshoot.

        Raises:
            ValueError: if x is not floating, not (b, in_channels, h, w), has sides that the
                `downsampling_factor` does not divide, or values far outside [-1, 1] or NaN.
        """
        _check_channels("x", x, self.in_channels)
        factor = self.downsampling_factor
        if x.shape[2] % factor or x.shape[3] % factor:
            raise ValueError(f"x: expected sides divisible by {factor}, got {tuple(x.shape[2:])}")
        low, high = x.detach().aminmax()
        if not (low >= -1.5 and high <= 1.5):
            raise ValueError(f"x: expected pictures in [-1, 1], got values in [{low:g}, {high:g}]")
        x = x.contiguous(memory_format=torch.channels_last)  # the fast way round on a CPU
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return DiagonalGaussian(mean, logvar.clamp(-30, 20))

    def decode(self, z: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c_out h_out w_out"]:
        """Pictures, roughly in [-1, 1].

        Args:
            z: latents as `encode` gives them, not multiplied by `scaling_factor`.

        Raises:
            ValueError: if z is not floating, not (b, latent_channels, h, w), or not finite.
        """
        _check_channels("z", z, self.latent_channels)
        if not z.isfinite().all():
            raise ValueError("z: expected finite latents, got infinity or values not a number")
        z = z.contiguous(memory_format=torch.channels_last)
        return self.decoder(self.post_quant_conv(z))

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c_out h w"]:
        """Reconstruct pictures from the mode of their latents; raises what `encode` raises."""
        return self.decode(self.encode(x).mode())
