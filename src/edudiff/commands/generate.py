"""`edudiff generate`: from a prompt to a file with pictures."""

import argparse
import math
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import edudiff
from edudiff import checks
from edudiff.commands import picture_file
from edudiff.commands.numbers import not_negative, seed, whole_number

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 16
"""Pictures of the small model that are drawn together; of the full-size one it is one."""

DESCRIPTION = """\
Draw what a text says, with the small model that comes with edudiff or, where there is a GPU, with
the full-size Stable Diffusion. The small one knows circles, squares and their like:

  edudiff generate "a red circle left of a blue square" --out picture.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("prompt", help="what to draw")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what not to draw")
    parser.add_argument("--steps", type=whole_number, default=20, metavar="N", help="steps (20)")
    parser.add_argument(
        "--guidance",
        type=not_negative,
        default=3.0,
        metavar="S",
        help="how far to follow the prompt; 1: no guidance (3)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="decides the noise (0)")
    parser.add_argument("--sampler", default="dpm-solver++", help="way to walk (dpm-solver++)")
    parser.add_argument("--count", type=whole_number, default=1, metavar="N", help="pictures (1)")
    for side in ("height", "width"):
        parser.add_argument(
            f"--{side}", type=whole_number, metavar="N", help=f"{side} in pixels (as trained)"
        )
    parser.add_argument(
        "--size",
        choices=["auto", "tiny", "full"],
        default="auto",
        help="which model; auto: full with a large enough GPU, else tiny (auto)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("picture.png"),
        help="file to write; a .png also holds how it was made (picture.png)",
    )


def run(options: argparse.Namespace) -> int:
    """Draw, with a bar that shows how far it is, and write one picture or a grid of them.

    What is asked for is looked at first, before anything is loaded or downloaded.

    Raises:
        ValueError: if something was asked for that cannot be.
        OSError: if weights cannot be had or the file cannot be written; then there is none.
    """
    from edudiff.diffusion.samplers import SAMPLERS

    if not options.prompt.strip():
        raise ValueError(f"prompt: expected some words, got {options.prompt!r}")
    checks.choose("sampler", options.sampler, SAMPLERS)
    picture_file.check(options.out)
    from edudiff.checkpoints import locate
    from edudiff.display.encode import to_image
    from edudiff.display.figures import grid

    folder = locate("stable-diffusion", options.size)
    begin = time.perf_counter()
    pictures = list(draw(folder, options))
    image = to_image(pictures[0]) if len(pictures) == 1 else grid(pictures)
    height, width = pictures[0].shape[1:]
    picture_file.save(image, options.out, settings(folder, options, height, width))
    width, height = image.size
    seconds = time.perf_counter() - begin
    print(f"{options.out}: {width} × {height} pixels, {seconds:.1f} s with loading")
    return 0


def draw(folder: Path, options: argparse.Namespace) -> Iterator["Tensor"]:
    """Load the pipeline in that folder and draw one picture after the other.

    Raises:
        ValueError: what the pipeline refuses, such as a prompt that is too long.
    """
    import torch
    from tqdm import tqdm

    from edudiff.pipelines import text_to_image

    pipe = text_to_image.load(folder)
    tiny = is_shipped(folder)
    if torch.cuda.is_available() and not tiny:
        pipe.to("cuda", torch.float16)
    generator = torch.Generator().manual_seed(options.seed)
    at_once = AT_ONCE if tiny else 1
    with tqdm(total=options.steps * math.ceil(options.count / at_once), desc="drawing") as bar:
        for first in range(0, options.count, at_once):
            count = min(at_once, options.count - first)
            steps = text_to_image.sample(
                pipe,
                [options.prompt] * count,
                generator=generator,
                num_inference_steps=options.steps,
                guidance_scale=options.guidance,
                negative_prompts=[options.negative] * count,
                sampler=options.sampler,
                height=options.height,
                width=options.width,
            )
            last: deque[Tensor] = deque(maxlen=1)
            for latents in steps:
                last.append(latents)
                bar.update()
            yield from text_to_image.decode(pipe, last[0]).float().cpu()


def settings(
    folder: Path, options: argparse.Namespace, height: int, width: int
) -> dict[str, str | int | float]:
    """What must be known to draw the same again, under the names of `sample`'s arguments."""
    return {
        "prompt": options.prompt,
        "negative_prompt": options.negative,
        "num_inference_steps": options.steps,
        "guidance_scale": float(options.guidance),
        "seed": options.seed,
        "sampler": options.sampler,
        "height": height,
        "width": width,
        "count": options.count,
        "model": model_name(folder),
        "version": edudiff.__version__,
    }


def model_name(folder: Path) -> str:
    """Which weights lie there: ours by name, those of the hub by repository and revision."""
    from edudiff.checkpoints.table import MODELS

    full = MODELS["stable-diffusion"].full
    if full is not None and full.revision in folder.name:
        return f"{full.repository}@{full.revision}"
    return folder.name


def is_shipped(folder: Path) -> bool:
    """Whether the weights there came with edudiff."""
    from edudiff.checkpoints import registry

    return folder.is_relative_to(registry.ROOT)
