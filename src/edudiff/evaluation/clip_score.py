"""What a CLIP says of pictures: how well each fits its caption, and what it sees, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPTokenizer

from edudiff import checks
from edudiff.evaluation.matching import embed_captions, embed_pictures
from edudiff.models.clip import CLIP

WEIGHT = 2.5
"""Stretches the usual cosines to about 0…1; of the authors' own CLIP, which is not ours."""


def clip_score(
    model: CLIP,
    tokenizer: CLIPTokenizer,
    pictures: Float[Tensor, " b 3 h w"],
    captions: Sequence[str],
) -> Float[Tensor, " b"]:
    """How well each picture fits its own caption: 2.5 · max(cos, 0), from 0 to 2.5.

    Args:
        model: what is asked.
        tokenizer: its tokeniser.
        pictures: in [-1, 1].
        captions: one a picture.

    Raises:
        ValueError: for another number of captions than pictures.

    Source:
        Hessel et al. 2021 (arXiv:2104.08718), section 3. In torchmetrics `CLIPScore` gives
        100 · max(cos, 0).
    """
    if isinstance(captions, str) or len(captions) != len(pictures):
        raise ValueError(f"captions: expected {len(pictures)}, one a picture, got {captions!r:.80}")
    seen = normalize(embed_pictures(model, pictures), dim=1)
    said = normalize(embed_captions(model, tokenizer, captions), dim=1)
    return WEIGHT * (seen * said).sum(dim=1).clamp(min=0)


@dataclass(frozen=True)
class Features:
    """What a CLIP sees in pictures, cut down to what varies most among true ones.

    A covariance of d features has d (d + 1) / 2 numbers, and needs far more pictures than d. So
    only the first few principal components of true pictures are kept, each divided by its
    standard deviation there: of true pictures every feature has mean 0 and variance 1.

    Attributes:
        model: what looks.
        mean: (e,), of the true pictures' embeddings of length 1.
        directions: (e, d), principal components, divided by their standard deviations.
    """

    model: CLIP
    mean: Tensor
    directions: Tensor

    def __call__(self, pictures: Float[Tensor, " b 3 h w"]) -> Float[Tensor, " b d"]:
        """The features of pictures in [-1, 1]."""
        return (normalize(embed_pictures(self.model, pictures), dim=1) - self.mean) @ (
            self.directions
        )


def fit_features(model: CLIP, true: Float[Tensor, " n 3 h w"], number: int = 16) -> Features:
    """Find the directions in which a CLIP's answers to true pictures vary most.

    Args:
        model: what looks.
        true: true pictures in [-1, 1], more than `number`.
        number: how many features to keep.

    Raises:
        ValueError: if there are not more pictures than features, or fewer than one feature.

    Source:
        Principal components: Pearson 1901; `sklearn.decomposition.PCA(whiten=True)`.
    """
    checks.whole_at_least(1, number=number)
    checks.whole_at_least(number + 1, true=len(true))
    seen = normalize(embed_pictures(model, true), dim=1)
    mean = seen.mean(dim=0)
    _, spread, directions = torch.linalg.svd(seen - mean, full_matrices=False)
    std = spread[:number] / (len(seen) - 1) ** 0.5
    return Features(model, mean, directions[:number].T / std)
