"""Real handwritten digits, 8×8 pixels, that come with scikit-learn and need no download."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from sklearn.datasets import load_digits
from torch import Tensor


@dataclass(frozen=True)
class Digits:
    """The whole data set, in its original order.

    Attributes:
        images: float32 in [-1, 1]; -1 is the empty background, 1 is full ink.
        labels: int64, the digit 0…9 that was meant.
    """

    images: Float[Tensor, " n 1 8 8"]
    labels: Int[Tensor, " n"]

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.images)


def load() -> Digits:
    """Load the 1,797 digits, scaled from 0…16 ink counts to [-1, 1].

    Source:
        Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI repository), the
        test part. In scikit-learn: `sklearn.datasets.load_digits`.
    """
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] / 8 - 1
    return Digits(images=images, labels=torch.from_numpy(bunch.target).long())
