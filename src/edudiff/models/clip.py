"""CLIP: a tower that reads, a tower that looks, and the loss that makes them agree.

Parameter names are those of transformers, so that state dicts go both ways unchanged.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, normalize

from edudiff import checks
from edudiff.models.clip_towers import TextTransformer, TowerOutput, VisionTransformer


def similarity(
    image_embeds: Float[Tensor, " i d"],
    text_embeds: Float[Tensor, " t d"],
    scale: float | Float[Tensor, ""] = 1.0,
) -> Float[Tensor, " i t"]:
    """Scale · cosine of the angle between every picture and every text.

    Args:
        image_embeds: a vector for each picture, of any length.
        text_embeds: a vector for each text, of any length.
        scale: the factor itself, exp(`logit_scale`), not its logarithm.

    Returns:
        Values in [-scale, scale]; row i belongs to picture i.

    Raises:
        ValueError: if the embeddings are not matrices of one width.

    Source:
        Radford et al. 2021 (arXiv:2103.00020), fig. 3. In transformers: `logits_per_image`.
    """
    if image_embeds.ndim != 2 or image_embeds.shape[1:] != text_embeds.shape[1:]:
        raise ValueError(
            "image_embeds, text_embeds: expected shapes (i, d) and (t, d), "
            f"got {tuple(image_embeds.shape)} and {tuple(text_embeds.shape)}"
        )
    return scale * normalize(image_embeds, dim=1) @ normalize(text_embeds, dim=1).T


def contrastive_loss(
    image_embeds: Float[Tensor, " i d"],
    text_embeds: Float[Tensor, " t d"],
    scale: float | Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """How badly pictures find their text and texts their picture, in nats; log i by chance.

        L = ½ Σ_k −log softmax_texts(s_kk) / i  +  ½ Σ_k −log softmax_pictures(s_kk) / i

    Texts beyond the first i belong to no picture: they are hard negatives, wrong captions that
    each picture must tell from its own. They ask for no picture themselves.

    Args:
        image_embeds: a vector for each picture, of any length.
        text_embeds: a vector for each text, of any length; text k belongs to picture k.
        scale: the factor itself, exp(`logit_scale`), not its logarithm.

    Raises:
        ValueError: if the embeddings are not matrices of one width, there is no picture, or there
            are fewer texts than pictures.

    Source:
        Radford et al. 2021 (arXiv:2103.00020), fig. 3. In transformers: `CLIPModel(…,
        return_loss=True).loss`, where there are as many texts as pictures.
    """
    logits = similarity(image_embeds, text_embeds, scale)
    pairs, texts = logits.shape
    if not 1 <= pairs <= texts:
        raise ValueError(
            f"text_embeds: expected at least one picture and a text for each, "
            f"got {pairs} pictures and {texts} texts"
        )
    own = torch.arange(pairs, device=logits.device)
    return (cross_entropy(logits, own) + cross_entropy(logits[:, :pairs].T, own)) / 2


def _projection(width: int, projection_dim: int) -> nn.Linear:
    checks.whole_at_least(1, projection_dim=projection_dim)
    linear = nn.Linear(width, projection_dim, bias=False)
    nn.init.normal_(linear.weight, std=width**-0.5)
    return linear


class TextEncoder(nn.Module):
    """A `TextTransformer` and the projection to where texts and pictures meet.

    Args:
        text_model: the tower.
        projection_dim: length of a text's vector.

    Raises:
        ValueError: if projection_dim is below 1.

    Source:
        In transformers: `CLIPTextModelWithProjection`, with the same parameter names.
    """

    def __init__(self, text_model: TextTransformer, projection_dim: int = 128) -> None:
        super().__init__()
        self.text_model = text_model
        self.text_projection = _projection(text_model.width, projection_dim)

    def forward(self, input_ids: Int[Tensor, " b n"]) -> TowerOutput:
        """What the tower read, its `pooler_output` projected."""
        read = self.text_model(input_ids)
        return read._replace(pooler_output=self.text_projection(read.pooler_output))


class ImageEncoder(nn.Module):
    """A `VisionTransformer` and the projection to where texts and pictures meet.

    Args:
        vision_model: the tower.
        projection_dim: length of a picture's vector.

    Raises:
        ValueError: if projection_dim is below 1.

    Source:
        In transformers: `CLIPVisionModelWithProjection`, with the same parameter names.
    """

    def __init__(self, vision_model: VisionTransformer, projection_dim: int = 128) -> None:
        super().__init__()
        self.vision_model = vision_model
        self.visual_projection = _projection(vision_model.width, projection_dim)

    def forward(self, pixel_values: Float[Tensor, " b 3 h w"]) -> TowerOutput:
        """What the tower saw, its `pooler_output` projected."""
        seen = self.vision_model(pixel_values)
        return seen._replace(pooler_output=self.visual_projection(seen.pooler_output))


class CLIP(nn.Module):
    """Pictures and texts → vectors in one space, alike where they belong together.

    `contrastive_loss(*clip(pictures, input_ids))` is what it is trained on, and
    `similarity(*clip(pictures, input_ids))` compares every picture with every text.

    Args:
        text_model: the tower that reads.
        vision_model: the tower that looks.
        projection_dim: length of the vectors.

    Raises:
        ValueError: if projection_dim is below 1.

    Source:
        Radford et al. 2021 (arXiv:2103.00020); the scale starts at 1/0.07 (section 2.5). In
        transformers: `CLIPModel`, with the same parameter names.
    """

    def __init__(
        self,
        text_model: TextTransformer,
        vision_model: VisionTransformer,
        projection_dim: int = 128,
    ) -> None:
        super().__init__()
        self.projection_dim = projection_dim
        self.text_model, self.vision_model = text_model, vision_model
        self.visual_projection = _projection(vision_model.width, projection_dim)
        self.text_projection = _projection(text_model.width, projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(
        self, pictures: Float[Tensor, " i 3 h w"], input_ids: Int[Tensor, " t n"]
    ) -> tuple[Float[Tensor, " i e"], Float[Tensor, " t e"], Float[Tensor, ""]]:
        """Return (image_embeds, text_embeds, scale) for pictures in [-1, 1] and token ids.

        Raises:
            ValueError: what `encode_image` and the text tower refuse.
        """
        scale = self.logit_scale.exp()
        return self.encode_image(pictures), self.encode_text(input_ids), scale

    def encode_image(self, pictures: Float[Tensor, " i 3 h w"]) -> Float[Tensor, " i e"]:
        """One vector for each picture in [-1, 1], of any length.

        Raises:
            ValueError: if a value is outside [-1, 1], or what the vision tower refuses.
        """
        checks.floating(pictures=pictures)
        checks.in_range(-1.0, 1.0, pictures=pictures)
        return self.visual_projection(self.vision_model(pictures).pooler_output)

    def encode_text(self, input_ids: Int[Tensor, " t n"]) -> Float[Tensor, " t e"]:
        """One vector for each text, of any length."""
        return self.text_projection(self.text_model(input_ids).pooler_output)


def clip_l_text() -> TextTransformer:
    """The text tower of Stable Diffusion 1 and the first of XL: OpenAI's CLIP ViT-L/14."""
    return TextTransformer(49408, 49407, width=768, num_layers=12, num_heads=12, context_length=77)


def clip_l() -> CLIP:
    """OpenAI's CLIP ViT-L/14 whole: it looks at 224 pixels in patches of 14."""
    vision = VisionTransformer(224, 14, width=1024, num_layers=24, num_heads=16)
    return CLIP(clip_l_text(), vision, projection_dim=768)


def openclip_bigg_text() -> TextEncoder:
    """The second text tower of Stable Diffusion XL: OpenCLIP ViT-bigG/14, with its projection."""
    text = TextTransformer(
        49408,
        49407,
        width=1280,
        num_layers=32,
        num_heads=20,
        context_length=77,
        activation=gelu,
    )
    return TextEncoder(text, projection_dim=1280)
