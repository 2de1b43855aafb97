"""`edudiff generate`: from a prompt to a file with pictures."""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import edudiff
from edudiff.commands import painters, picture_file
from edudiff.commands.numbers import not_negative, seed, whole_number

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

AT_ONCE = 16
"""Pictures of a small model that are drawn together; of a full-size one it is one."""

DESCRIPTION = """\
Draw what a text says, with a small model that comes with edudiff or, where there is a GPU, with
the full-size one. The small ones know circles, squares and their like:

  edudiff generate "a red circle left of a blue square" --out picture.png
  edudiff generate "a red circle" --model matryoshka --all-resolutions"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words; what is not given is as the model was measured with."""
    parser.add_argument("prompt", help="what to draw")
    painters.add_arguments(parser, "stable-diffusion", "what to draw with")
    _add_walk(parser)
    parser.add_argument("--seed", type=seed, default=0, help="decides the noise (0)")
    parser.add_argument("--count", type=whole_number, default=1, metavar="N", help="pictures (1)")
    parser.add_argument(
        "--all-resolutions",
        action="store_true",
        help="matryoshka: every resolution side by side, the lower ones enlarged",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("picture.png"),
        help="file to write; a .png also holds how it was made (picture.png)",
    )


def _add_walk(parser: argparse.ArgumentParser) -> None:
    """Options that not every model has; see `painters.FLAGS`."""
    parser.add_argument(
        "--negative", dest="negative_prompt", metavar="TEXT", help="what not to draw"
    )
    parser.add_argument(
        "--steps", dest="num_inference_steps", type=whole_number, metavar="N", help="steps (20)"
    )
    parser.add_argument(
        "--guidance",
        dest="guidance_scale",
        type=not_negative,
        metavar="S",
        help="how far to follow the prompt; 1: no guidance (2 or 3; full size 5 to 7.5)",
    )
    parser.add_argument("--sampler", help="way to walk (dpm-solver++)")
    for side in ("height", "width"):
        parser.add_argument(
            f"--{side}", type=whole_number, metavar="N", help=f"{side} in pixels (as trained)"
        )


def run(options: argparse.Namespace) -> int:
    """Draw, with a bar that shows how far it is, and write one picture or a grid of them.

    What is asked for is looked at first, before anything is loaded or downloaded.

    Raises:
        ValueError: if something was asked for that cannot be.
        OSError: if weights cannot be had or the file cannot be written; then there is none.
    """
    if not options.prompt.strip():
        raise ValueError(f"prompt: expected some words, got {options.prompt!r}")
    given = check(options)
    picture_file.check(options.out)
    from edudiff.checkpoints import locate

    folder = locate(options.model, options.size)
    asked = painters.complete(options.model, given, full=painters.is_full(folder))
    begin = time.perf_counter()
    pictures = list(draw(folder, options, asked))
    height, width = pictures[0][0].shape[1:]
    made = settings(folder, options, asked | {"height": height, "width": width})
    image = lay_out(pictures, options.all_resolutions)
    picture_file.save(image, options.out, made)
    width, height = image.size
    seconds = time.perf_counter() - begin
    print(f"{options.out}: {width} × {height} pixels, {seconds:.1f} s with loading")
    return 0


def check(options: argparse.Namespace) -> dict[str, object]:
    """What was asked for, under the names of `sample`'s arguments.

    Raises:
        ValueError: for what the model does not have, naming what it has.
    """
    from edudiff.checkpoints.table import MODELS

    model, painter = options.model, painters.PAINTERS[options.model]
    every = {name: getattr(options, name) for name in painters.FLAGS}
    given = {name: value for name, value in every.items() if value is not None}
    painters.complete(model, given)
    if options.all_resolutions and not painter.nested:
        nested = ", ".join(name for name, each in painters.PAINTERS.items() if each.nested)
        raise ValueError(
            f"--all-resolutions: expected --model {nested}, got {model}, which draws one"
        )
    if options.size == "full" and MODELS[model].full is None:
        why = MODELS[model].why_not_full
        raise ValueError(f"--size: expected auto or tiny with {model}, got full: {why}")
    return given


def draw(
    folder: Path, options: argparse.Namespace, asked: painters.Asked
) -> Iterator["list[Tensor]"]:
    """Load the pipeline in that folder and draw one picture after the other.

    Yields:
        Of each picture all resolutions, high to low; most models have one.

    Raises:
        ValueError: what the pipeline refuses, such as a prompt that is too long.
    """
    import torch
    from tqdm import tqdm

    pipe = painters.load(options.model, folder)
    generator = torch.Generator().manual_seed(options.seed)
    at_once = AT_ONCE if painters.is_shipped(folder) else 1
    total = asked["num_inference_steps"] * math.ceil(options.count / at_once)
    with tqdm(total=total, desc="drawing") as bar:
        for first in range(0, options.count, at_once):
            prompts = [options.prompt] * min(at_once, options.count - first)
            levels = painters.draw(
                options.model, pipe, prompts, asked, generator=generator, after_step=bar.update
            )
            yield from map(list, zip(*levels, strict=True))


def lay_out(pictures: "Sequence[Sequence[Tensor]]", all_resolutions: bool) -> "Image.Image":
    """One picture, or a grid; with all resolutions a row for each picture, equally large.

    Args:
        pictures: of each picture all resolutions, high to low.
        all_resolutions: whether the lower ones are shown too, every pixel as a square.
    """
    from edudiff.display.encode import to_image
    from edudiff.display.figures import grid

    if all_resolutions:
        side = pictures[0][0].shape[1]
        row = [enlarge(level, side // level.shape[1]) for levels in pictures for level in levels]
        return grid(row, columns=len(pictures[0]))
    highest = [levels[0] for levels in pictures]
    return to_image(highest[0]) if len(highest) == 1 else grid(highest)


def enlarge(picture: "Tensor", times: int) -> "Tensor":
    """The picture with a square of so many pixels a side for each of its own."""
    return picture.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)


def settings(
    folder: Path, options: argparse.Namespace, asked: painters.Asked
) -> dict[str, str | int | float]:
    """What must be known to draw the same again, under the names of `sample`'s arguments."""
    return {
        "prompt": options.prompt,
        **asked,
        "seed": options.seed,
        "count": options.count,
        "model": painters.weights_name(folder),
        "version": edudiff.__version__,
    }
