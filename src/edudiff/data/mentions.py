"""Which object each word of a caption speaks of, once enough has been said to know it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from edudiff.data import captions
from edudiff.data.drawing import PALETTE
from edudiff.data.scenes import Object, Scene
from edudiff.data.shapes import OUTLINES

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


def in_order(scene: Scene, caption: str) -> tuple[Object, ...]:
    """The objects of a scene in the order in which a caption of it names them.

    Args:
        scene: what the caption describes.
        caption: as `captions.describe` writes it.

    Raises:
        ValueError: if the caption names other objects, or what `captions.read` raises.
    """
    claims = captions.read(caption)
    named = [(claim.colour, claim.shape) for claim in claims.objects]
    same_way = claims.relation is None or claims.relation == scene.relation
    first = scene.objects if same_way else scene.objects[::-1]
    for objects in (first, first[::-1]):
        if [(thing.colour, thing.shape) for thing in objects] == named:
            return objects
    raise ValueError(f"caption: expected one of this scene, got {caption!r}")


def spoken_of(input_ids: Int[Tensor, "b n"], tokenizer: "CLIPTokenizer") -> Int[Tensor, "b n"]:
    """For each token of a caption, the number of the object that it speaks of: 0, 1, or −1.

    A token speaks of the object named last, up to the first word of the next one: in "a red circle
    left of a blue square" the tokens from "circle" to "a" speak of the circle, "square" and all
    after it of the square. Whoever reads from left to right knows by then which object that is,
    so the words before, and "blue", are −1.

    Args:
        input_ids: from `tokens.tokenize`.
        tokenizer: the one they are from; sizes, colours and shapes must be whole tokens of it, or
            they go unseen.
    """
    shape = torch.isin(input_ids, _ids(OUTLINES, tokenizer)).long()
    sizes = (way for ways in captions.SIZES.values() for way in ways)
    begins = shape | torch.isin(input_ids, _ids([*PALETTE, *sizes], tokenizer)).long()
    named = shape.cumsum(dim=1)
    before = named - shape  # shapes named up to the token before
    # A size, colour or shape after the first shape begins the second object.
    second = (begins * (before > 0)).cumsum(dim=1) > 0
    number = torch.where(second, 1, 0)
    return torch.where(named > number, number, -1)


def _ids(words: Iterable[str], tokenizer: "CLIPTokenizer") -> Int[Tensor, " k"]:
    """Token ids of those words that the tokeniser does not cut."""
    vocabulary = tokenizer.get_vocab()
    ends = (f"{word}</w>" for word in words)
    return torch.tensor([vocabulary[end] for end in ends if end in vocabulary])
