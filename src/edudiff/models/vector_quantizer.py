"""A picture as a few whole numbers: an autoencoder whose latents come from a codebook."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.models.vae_coders import Decoder, Encoder

COMMITMENT = 0.25
"""How much the encoder is asked to stay with its codes, against codes moving to the encoder."""


class Quantized(NamedTuple):
    """Latents after they were replaced by the nearest codes.

    Attributes:
        z: the codes; gradients go through as if nothing had been replaced.
        loss: how far codes and latents are from each other.
        indices: which code of the codebook stands at each place.
    """

    z: Float[Tensor, " b c h w"]
    loss: Float[Tensor, ""]
    indices: Int[Tensor, " b h w"]


class VectorQuantizer(nn.Module):
    """Replaces every latent by the nearest of a few codes that are learnt.

        k = argmin_j ‖z − e_j‖,   z_q = z + sg(e_k − z)
        loss = ‖sg(z) − e_k‖² + β ‖z − sg(e_k)‖²

    sg stops the gradient: a choice has none. So the decoder's gradient is handed straight through
    to the encoder, the first term brings codes to latents, and the second latents to codes.

    Args:
        num_codes: K, how many codes there are.
        dim: channels of a latent, and of a code.

    Raises:
        ValueError: if a number is below 1.

    Source:
        van den Oord et al. 2017 (arXiv:1711.00937), section 3 and eq. 3. DALL·E chose its codes
        otherwise: by drawing them from a Gumbel-softmax (Ramesh et al. 2021, arXiv:2102.12092,
        section 2.1). In diffusers: `VectorQuantizer(legacy=False)`, with the same parameter names;
        by default β stands at the other term there.
    """

    def __init__(self, num_codes: int = 512, dim: int = 4) -> None:
        super().__init__()
        checks.whole_at_least(1, num_codes=num_codes, dim=dim)
        self.embedding = nn.Embedding(num_codes, dim)
        nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def forward(self, z: Float[Tensor, " b c h w"]) -> Quantized:
        """The nearest codes, compared in float32 whatever the rest computes in."""
        b, _, h, w = z.shape
        with torch.autocast(z.device.type, enabled=False):
            rows = rearrange(z.float(), "b c h w -> (b h w) c")
            codes = self.embedding.weight.float()
            distances = codes.square().sum(dim=1) - 2 * rows @ codes.T  # + |z|², for all the same
            indices = rearrange(distances.argmin(dim=1), "(b h w) -> b h w", b=b, h=h, w=w)
            nearest = self.codes(indices)
            to_latents = F.mse_loss(nearest, z.detach().to(nearest.dtype))
            to_codes = F.mse_loss(z.to(nearest.dtype), nearest.detach())
        straight = z + (nearest - z).detach()
        return Quantized(straight, to_latents + COMMITMENT * to_codes, indices)

    def codes(self, indices: Int[Tensor, " b h w"]) -> Float[Tensor, " b c h w"]:
        """The codes of these numbers.

        Raises:
            ValueError: if a number is not in the codebook.
        """
        number = self.embedding.num_embeddings
        if indices.numel() and not 0 <= indices.min() <= indices.max() < number:
            raise ValueError(
                f"indices: expected numbers in [0, {number - 1}], "
                f"got some in [{int(indices.min())}, {int(indices.max())}]"
            )
        return rearrange(self.embedding(indices), "b h w c -> b c h w")


class VQModel(nn.Module):
    """Pictures → a whole number for each place, and back.

    Args:
        latent_channels: channels of the latents, even; also of a code.
        num_codes: codes of the codebook.
        block_out_channels: width of every level, from pixels to latents; between two levels height
            and width are halved.
        layers_per_block: residual blocks on a level of the encoder; the decoder has one more.
        norm_num_groups: number of groups that are normalised separately; divides every width.

    Raises:
        ValueError: if a number is below 1, or there is an odd number of latent channels.

    Source:
        van den Oord et al. 2017 (arXiv:1711.00937). In diffusers: `VQModel`, with the same
        parameter names.
    """

    def __init__(
        self,
        *,
        latent_channels: int = 4,
        num_codes: int = 512,
        block_out_channels: Sequence[int] = (16, 32, 64, 64),
        layers_per_block: int = 1,
        norm_num_groups: int = 2,
    ) -> None:
        super().__init__()
        checks.whole_at_least(2, latent_channels=latent_channels)
        if latent_channels % 2:
            raise ValueError(f"latent_channels: expected an even number, got {latent_channels}")
        self.latent_channels, self.num_codes = latent_channels, num_codes
        self.block_out_channels = tuple(block_out_channels)
        self.layers_per_block, self.norm_num_groups = layers_per_block, norm_num_groups
        inner = (self.block_out_channels, layers_per_block, norm_num_groups, True)
        # The encoder answers with two numbers a channel, for a Gaussian; here one is enough.
        self.encoder = Encoder(3, latent_channels // 2, *inner)
        self.decoder = Decoder(latent_channels, 3, *inner)
        self.quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)
        self.quantize = VectorQuantizer(num_codes, latent_channels)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    @property
    def downsampling_factor(self) -> int:
        """How many pixels lie along one side of a place."""
        return 2 ** (len(self.block_out_channels) - 1)

    def encode(self, x: Float[Tensor, " b 3 h w"]) -> Quantized:
        """The codes of pictures in [-1, 1].

        Raises:
            ValueError: if x is not floating, has sides that the `downsampling_factor` does not
                divide, or values outside [-1, 1] or NaN.
        """
        checks.floating(x=x)
        checks.in_range(-1.0, 1.0, x=x)
        factor = self.downsampling_factor
        if x.shape[2] % factor or x.shape[3] % factor:
            raise ValueError(f"x: expected sides divisible by {factor}, got {tuple(x.shape[2:])}")
        x = x.contiguous(memory_format=torch.channels_last)  # the fast way round on a CPU
        return self.quantize(self.quant_conv(self.encoder(x)))

    def decode(self, z: Float[Tensor, " b c h w"]) -> Float[Tensor, " b 3 h_out w_out"]:
        """Pictures, roughly in [-1, 1], of codes as `encode` and `quantize.codes` give them."""
        return self.decoder(self.post_quant_conv(z))

    def forward(self, x: Float[Tensor, " b 3 h w"]) -> Float[Tensor, " b 3 h w"]:
        """Reconstruct pictures from their codes; raises what `encode` raises."""
        return self.decode(self.encode(x).z)
