"""Compare every model of the book: quality, time and size side by side, on the same prompts.

    python benchmarks/compare_models.py                    everything; about five minutes
    python benchmarks/compare_models.py --only tiny-mdm    one row anew, the others as they were
    python benchmarks/compare_models.py --show             the table as it is

Writes src/edudiff/evaluation/measured/comparison.jsonl, which chapter 18 reads. A model whose
weights are not there is left out, and said so.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, points, scenes
from edudiff.diffusion import samplers
from edudiff.evaluation import comparison, distances, panel
from edudiff.evaluation.frechet import frechet_distance
from edudiff.evaluation.matching import embed_captions
from edudiff.evaluation.panel import Panel
from edudiff.training import loop
from edudiff.training.recipes import contest, quality, ring_diffusion, ring_gan, tiny_clip

NUM_PROMPTS, SEEDS_EACH = 128, 8
SINGLE = (
    ("red", "circle"),
    ("blue", "square"),
    ("yellow", "star"),
    ("green", "cross"),
)
"""What the prompts for diversity ask for."""

COLUMNS = {
    "one": "{:.0%}",
    "two": "{:.0%}",
    "colour": "{:.0%}",
    "frechet": "{:.2f}",
    "clip_score": "{:.2f}",
    "diversity": "{:.1f}",
    "familiarity": "{:.2f}",
    "seconds": "{:.2f}",
    "parameters": "{:,.0f}",
}
POINTS = {
    "log_density": "{:.2f}",
    "modes": "{:.0f}",
    "wasserstein": "{:.3f}",
    "frechet": "{:.4f}",
    "milliseconds": "{:.3f}",
    "parameters": "{:,.0f}",
}


@dataclass(frozen=True)
class Asked:
    """What everyone is asked for, and true answers.

    Attributes:
        prompts: one picture each.
        truth: the pictures that the prompts were written of.
    """

    prompts: list[str]
    truth: Tensor


def seeded(seed: int) -> Generator:
    """A generator of noise."""
    return Generator().manual_seed(seed)


def questions() -> Asked:
    """The first prompts that all recipes test with."""
    prompts = quality.test_captions(NUM_PROMPTS)
    first = scenes.FIRST_TEST_SEED
    told = scenes.scenes(range(first, first + NUM_PROMPTS))
    assert prompts[0] == captions.describe(told[0], first)
    return Asked(prompts, drawing.draw(told, panel.SIZE))


# Models that draw from words


def model_row(name: str, judges: Panel, asked: Asked) -> dict[str, Any]:
    """Let a model draw everything, and measure it."""
    one = contest.enter(name)
    contest.draw(one, asked.prompts[:2])  # what only the first call costs
    start = time.process_time()
    pictures = contest.draw(one, asked.prompts)
    seconds = (time.process_time() - start) / len(pictures)
    again = [f"a {colour} {shape}" for colour, shape in SINGLE for _ in range(SEEDS_EACH)]
    groups = contest.draw(one, again, seed=1).split(SEEDS_EACH)
    return {
        "kind": one.kind,
        **panel.measures(judges, pictures, asked.prompts),
        "diversity": panel.diversity(judges, groups),
        "seconds": seconds,
        "parameters": one.parameters,
    }


# Controls: no models, but what the measures must be able to tell from them


def truth(judges: Panel, asked: Asked) -> tuple[Tensor, list[Tensor]]:
    """The true pictures themselves."""
    groups = [panel.true_group(shape, colour, SEEDS_EACH) for colour, shape in SINGLE]
    return asked.truth, groups


def shuffled(judges: Panel, asked: Asked) -> tuple[Tensor, list[Tensor]]:
    """True pictures, each with the caption of the next."""
    others = list(judges.fresh[: SEEDS_EACH * len(SINGLE)].split(SEEDS_EACH))
    return asked.truth.roll(1, 0), others


def copies(judges: Panel, asked: Asked) -> tuple[Tensor, list[Tensor]]:
    """For each prompt the training picture whose caption means the most similar thing to CLIP."""
    seeds = range(len(judges.training))
    known = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
    read = partial(embed_captions, judges.clip, judges.tokenizer)
    texts = torch.nn.functional.normalize(read(known), dim=1)

    def nearest(prompts: list[str]) -> Tensor:
        return judges.training[(read(prompts) @ texts.T).argmax(dim=1)]

    single = [f"a {colour} {shape}" for colour, shape in SINGLE]
    return nearest(asked.prompts), [nearest([each] * SEEDS_EACH) for each in single]


def noise(judges: Panel, asked: Asked) -> tuple[Tensor, list[Tensor]]:
    """No picture at all."""
    generator = seeded(0)
    shape = asked.truth.shape
    several = torch.randn(SEEDS_EACH * len(SINGLE), *shape[1:], generator=generator)
    drawn = torch.randn(shape, generator=generator).clamp(-1, 1)
    return drawn, list(several.clamp(-1, 1).split(SEEDS_EACH))


CONTROLS: dict[str, Callable[[Panel, Asked], tuple[Tensor, list[Tensor]]]] = {
    "true pictures": truth,
    "true, captions shuffled": shuffled,
    "copies of training pictures": copies,
    "noise": noise,
}


def control_row(name: str, judges: Panel, asked: Asked) -> dict[str, Any]:
    """Measure what was made without a model."""
    pictures, groups = CONTROLS[name](judges, asked)
    return {
        "kind": "control",
        **panel.measures(judges, pictures, asked.prompts),
        "diversity": panel.diversity(judges, groups),
    }


def picture_row(name: str, judges: Panel, asked: Asked) -> dict[str, Any]:
    """A row of the first table, and which weights it was made with; CLIP's are the judge's."""
    taking_part = ["tiny-clip"] if name in CONTROLS else ["tiny-clip", contest.weights_of(name)]
    row = (control_row if name in CONTROLS else model_row)(name, judges, asked)
    return row | {"weights": registry.digest(*taking_part)}


# The early chapters' models, which draw points on the plane


def gan_points(n: int) -> tuple[Callable[[], Tensor], int]:
    """The plain GAN of chapter 2, trained on the ring."""
    G, _, step = ring_gan.prepare(0)
    for _ in loop.train(step, num_steps=ring_gan.NUM_STEPS, generator=seeded(0)):
        pass
    generator = seeded(1)
    z = torch.randn(n, ring_gan.LATENT_DIM, generator=generator)
    return lambda: G(z), contest.count_parameters(G)


def diffusion_points(n: int) -> tuple[Callable[[], Tensor], int]:
    """The DDPM of chapter 4, trained on the ring."""
    network, step = ring_diffusion.prepare(0)
    for _ in loop.train(step, num_steps=ring_diffusion.NUM_STEPS, generator=seeded(0)):
        pass

    def draw() -> Tensor:
        generator = seeded(1)
        table = ring_diffusion.NOISE_SCHEDULE
        options = {"clip": ring_diffusion.CLIP, "generator": generator}
        *_, x = samplers.sample(network, (n, 2), table, **options)
        return x

    return draw, contest.count_parameters(network)


def true_points(n: int) -> tuple[Callable[[], Tensor], None]:
    """The law itself."""
    return lambda: points.sample("ring", n, generator=seeded(1)), None


ON_THE_PLANE = {
    "true points": true_points,
    "GAN (chapter 2)": gan_points,
    "DDPM (chapter 4)": diffusion_points,
}


@torch.no_grad()
def point_row(name: str, n: int = 4000) -> dict[str, Any]:
    """Measure points: here the true density is known."""
    with torch.enable_grad():
        draw, parameters = ON_THE_PLANE[name](n)
    start = time.process_time()
    x = draw()
    milliseconds = 1000 * (time.process_time() - start) / n
    fresh = points.sample("ring", n, generator=seeded(2))
    row = {
        "kind": "control" if parameters is None else "model",
        "log_density": points.log_density("ring", x).clamp(min=-50).mean().item(),
        "modes": distances.mode_coverage(x, points.ring_centers(), 3 * points.RING_STD),
        "wasserstein": distances.sliced_wasserstein(x, fresh, generator=seeded(3)).item(),
        "frechet": frechet_distance(x, fresh),
    }
    if parameters is None:
        return row
    return row | {"milliseconds": milliseconds, "parameters": parameters}


# The table


def show(table: dict[str, Any]) -> None:
    """Print it."""
    print(f"{table['num_prompts']} prompts")
    print(comparison.as_text(table["models"], COLUMNS))
    print()
    print(comparison.as_text(table["points"], POINTS))


def measure(wanted: list[str], names: list[str], keep: bool) -> dict[str, Any]:
    """Make rows, and write the table after each, so that nothing is lost.

    Args:
        wanted: the names of the rows to make.
        names: all names, in the table's order.
        keep: whether the other rows of the old table stay.
    """
    old = comparison.read() if keep and comparison.FILE.is_file() else {}
    judges, asked = panel.make_panel(*tiny_clip.load_shipped()), questions()
    table = {"num_prompts": NUM_PROMPTS, "models": {}, "points": {}} | old
    for name in wanted:
        start = time.process_time()
        group = "points" if name in ON_THE_PLANE else "models"
        try:
            row = point_row(name) if group == "points" else picture_row(name, judges, asked)
        except ValueError as error:
            if name not in contest.CONTESTANTS:
                raise
            print(f"{name}: left out: {error}")
            continue
        rows = table[group] | {name: row}
        table[group] = {each: rows[each] for each in names if each in rows}
        comparison.write(table)
        print(f"{name}: {time.process_time() - start:.0f} s", flush=True)
    return table


def main() -> None:
    """Read the command line, measure what is asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*CONTROLS, *contest.CONTESTANTS, *ON_THE_PLANE]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"{names}")
    parser.add_argument("--show", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if options.show:
        show(comparison.read())
        return
    torch.set_num_threads(1)
    show(measure(options.only or names, names, keep=bool(options.only)))


if __name__ == "__main__":
    main()
