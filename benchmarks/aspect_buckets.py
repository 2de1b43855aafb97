"""Do shapes survive in pictures that are wide or tall? SDXL, which has seen some, beside SD.

    python benchmarks/aspect_buckets.py            the same prompts for each; twelve minutes
    python benchmarks/aspect_buckets.py --show     what was found

Each model draws the same lone objects square, wide and tall, with the settings that its own recipe
measures it with; the oracle then has to see one object in the shape and colour that was asked for.
What the autoencoder alone lets pass stands in the card of tiny-sdxl's. Prints shares with their
95 % Wilson intervals, and the mean difference to Stable Diffusion, prompt for prompt. The result
lies in src/edudiff/evaluation/measured/aspect_buckets.jsonl, which chapter 12 reads. A model whose
weights are what they were is not measured again.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from sdxl_against_sd import TAKING_PART, is_true, share
from torch import Generator, Tensor

from edudiff.checkpoints import registry
from edudiff.data import views
from edudiff.evaluation import comparison
from edudiff.evaluation.intervals import mean_interval
from edudiff.pipelines import text_to_image, text_to_image_xl
from edudiff.pipelines.refine import generate_refined
from edudiff.training import log
from edudiff.training.recipes import quality, tiny_sd, xl_quality

RESULTS = comparison.FILE.with_name("aspect_buckets.jsonl")
NUM_PROMPTS, CHUNK = 200, 50
BUCKETS = {"square": views.SQUARE, "wide": views.WIDE, "tall": views.TALL}
Draw = Callable[..., Tensor]


def load(*names: str) -> Draw:
    """A function of prompts, generator, height and width that draws with these weights."""
    folders = [registry.path(name) for name in names]
    if names == ("tiny-sd",):
        return partial(
            text_to_image.generate,
            text_to_image.load(folders[0]),
            guidance_scale=tiny_sd.GUIDANCE_SCALE,
            num_inference_steps=tiny_sd.NUM_STEPS,
        )
    scale = xl_quality.GUIDANCE_SCALE
    pipes = [text_to_image_xl.load(folder) for folder in folders]
    generate = generate_refined if len(pipes) == 2 else text_to_image_xl.generate
    return partial(generate, *pipes, guidance_scale=scale)


def undistorted(draw: Draw, prompts: Sequence[str], size: tuple[int, int]) -> Iterator[bool]:
    """Whether a picture of each prompt shows its object as it was asked for."""
    generator = Generator().manual_seed(0)
    for first in range(0, len(prompts), CHUNK):
        some = prompts[first : first + CHUNK]
        pictures = draw(some, generator=generator, height=size[0], width=size[1])
        yield from xl_quality.undistorted(pictures, some)


def measure(name: str, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each bucket: "right" is 1 or 0 for each prompt."""
    draw, weights = load(*TAKING_PART[name]), registry.digest(*TAKING_PART[name])
    return [
        {
            "name": name,
            "bucket": bucket,
            "drawn_with": list(TAKING_PART[name]),
            "weights": weights,
            "right": [int(each) for each in undistorted(draw, prompts, size)],
        }
        for bucket, size in BUCKETS.items()
    ]


def show(rows: list[dict[str, Any]]) -> None:
    """Print shares and differences."""
    first = {row["bucket"]: row["right"] for row in rows if row["name"] == rows[0]["name"]}
    for row in rows:
        right = row["right"]
        line = share(f"{row['name']}, {row['bucket']}", sum(right), len(right))
        if row["name"] != rows[0]["name"]:
            pairs = zip(first[row["bucket"]], right, strict=True)
            more = mean_interval([float(b - a) for a, b in pairs])
            line += f"  {more.mean:+.1%} [{more.low:+.1%}, {more.high:+.1%}]"
        print(line)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="measure nothing")
    parser.add_argument("--count", type=int, default=NUM_PROMPTS, help="prompts (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = log.read(RESULTS)
    if not options.show:
        prompts = xl_quality.lone_objects(quality.test_captions(3 * options.count))
        prompts, before, rows = prompts[: options.count], rows, []
        for name in TAKING_PART:
            own = [row for row in before if row["name"] == name and is_true(row, len(prompts))]
            rows += own or measure(name, prompts)
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    show(rows)


if __name__ == "__main__":
    main()
