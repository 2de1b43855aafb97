"""How many different things are in a cloud? A number that needs no truth to compare with."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from edudiff import checks


def vendi_score(features: Float[Tensor, " n d"]) -> float:
    """The number of different points, counting those that are alike in part: from 1 to n.

        exp(−Σ_k λ_k ln λ_k),   λ the eigenvalues of K / n,   K_ij = cos(f_i, f_j)

    n equal points count for 1; n points at right angles for n. It says nothing of truth:
    noise is very diverse.

    Args:
        features: one vector for each picture, none of them 0.

    Raises:
        ValueError: without points, or for a vector of length 0.

    Source:
        Friedman and Dieng 2023 (arXiv:2210.02410), definition 3.1.
    """
    checks.whole_at_least(1, features=len(features))
    checks.floating(features=features)
    if not bool((features.norm(dim=1) > 0).all()):
        raise ValueError("features: expected vectors with a direction, got one of length 0")
    f = normalize(features.double(), dim=1)
    values = torch.linalg.eigvalsh(f @ f.T / len(f)).clamp(min=0)
    return torch.special.entr(values).sum().exp().item()
