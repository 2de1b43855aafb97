"""How well a CLIP tells which caption belongs to which picture."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTokenizer

from edudiff.data.tokens import tokenize
from edudiff.models.clip import CLIP, similarity


@torch.no_grad()
def embed_pictures(model: CLIP, pictures: Float[Tensor, " b 3 h w"]) -> Float[Tensor, " b d"]:
    """A vector for each picture in [-1, 1], some pictures at a time."""
    device = model.logit_scale.device
    return torch.cat([model.encode_image(some.to(device)) for some in pictures.split(256)])


@torch.no_grad()
def embed_captions(
    model: CLIP, tokenizer: CLIPTokenizer, captions: Sequence[str]
) -> Float[Tensor, " b d"]:
    """A vector for each caption, some captions at a time."""
    device = model.logit_scale.device
    ids = tokenize(captions, tokenizer)
    return torch.cat([model.encode_text(some.to(device)) for some in ids.split(256)])


def retrieval(
    model: CLIP,
    tokenizer: CLIPTokenizer,
    pictures: Float[Tensor, " b 3 h w"],
    captions: Sequence[str],
) -> tuple[float, float]:
    """How often the best match is the right one, caption k belonging to picture k.

    Returns:
        The share of pictures that find their caption, and of captions that find their picture.

    Raises:
        ValueError: if there are not as many captions as pictures, or two captions are the same.

    Source:
        Recall@1, as in Radford et al. 2021 (arXiv:2103.00020), section 3.1 and table 13.
    """
    if len(set(captions)) != len(captions) or len(captions) != len(pictures):
        raise ValueError(
            f"captions: expected {len(pictures)} different ones, one a picture, "
            f"got {len(set(captions))} different ones of {len(captions)}"
        )
    texts = embed_captions(model, tokenizer, captions)
    scores = similarity(embed_pictures(model, pictures), texts)
    own = torch.arange(len(scores), device=scores.device)
    found = [(scores.argmax(dim) == own).float().mean().item() for dim in (1, 0)]
    return found[0], found[1]


def choice(
    model: CLIP,
    tokenizer: CLIPTokenizer,
    pictures: Float[Tensor, " b 3 h w"],
    options: Sequence[Sequence[str]],
) -> float:
    """How often the first caption of several matches the picture better than all others.

    Args:
        model: what is asked.
        tokenizer: its tokeniser.
        pictures: in [-1, 1].
        options: for each picture its captions, the right one first, equally many for each.

    Raises:
        ValueError: if the options are not for each picture equally many, at least two.

    Source:
        Zero-shot classification, Radford et al. 2021 (arXiv:2103.00020), section 3.1.2. With two
        options: the test of Yuksekgonul et al. 2022 (arXiv:2210.01936), section 2.
    """
    each = len(options[0]) if options else 0
    if len(options) != len(pictures) or each < 2 or any(len(some) != each for some in options):
        raise ValueError(
            f"options: expected {len(pictures)} lists of equally many captions, at least two, "
            f"got {len(options)} of {sorted({len(some) for some in options})}"
        )
    flat = embed_captions(model, tokenizer, [caption for some in options for caption in some])
    seen = torch.nn.functional.normalize(embed_pictures(model, pictures), dim=1)
    texts = torch.nn.functional.normalize(flat, dim=1).unflatten(0, (-1, each))
    scores = torch.einsum("bd,bod->bo", seen, texts)
    return (scores[:, :1] > scores[:, 1:]).all(dim=1).float().mean().item()
