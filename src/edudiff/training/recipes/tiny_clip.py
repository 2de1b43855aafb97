"""How the shipped CLIP came to be: it matches pictures of 64 × 64 pixels with their captions."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor
from transformers import CLIPModel, CLIPTokenizer

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, edits, scenes, tokens
from edudiff.evaluation import matching
from edudiff.models.clip import CLIP, contrastive_loss
from edudiff.models.clip_bridge import from_transformers, to_transformers
from edudiff.models.clip_towers import TextTransformer, VisionTransformer
from edudiff.training import parallel
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import two_cycles

SIZE = 64
CONTEXT_LENGTH = 24
LEARNING_RATE, REFINING_RATE = 1e-3, 5e-4
FIRST_TEST_SEED = scenes.FIRST_TEST_SEED


def make_tokenizer() -> CLIPTokenizer:
    """The tokeniser of all shipped models, learnt from four thousand training captions."""
    seen = scenes.scenes(range(4000))
    said = (captions.describe(scene, seed) for seed, scene in enumerate(seen))
    return tokens.make_tokenizer(said, num_merges=400, context_length=CONTEXT_LENGTH)


def make_model(tokenizer: CLIPTokenizer) -> CLIP:
    """The untrained network."""
    text = TextTransformer(
        len(tokenizer), tokenizer.eos_token_id, num_layers=3, context_length=CONTEXT_LENGTH
    )
    vision = VisionTransformer(image_size=SIZE, patch_size=8, num_layers=3)
    return CLIP(text, vision)


def test_pairs(count: int) -> list[tuple[scenes.Scene, int]]:
    """The first so many scenes that no training sees, each with the seed of its caption.

    All captions are different.
    """
    pairs: list[tuple[scenes.Scene, int]] = []
    said: set[str] = set()
    seed = FIRST_TEST_SEED
    while len(pairs) < count:
        scene = scenes.scene(seed)
        caption = captions.describe(scene, seed)
        if caption not in said:
            pairs.append((scene, seed))
            said.add(caption)
        seed += 1
    return pairs


def measure(model: CLIP, tokenizer: CLIPTokenizer, count: int = 1024) -> Mapping[str, float]:
    """How often the right caption wins, on scenes that training never saw.

    Returns:
        "retrieval": of the pictures, each among 64 different captions. "colour" and "shape": of
        lone objects, among all colours or shapes. "binding": against the colours exchanged.
        "relation": against the opposite relation. Chance is 1/64, 1/8, 1/6, 1/2 and 1/2.
    """
    world, pairs = scenes.SMALL_WORLD, test_pairs(count)

    def ask(chosen: list[tuple[scenes.Scene, int]], change: Callable) -> float:
        options = [
            [captions.describe(each, seed) for each in (scene, *change(scene))]
            for scene, seed in chosen
        ]
        told = [row for row, some in enumerate(options) if len(set(some)) == len(some)]
        pictures = drawing.draw([chosen[row][0] for row in told], SIZE)
        return matching.choice(model, tokenizer, pictures, [options[row] for row in told])

    def other_colours(scene: scenes.Scene) -> list[scenes.Scene]:
        others = (colour for colour in world.colours if colour != scene.objects[0].colour)
        return [edits.recolour(scene, 0, colour) for colour in others]

    def other_shapes(scene: scenes.Scene) -> list[scenes.Scene]:
        others = (shape for shape in world.shapes if shape != scene.objects[0].shape)
        return [edits.reshape(scene, 0, shape) for shape in others]

    found = []
    for first in range(0, count - 63, 64):
        chosen = pairs[first : first + 64]
        said = [captions.describe(scene, seed) for scene, seed in chosen]
        pictures = drawing.draw([scene for scene, _ in chosen], SIZE)
        found.append(matching.retrieval(model, tokenizer, pictures, said)[0])
    alone = [pair for pair in pairs if len(pair[0].objects) == 1]
    # Joined by "and", exchanged words can be as true as before.
    two = [pair for pair in pairs if captions.read(captions.describe(*pair)).relation]
    return {
        "retrieval": sum(found) / len(found),
        "colour": ask(alone, other_colours),
        "shape": ask(alone, other_shapes),
        "binding": ask(two, lambda scene: [edits.swap_colours(scene)]),
        "relation": ask(two, lambda scene: [edits.turn_relation(scene)]),
    }


def other_shape(scene: scenes.Scene, seed: int) -> scenes.Scene:
    """The same scene with another shape for one object, and no combination that is held out."""
    rng = random.Random(f"shape {seed}")
    while True:
        index = int(rng.random() * len(scene.objects))
        shape = scenes.SMALL_WORLD.shapes[int(rng.random() * len(scenes.SMALL_WORLD.shapes))]
        changed = edits.reshape(scene, index, shape)
        if shape != scene.objects[index].shape and not scenes.is_held_out(changed):
            return changed


def make_batch(seeds: Sequence[int], tokenizer: CLIPTokenizer) -> Batch:
    """The pictures of scenes, their captions, and a caption of each with a wrong shape."""
    pairs = [*zip(scenes.scenes(seeds), seeds, strict=True)]
    said = [captions.describe(*pair) for pair in pairs]
    wrong = [captions.describe(other_shape(*pair), pair[1]) for pair in pairs]
    return {
        "pictures": drawing.draw([scene for scene, _ in pairs], SIZE),
        "input_ids": tokens.tokenize(said, tokenizer),
        "wrong_ids": tokens.tokenize(wrong, tokenizer),
    }


def export(model: CLIP, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the model and its tokeniser as those of transformers, in half precision."""
    half = to_transformers(model, tokenizer.bos_token_id).half()
    half.save_pretrained(folder)
    for config in (half.config, half.config.text_config, half.config.vision_config):
        config.dtype = "float32"  # what to compute in; the file stays half as large
    half.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepare(seed: int, num_steps: int) -> Job:
    """Make the network and everything that trains it.

    In the first of two cycles the wrong captions are those of the other pictures. In the second,
    each picture also has one that differs from its own in a shape alone: shapes are what random
    wrong captions teach last. Nothing teaches order, so that what CLIP does not learn of itself
    can be seen; see chapter 8.
    """
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    model = make_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.1)
    switch = max(1, 5 * num_steps // 8)
    scheduler = two_cycles(
        optimizer, LEARNING_RATE, REFINING_RATE, switch=switch, num_steps=max(2, num_steps)
    )

    def draw(batch_size: int, generator: Generator) -> Batch:
        seeds = torch.randint(FIRST_TEST_SEED, (batch_size,), generator=generator).tolist()
        return make_batch(seeds, tokenizer)

    def losses(batch: Batch) -> dict[str, Tensor]:
        images, texts, scale = model(batch["pictures"], batch["input_ids"])
        images, texts = (parallel.gather_rows(rows.float()) for rows in (images, texts))
        if scheduler.last_epoch >= switch:
            wrong = parallel.gather_rows(model.encode_text(batch["wrong_ids"]).float())
            texts = torch.cat([texts, wrong])
        return {"loss": contrastive_loss(images, texts, scale.clamp(max=100))}

    return Job(
        model,
        optimizer,
        draw,
        losses,
        scheduler=scheduler,
        ema_decay=0.999,
        max_grad_norm=1.0,
        measure=lambda weights: measure(weights, tokenizer),
        export=lambda weights, folder: export(weights, tokenizer, folder),
    )


def load_shipped() -> tuple[CLIP, CLIPTokenizer]:
    """The weights that lie in the package, and their tokeniser."""
    folder = registry.path("tiny-clip")
    clip = from_transformers(CLIPModel.from_pretrained(folder))
    return clip, CLIPTokenizer.from_pretrained(folder)


RECIPE = Recipe(
    "clip",
    num_steps=4000,
    batch_size=128,
    prepare=prepare,
    measure_shipped=lambda: measure(*load_shipped()),
)
