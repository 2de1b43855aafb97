"""What `edudiff train lora` is told beside what every training is told."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edudiff.commands.numbers import not_negative, whole_number

if TYPE_CHECKING:
    from edudiff.training.job import Recipe, Settings

NAME = "lora"

EVERY = {"log": 10, "sample": 100, "checkpoint": 50}
"""Steps between two lines of the log, two pictures, two checkpoints, if nothing else is asked."""

NUMBERS = {
    "--lora-alpha": "what is learned counts this / rank times (the rank)",
    "--rate": "highest learning rate (0.001)",
    "--snr-gamma": "cut the weight of clean timesteps here; 0: all count the same (5)",
    "--prior-weight": "how much a picture of the base's own counts (1)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the words in a group of their own; none has a default, so that it shows if given."""
    group = parser.add_argument_group("train lora", "your own pictures, into an existing model")
    group.add_argument("--data", type=Path, metavar="FOLDER", help="the pictures; needed")
    group.add_argument(
        "--caption-from",
        choices=["metadata", "folder"],
        help="where captions stand: metadata.jsonl, or the names of the folders (metadata)",
    )
    group.add_argument(
        "--base", metavar="MODEL", help="tiny, full, or a diffusers pipeline's folder (tiny)"
    )
    group.add_argument("--rank", type=whole_number, metavar="R", help="of every change (8)")
    group.add_argument(
        "--targets", nargs="+", metavar="NAME", help="layers, or all-linear (to_q to_v)"
    )
    group.add_argument(
        "--rslora", action="store_true", default=None, help="divide by the rank's square root"
    )
    for flag, meaning in NUMBERS.items():
        group.add_argument(flag, type=not_negative, metavar="X", help=meaning)
    group.add_argument(
        "--prior",
        nargs="+",
        metavar="PROMPT",
        help="let the base draw these and go on with them, so that it forgets less (none)",
    )
    group.add_argument("--licence", metavar="NAME", help="of the result, written into its file")


def given(options: argparse.Namespace) -> dict[str, object]:
    """What was said of it on the command line, by name."""
    flags = "data caption_from base rank targets rslora prior licence".split()
    names = [*flags, *(flag[2:].replace("-", "_") for flag in NUMBERS)]
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def refuse(options: argparse.Namespace) -> None:
    """Refuse these words beside another recipe.

    Raises:
        ValueError: naming the first one.
    """
    for name in given(options) if options.name != NAME else ():
        option = f"--{name.replace('_', '-')}"
        raise ValueError(f"{option}: expected only with `train {NAME}`, got `train {options.name}`")


def asked(options: argparse.Namespace, settings: "Settings") -> "tuple[Recipe, Settings]":
    """The recipe for the pictures that are meant, and what decides its weights.

    What cannot be used of the folder is named on the way.

    Raises:
        ValueError: if there is no folder, or nothing in it can be used.
    """
    from edudiff.training.recipes import lora, lora_pictures

    said = given(options)
    if "data" not in said:
        raise ValueError("--data: expected a folder with pictures, got none")
    caption_from = options.caption_from or lora.DEFAULTS.caption_from
    pictures = lora_pictures.open_pictures(options.data, caption_from)
    for problem in pictures.problems:
        print(f"{options.data}: left out {problem}", file=sys.stderr)
    print(f"{options.data}: {len(pictures)} pictures, {len(pictures.held_out())} held out")
    said["data"], said["pictures"] = str(options.data), pictures.fingerprint()
    said.setdefault("lora_alpha", float(options.rank or lora.DEFAULTS.rank))
    whole = dataclasses.asdict(lora.DEFAULTS) | dataclasses.asdict(settings) | said
    exact = lora.LoRASettings(**whole)
    return lora.make_recipe(exact, pictures), exact
