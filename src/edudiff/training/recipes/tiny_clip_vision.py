"""The tower of the shipped CLIP that looks goes on learning; the one that reads stays as it is.

What CLIP confuses in the end is mostly what it sees, not what it reads: shapes that are alike, and
small ones. And a text tower that stays is still the one that the book's generators were trained to
listen to.

Source:
    Zhai et al. 2022 (LiT, arXiv:2111.07991) the other way round: there the picture tower is locked.
"""

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR

from edudiff.data.scenes import FIRST_TEST_SEED
from edudiff.models.clip import CLIP, contrastive_loss
from edudiff.training import parallel
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_clip

LEARNING_RATE = 5e-4


def with_tower(clip: CLIP, weights: Any) -> CLIP:
    """The text side of `clip` together with another vision tower and its projection."""
    whole = CLIP(clip.text_model, weights["vision_model"], clip.projection_dim)
    whole.visual_projection = weights["visual_projection"]
    whole.text_projection, whole.logit_scale = clip.text_projection, clip.logit_scale
    return whole.eval()


def losses(clip: CLIP, batch: Batch) -> dict[str, Tensor]:
    """How well pictures find their caption among all and among those with a wrong shape."""
    with torch.no_grad():
        said = [clip.encode_text(batch[name]) for name in ("input_ids", "wrong_ids")]
        scale = clip.logit_scale.exp().clamp(max=100)
    # With tokens this few the plain formula is faster on a CPU than the fused one.
    with sdpa_kernel(SDPBackend.MATH):
        images = clip.encode_image(batch["pictures"])
    images, right, wrong = (parallel.gather_rows(rows.float()) for rows in (images, *said))
    return {"loss": contrastive_loss(images, torch.cat([right, wrong]), scale)}


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped CLIP, and what trains its vision tower as `tiny_clip` ended.

    Each picture has its caption, those of the others, and its own with a wrong shape.
    """
    torch.manual_seed(seed)
    clip, tokenizer = tiny_clip.load_shipped()
    reads = nn.ModuleDict({"tower": clip.text_model, "projection": clip.text_projection})
    reads.requires_grad_(False)
    learning = nn.ModuleDict(
        {"vision_model": clip.vision_model, "visual_projection": clip.visual_projection}
    ).float()
    optimizer = torch.optim.AdamW(
        learning.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.1, fused=True
    )

    def draw(batch_size: int, generator: Generator) -> Batch:
        seeds = torch.randint(FIRST_TEST_SEED, (batch_size,), generator=generator).tolist()
        return tiny_clip.make_batch(seeds, tokenizer)

    return Job(
        learning,
        optimizer,
        draw,
        lambda batch: losses(clip, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(reads,),
        measure=lambda weights: tiny_clip.measure(with_tower(clip, weights), tokenizer),
        export=lambda weights, folder: tiny_clip.export(
            with_tower(clip, weights), tokenizer, folder
        ),
    )


RECIPE = Recipe("clip-vision", num_steps=4000, batch_size=128, prepare=prepare)
