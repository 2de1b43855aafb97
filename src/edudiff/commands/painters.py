"""Every model that `edudiff generate` and `edudiff demo` draw with: one table, one way to draw."""

import importlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from torch import Generator, Tensor

Asked = Mapping[str, Any]
"""What was asked for, under the names of `sample`'s arguments; see `Painter.takes`."""

FLAGS = {
    "negative_prompt": "--negative",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "sampler": "--sampler",
    "height": "--height",
    "width": "--width",
}
"""Arguments of `sample` that the command line can set, and how."""


@dataclass(frozen=True)
class Painter:
    """A model, by the two modules that know it.

    Attributes:
        pipeline: the module with its `sample` and, if that walks among latents, its `decode`.
        loader: the module with its `load`.
        takes: which of `FLAGS` it knows, and what each is unless something else is asked for.
        full_guidance: the guidance scale of full-size weights, which stand more of it.
        nested: whether pictures of several resolutions come out.
    """

    pipeline: str
    loader: str
    takes: Asked = field(default_factory=dict)
    full_guidance: float | None = None
    nested: bool = False


_WALK = {"negative_prompt": "", "num_inference_steps": 20, "guidance_scale": 3.0}
_CANVAS = {
    **_WALK,
    "guidance_scale": 2.0,
    "sampler": "dpm-solver++",
    "height": None,
    "width": None,
}

PAINTERS = {
    "stable-diffusion": Painter("text_to_image", "text_to_image", _CANVAS, full_guidance=7.5),
    "sdxl": Painter("text_to_image_xl", "text_to_image_xl", _CANVAS, full_guidance=5.0),
    "stable-diffusion-3": Painter("flow_to_image", "flow_folder", _WALK, full_guidance=7.0),
    "matryoshka": Painter("matryoshka", "matryoshka_folder", _WALK, nested=True),
}
"""The models by name: how each is asked where nothing else is said is how it was measured; full
sizes are guided as diffusers guides them."""


def complete(model: str, given: Asked, *, full: bool = False) -> dict[str, Any]:
    """Everything the model is asked with: what was given, and its own habits for the rest.

    Args:
        model: one of `PAINTERS`.
        given: what was asked for.
        full: whether its full-size weights are asked.

    Raises:
        ValueError: for what the model does not have, naming what it has; for an unknown sampler.
    """
    from edudiff import checks
    from edudiff.diffusion.samplers import SAMPLERS

    painter = PAINTERS[model]
    takes = dict(painter.takes)
    if full and painter.full_guidance is not None:
        takes["guidance_scale"] = painter.full_guidance
    for name, value in given.items():
        if name not in takes:
            has = ", ".join(FLAGS[each] for each in takes)
            raise ValueError(
                f"{FLAGS[name]}: expected none with {model}, got {value!r}; it has {has}"
            )
    asked = {**takes, **given}
    if "sampler" in asked:
        checks.choose("sampler", asked["sampler"], SAMPLERS)
    return asked


def add_arguments(parser: "ArgumentParser", default: str, meaning: str) -> None:
    """Describe the words that choose a model and its weights."""
    parser.add_argument(
        "--model", choices=list(PAINTERS), default=default, help=f"{meaning} ({default})"
    )
    parser.add_argument(
        "--size",
        choices=["auto", "tiny", "full"],
        default="auto",
        help="which weights; auto: full with a large enough GPU, else tiny (auto)",
    )


def load(model: str, folder: Path) -> Any:
    """Read the model's pipeline; the full-size one's goes to the GPU, if there is one.

    Raises:
        ValueError: what its loader refuses.
    """
    import torch

    from edudiff.checkpoints.table import MODELS

    pipe = importlib.import_module(f"edudiff.pipelines.{PAINTERS[model].loader}").load(folder)
    if torch.cuda.is_available() and MODELS[model].full is not None and not is_shipped(folder):
        pipe.to("cuda", torch.float16)
    return pipe


def draw(
    model: str,
    pipe: Any,
    prompts: Sequence[str],
    asked: Asked,
    *,
    generator: "Generator",
    after_step: Callable[[], object] = lambda: None,
) -> "list[Tensor]":
    """A picture in [-1, 1] for each prompt, at every resolution the model draws, high to low.

    Args:
        model: one of `PAINTERS`.
        pipe: what `load` has made of it.
        prompts: a text for each picture.
        asked: from `complete`.
        generator: the source of randomness, on the CPU.
        after_step: called after every step, for whoever shows how far it is.

    Raises:
        ValueError: what the pipeline refuses, such as a prompt that is too long.
    """
    pipeline = importlib.import_module(f"edudiff.pipelines.{PAINTERS[model].pipeline}")
    options = dict(asked)
    negative = options.pop("negative_prompt")
    options["negative_prompts"] = [negative] * len(prompts) if negative else None
    last: deque[Any] = deque(maxlen=1)
    for state in pipeline.sample(pipe, prompts, generator=generator, **options):
        last.append(state)
        after_step()
    levels = last[0] if PAINTERS[model].nested else [pipeline.decode(pipe, last[0])]
    return [level.float().clamp(-1, 1).cpu() for level in levels]


def is_shipped(folder: Path) -> bool:
    """Whether the weights there came with edudiff."""
    from edudiff.checkpoints import registry

    return folder.is_relative_to(registry.ROOT)


def is_full(folder: Path) -> bool:
    """Whether the weights there are full-size ones of the hub."""
    return weights_name(folder) != folder.name


def weights_name(folder: Path) -> str:
    """Which weights lie there: ours by name, those of the hub by repository and revision."""
    from edudiff.checkpoints.table import MODELS

    for full in (model.full for model in MODELS.values()):
        if full is not None and full.revision in folder.name:
            return f"{full.repository}@{full.revision}"
    return folder.name
