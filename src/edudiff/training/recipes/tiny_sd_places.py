"""Every word learns where its thing is: the text encoder is told, and the U-Net listens.

"Left of" has no slope to learn by: neither the word alone nor the order of the nouns alone says
anything about the picture, only both together, as in a parity. `tiny_sd_words` waited for it in
vain. Here the text encoder has a lesson of its own beside the U-Net's loss: from the state of each
word, a linear layer must tell the colour, the shape, the place and the size of the object that the
word speaks of. The layer is thrown away; what stays are words that know where their object is.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from edudiff.checkpoints import registry
from edudiff.data import mentions, scenes
from edudiff.data.drawing import PALETTE
from edudiff.data.shapes import OUTLINES
from edudiff.layers.attention import write_out
from edudiff.pipelines.text_to_image import TextToImage, load
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.recipes import tiny_sd, tiny_sd_words

LESSON_WEIGHT = 0.1
COLOURS, SHAPES = tuple(PALETTE), tuple(OUTLINES)
UNIT = 0.25
"""Places are told in quarters of the side from the middle, so that they are about one in size."""


class Examples(tiny_sd_words.Examples):
    """As there, and what there is to tell of the one or two objects of each scene.

    Attributes:
        geometry: (n, 2, 3), x, y and radius in units of `UNIT`, in the caption's order; the only
            object of a scene stands twice.
        kinds: (n, 2, 2), places in `COLOURS` and `SHAPES`.
    """

    def __init__(self, pipe: TextToImage, seeds: Sequence[int]) -> None:
        super().__init__(pipe, seeds)
        said = pipe.tokenizer.batch_decode(self.input_ids, skip_special_tokens=True)
        every = [
            mentions.in_order(scenes.scene(seed), caption)
            for seed, caption in zip(seeds, said, strict=True)
        ]
        twice = [(objects[0], objects[-1]) for objects in every]
        self.geometry = torch.tensor(
            [[(o.x - 0.5, o.y - 0.5, o.radius - 0.2) for o in pair] for pair in twice]
        ).div(UNIT)
        self.kinds = torch.tensor(
            [[(COLOURS.index(o.colour), SHAPES.index(o.shape)) for o in pair] for pair in twice]
        )
        self.tokenizer = pipe.tokenizer

    def draw_choosing(
        self, harder: Int[Tensor, " n"], batch_size: int, generator: Generator
    ) -> Batch:
        """As there, with what each token speaks of and what there is to tell of it."""
        batch = super().draw_choosing(harder, batch_size, generator)
        rows = batch["rows"]
        about = mentions.spoken_of(batch["input_ids"], self.tokenizer)
        return {
            **batch,
            "about": about,
            "geometry": self.geometry[rows],
            "kinds": self.kinds[rows],
        }


class Lesson(nn.Linear):
    """(…, d) → (…, 3 + colours + shapes): what the state of a word tells of its object."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 3 + len(COLOURS) + len(SHAPES))

    def errors(self, states: Float[Tensor, "b n d"], batch: Batch) -> dict[str, Tensor]:
        """Squared errors of x, y and radius, nats for colour and shape: means over the words."""
        told = batch["about"] >= 0
        row, _ = told.nonzero(as_tuple=True)
        which = batch["about"][told]
        weight = (1 / told.sum(dim=1).clamp(min=1))[row]  # each caption counts once
        weight = weight / weight.sum().clamp(min=1e-6)
        geometry, colour, shape = self(states[told]).split([3, len(COLOURS), len(SHAPES)], dim=1)
        kinds = batch["kinds"][row, which]
        squares = (geometry - batch["geometry"][row, which]).square().mean(dim=1)
        return {
            "place": (weight * squares).sum(),
            "colour": (weight * F.cross_entropy(colour, kinds[:, 0], reduction="none")).sum(),
            "shape": (weight * F.cross_entropy(shape, kinds[:, 1], reduction="none")).sum(),
        }


def losses(pipe: TextToImage, lesson: Lesson, batch: Batch) -> dict[str, Tensor]:
    """The U-Net's loss and the lesson's; "even" is as in `tiny_sd_words`."""
    states = tiny_sd_words.read(pipe.text_encoder, batch["input_ids"])
    found = tiny_sd_words.losses(pipe, batch, lambda *_: states)
    told = lesson.errors(states, batch)
    return {
        "loss": found["loss"] + LESSON_WEIGHT * sum(told.values()),
        "even": found["even"],
    } | told


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped U-Net and text encoder, and what trains both on scenes not seen yet."""
    torch.manual_seed(seed)
    pipe = load(registry.path("tiny-sd"))
    write_out(pipe.unet)
    first = tiny_sd.NUM_SCENES * (8 + seed)
    seeds = range(first, first + min(tiny_sd.NUM_SCENES, tiny_sd.CHUNK * num_steps))
    examples = Examples(pipe, seeds)
    lesson = Lesson(pipe.text_encoder.embeddings.token_embedding.embedding_dim)
    learning = nn.ModuleDict(
        {"unet": pipe.unet, "text_encoder": pipe.text_encoder, "lesson": lesson}
    )
    return tiny_sd_words.make_job(
        pipe,
        learning,
        lambda step, batch_size, generator: examples.draw_choosing(
            examples.two, batch_size, generator
        ),
        lambda batch: losses(pipe, lesson, batch),
        num_steps,
    )


RECIPE = Recipe("stable-diffusion-places", num_steps=6500, batch_size=64, prepare=prepare)
