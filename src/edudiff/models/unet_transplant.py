"""A trained U-Net's weights put into one that is built after SDXL, so that it starts from them.

Stable Diffusion's U-Net is told one text encoder's last, normalised states. SDXL's is told the
last but one of two encoders, not normalised, beside a pooled text and the picture's sizes. Its
refiner's is told those of the second encoder alone.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edudiff.layers.embeddings import sinusoidal_embedding
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import TIME_ID_DIM, UNet

SQUARE = (64, 64)
"""Height and width of the pictures of which a refiner is not told the size."""


@torch.no_grad()
def transplant_unet(
    donor: UNet,
    receiver: UNet,
    told_donor: Float[Tensor, " n d_donor"],
    told_receiver: Float[Tensor, " n d_receiver"],
) -> None:
    """Put a donor's weights into a receiver, which then answers nearly as the donor does.

    * Whatever both have in one shape is copied; a 1×1 convolution is the same as a linear layer.
    * Further transformer blocks begin by adding nothing, and so does what is told beside words, if
      the donor knows nothing of it. A refiner's donor knows all but the aesthetic score.
    * Keys and values are asked of other states than the donor's. Each of its maps W becomes the
      W' for which W' s' + b comes nearest to W s (least squares). A constant in the keys changes
      no weight of attention; that in the values goes into the bias of the layer after them.

    Args:
        donor: a network with a context; it is not changed.
        receiver: of the same widths, with at most the donor's attention levels; changed in place.
        told_donor: what text encoders say of many tokens, as the donor is told.
        told_receiver: what is said of the same tokens, as the receiver is told.
    """
    found = donor.state_dict()
    for name, weight in receiver.state_dict().items():
        given = found.get(name)
        if given is not None and given.numel() == weight.numel():
            weight.copy_(given.reshape(weight.shape))
    if receiver.add_embedding is not None and donor.add_embedding is None:
        _silence(receiver.add_embedding.linear_2)
    elif receiver.num_time_ids != donor.num_time_ids:
        _retell_sizes(donor, receiver)
    theirs, ours = dict(donor.named_modules()), dict(receiver.named_modules())
    fit, constant = _least_squares(told_receiver, told_donor)
    for name, block in ours.items():
        if name.endswith("attn2") and name in theirs:
            _retell(theirs[name], block, fit, constant)
        elif ".transformer_blocks." in f"{name}." and name not in theirs:
            if name.endswith(("to_out.0", "ff.net.2")):
                _silence(block)


def _least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix A and the constant b for which A x + b comes nearest to y."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = (x - mean_x).double(), (y - mean_y).double()
    gram = x.mT @ x
    ridge = 1e-4 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    matrix = torch.linalg.solve(gram + ridge, x.mT @ y).mT.float()
    return matrix, mean_y - matrix @ mean_x


def _retell(donor: Any, receiver: Any, fit: Tensor, constant: Tensor) -> None:
    """Keys and values from what the receiver is told."""
    receiver.to_k.weight.copy_(donor.to_k.weight @ fit)
    receiver.to_v.weight.copy_(donor.to_v.weight @ fit)
    out = receiver.to_out[0]
    out.bias.copy_(donor.to_out[0].bias + out.weight @ (donor.to_v.weight @ constant))


def _retell_sizes(donor: Any, receiver: Any) -> None:
    """A refiner's numbers from the base's: four are the same, the fifth begins by meaning nothing.

    The base's last two, the size of the picture, become a constant: that of a square.
    """
    ours, theirs = receiver.add_embedding.linear_1, donor.add_embedding.linear_1
    same = receiver.pooled_dim + 4 * TIME_ID_DIM
    ours.weight[:, :same] = theirs.weight[:, :same]
    ours.weight[:, same:] = 0
    size = sinusoidal_embedding(torch.tensor(SQUARE), TIME_ID_DIM).flatten()
    ours.bias.copy_(theirs.bias + theirs.weight[:, same:] @ size)


def _silence(layer: Any) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


@torch.no_grad()
def grown_text_encoder(
    trained: TextTransformer, *, num_layers: int, projection_dim: int
) -> TextWithProjection:
    """A deeper text tower that begins with a trained one's layers; the others begin at random.

    With one layer more than the trained one its last but one states are all that the trained
    tower knew, and only the last layer, which is read at the text's end alone, is new.

    Raises:
        ValueError: if there are fewer layers than the trained tower has.
    """
    known = len(trained.encoder.layers)
    if num_layers < known:
        raise ValueError(f"num_layers: expected at least {known}, got {num_layers}")
    tower = TextTransformer(
        trained.vocab_size,
        trained.eos_token_id,
        width=trained.width,
        num_layers=num_layers,
        num_heads=trained.encoder.num_heads,
        context_length=trained.context_length,
        mlp_width=trained.encoder.mlp_width,
        activation=trained.encoder.activation,
    )
    tower.load_state_dict(tower.state_dict() | trained.state_dict())
    return TextWithProjection(tower, projection_dim)
