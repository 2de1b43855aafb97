"""What SDXL's recipes learn from: latents of views of scenes, a bucket of each shape."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff.data import captions, scenes, tokens, views
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines.text_to_image_xl import TextToImageXL
from edudiff.training.job import Batch

CHUNK = 64
DROPPED = 0.1
SHARES = {views.SQUARE: 0.7, views.WIDE: 0.15, views.TALL: 0.15}
"""How often a batch comes from each bucket, and how many pictures the bucket holds."""

LATER_SHARES = {views.SQUARE: 0.4, views.WIDE: 0.3, views.TALL: 0.3}
"""The same once squares are known, so that the others catch up."""


@torch.no_grad()
def latents_of(
    model: AutoencoderKL, seeds: Sequence[int], looks: Sequence[views.View]
) -> Float[Tensor, " b c h w"]:
    """The most likely latents of views of training scenes."""
    found = []
    for first in range(0, len(seeds), CHUNK):
        some = slice(first, first + CHUNK)
        pictures = views.draw_views(scenes.scenes(seeds[some]), looks[some])
        found.append(model.encode(pictures).mean)
    return torch.cat(found)


class Bucket:
    """Latents of views of one shape, the token ids of their captions, and what is told of each.

    Args:
        pipe: its autoencoder and its tokeniser; `scored` decides what is told.
        seeds: of the scenes.
        size: height and width.

    Attributes:
        two: places of the captions with two objects.
    """

    def __init__(self, pipe: TextToImageXL, seeds: Sequence[int], size: tuple[int, int]) -> None:
        looks = [views.view(seed, size) for seed in seeds]
        said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
        told = [look.refiner_ids if pipe.scored else look.time_ids for look in looks]
        self.latents = latents_of(pipe.vae, seeds, looks)
        self.input_ids = tokens.tokenize(said, pipe.tokenizer_2)
        both = [k for k, caption in enumerate(said) if len(captions.read(caption).objects) == 2]
        self.two = torch.tensor(both, dtype=torch.long)
        self.time_ids = torch.tensor(told, dtype=torch.float32)


class Examples:
    """Views of training scenes in all buckets, made once.

    Args:
        pipe: the pipeline to be trained.
        seeds: of the scenes; shared out among the buckets, each scene in one of them.
        below: batches have timesteps below this one; of the whole table if not given.
        shares: how much of everything each bucket has.
        chosen: the share of each batch that is taken from captions with two objects only.
        lateness: timesteps are spread like u to this power, u evenly: below 1, late ones win.
    """

    def __init__(
        self,
        pipe: TextToImageXL,
        seeds: range,
        *,
        below: int | None = None,
        shares: Mapping[tuple[int, int], float] = SHARES,
        chosen: float = 0.0,
        lateness: float = 1.0,
    ) -> None:
        self.chosen, self.lateness = chosen, lateness
        self.num_timesteps = pipe.schedule.num_train_timesteps if below is None else below
        self.no_text = tokens.unconditional(pipe.tokenizer_2)
        self.shares = torch.tensor(list(shares.values())).cumsum(0)
        ends = [round(len(seeds) * share) for share in self.shares.tolist()]
        self.buckets = [
            Bucket(pipe, seeds[first:end], size)
            for first, end, size in zip([0, *ends], ends, shares, strict=False)
        ]

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Some of one bucket, one in ten without its caption."""
        chosen = int((torch.rand((), generator=generator) > self.shares[:-1]).sum())
        bucket = self.buckets[chosen]
        rows = torch.randint(len(bucket.latents), (batch_size,), generator=generator)
        rows = self._with_two(bucket.two, rows, generator)
        within = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
        share = (within / batch_size) ** self.lateness
        dropped = torch.rand(batch_size, 1, generator=generator) < DROPPED
        return {
            "x0": bucket.latents[rows],
            "input_ids": torch.where(dropped, self.no_text, bucket.input_ids[rows]),
            "time_ids": bucket.time_ids[rows],
            "t": (share * self.num_timesteps).long().clamp(max=self.num_timesteps - 1),
            "eps": torch.randn(batch_size, *bucket.latents.shape[1:], generator=generator),
        }

    def _with_two(
        self, two: Int[Tensor, " k"], rows: Int[Tensor, " b"], generator: Generator
    ) -> Int[Tensor, " b"]:
        """The rows of a batch, `chosen` of them taken from captions with two objects."""
        count = int(self.chosen * len(rows)) if len(two) else 0
        if not count:
            return rows
        # Timesteps stand in order, so every few places one is taken.
        places = ((torch.arange(count) + 0.5) * len(rows) / count).long()
        drawn = torch.randint(len(two), (count,), generator=generator)
        return rows.index_copy(0, places, two[drawn])
