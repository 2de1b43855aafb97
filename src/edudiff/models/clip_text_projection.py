"""SDXL's second text encoder: a text tower that also sums the whole text up in one vector."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.models.clip_towers import TextTransformer


class ProjectedText(NamedTuple):
    """What the tower says of texts.

    Attributes:
        text_embeds: one vector for each text.
        hidden_states: the tokens before the first layer and after each one; [-2] is what SDXL
            reads.
    """

    text_embeds: Float[Tensor, " b d_pooled"]
    hidden_states: list[Float[Tensor, " b n d"]]


class TextWithProjection(nn.Module):
    """Token ids → what is said of each token, and one vector for the whole text.

    Args:
        text_model: the tower.
        projection_dim: length of the vector.

    Raises:
        ValueError: if projection_dim is below 1.

    Source:
        Podell et al. 2023 (arXiv:2307.01952), section 2.1. In transformers:
        `CLIPTextModelWithProjection`, with the same parameter names.
    """

    def __init__(self, text_model: TextTransformer, projection_dim: int) -> None:
        super().__init__()
        checks.whole_at_least(1, projection_dim=projection_dim)
        self.projection_dim = projection_dim
        self.text_model = text_model
        self.text_projection = nn.Linear(text_model.width, projection_dim, bias=False)

    def forward(self, input_ids: Int[Tensor, " b n"]) -> ProjectedText:
        """Read each text; its one vector is what the tower found at its end, projected.

        Raises:
            ValueError: what `TextTransformer` raises.
        """
        read = self.text_model(input_ids)
        return ProjectedText(self.text_projection(read.pooler_output), read.hidden_states)
