"""The command line: `edudiff generate`, `demo`, `train`, `exercises`, `grade` and `doctor`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import edudiff
from edudiff import checks
from edudiff.commands import demo, doctor, exercises, generate, grade, train_lora
from edudiff.commands.numbers import seed, whole_number

RECIPES = {
    "vae": "edudiff.training.recipes.tiny_vae",
    "vae-more": "edudiff.training.recipes.tiny_vae_more",
    "clip": "edudiff.training.recipes.tiny_clip",
    "clip-vision": "edudiff.training.recipes.tiny_clip_vision",
    "stable-diffusion-vae": "edudiff.training.recipes.tiny_sd_vae",
    "stable-diffusion-decoder": "edudiff.training.recipes.tiny_sd_decoder",
    "stable-diffusion": "edudiff.training.recipes.tiny_sd",
    "stable-diffusion-more": "edudiff.training.recipes.tiny_sd_more",
    "stable-diffusion-words": "edudiff.training.recipes.tiny_sd_words",
    "stable-diffusion-places": "edudiff.training.recipes.tiny_sd_places",
    "controlnet": "edudiff.training.recipes.tiny_controlnet",
    "sdxl": "edudiff.training.recipes.tiny_sdxl",
    "sdxl-decoder": "edudiff.training.recipes.tiny_sdxl_decoder",
    "sdxl-more": "edudiff.training.recipes.tiny_sdxl_more",
    "sdxl-refiner": "edudiff.training.recipes.tiny_sdxl_refiner",
    "sdxl-refiner-more": "edudiff.training.recipes.tiny_sdxl_refiner_more",
    "dit": "edudiff.training.recipes.tiny_dit",
    "dit-more": "edudiff.training.recipes.tiny_dit_more",
    "dalle-vq": "edudiff.training.recipes.tiny_dalle_vq",
    "dalle": "edudiff.training.recipes.tiny_dalle",
    "matryoshka": "edudiff.training.recipes.tiny_mdm",
    "matryoshka-more": "edudiff.training.recipes.tiny_mdm_more",
    "lora": "edudiff.training.recipes.lora",
}
"""What can be trained → the module with its `RECIPE`, imported only when it is asked for."""

TRAIN = """\
Train one of the book's small models from nothing.

The folder OUT gets a checkpoint, a log (one line of JSON every so many steps), sample pictures and,
at the end, the model and one line of measured quality. Interrupt it whenever you like: the same
command goes on where the checkpoint was, and ends with the same weights.

Or teach one that is there already your own pictures:

  edudiff train lora --data FOLDER --caption-from folder --rank 8"""

TRAIN_MORE = """\
several processes, which share each batch and take the same steps:
  accelerate launch --num_processes 2 -m edudiff.cli train vae     on two GPUs
  torchrun --nproc-per-node 2 -m edudiff.cli train vae             on two CPU cores
  accelerate launch --config_file FILE -m edudiff.cli train vae    configs/ has files for several
                                                                   GPUs and for several machines"""

RAW = argparse.RawDescriptionHelpFormatter


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="edudiff", description=edudiff.__doc__)
    parser.add_argument("--version", action="version", version=f"edudiff {edudiff.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, module, meaning in (
        ("generate", generate, "draw what a text says"),
        ("demo", demo, "open a page in the browser to try the models on"),
        ("exercises", exercises, "write a class's own variant of the exercises"),
        ("grade", grade, "grade a class's notebooks"),
        ("doctor", doctor, "look whether everything is there that edudiff needs"),
    ):
        command = commands.add_parser(
            name, help=meaning, description=module.DESCRIPTION, formatter_class=RAW
        )
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    train = commands.add_parser(
        "train",
        help="train one of the book's small models",
        description=TRAIN,
        epilog=TRAIN_MORE,
        formatter_class=RAW,
    )
    train.set_defaults(run=train_model)
    _add_train_arguments(train)
    return parser


def _add_train_arguments(train: argparse.ArgumentParser) -> None:
    train.add_argument("name", help=f"what to train: {', '.join(RECIPES)}")
    train.add_argument("--out", type=Path, help="folder to write to (runs/NAME)")
    train.add_argument("--seed", type=seed, default=0, help="decides every weight and batch (0)")
    for flag, meaning in {
        "--steps": "steps in all (the recipe's)",
        "--batch-size": "pictures in a step, over all processes (the recipe's)",
        "--accumulate": "parts to compute each step in, for less memory (1)",
        "--log-every": "steps between two lines of the log (50)",
        "--sample-every": "steps between two sample pictures (1000)",
        "--checkpoint-every": "steps between two checkpoints (500)",
    }.items():
        train.add_argument(flag, type=whole_number, metavar="N", help=meaning)
    train.add_argument(
        "--mixed-precision",
        choices=["no", "bf16", "fp16"],
        default="no",
        help="what to compute in where float32 is not needed (no)",
    )
    train.add_argument(
        "--recompute",
        action="store_true",
        help="forget activations and compute them again, for less memory",
    )
    train.add_argument(
        "--shard",
        action="store_true",
        help="let several processes divide the weights among them, for less memory (lora)",
    )
    train.add_argument(
        "--evaluate",
        action="store_true",
        help="train nothing: measure the shipped weights and print the line of their quality",
    )
    train_lora.add_arguments(train)


def train_model(options: argparse.Namespace) -> None:
    """Run `edudiff train`.

    Raises:
        ValueError: if there is no such recipe, or the training refuses to begin.
    """
    module = checks.choose("recipe", options.name, RECIPES)
    train_lora.refuse(options)
    if options.evaluate:
        return evaluate(options, module)
    from edudiff.training.job import Every, Settings, Thrift  # here, so that help comes quickly
    from edudiff.training.run import run

    recipe = importlib.import_module(module).RECIPE
    settings = Settings(
        recipe.name,
        num_steps=options.steps or recipe.num_steps,
        batch_size=options.batch_size or recipe.batch_size,
        seed=options.seed,
        mixed_precision=options.mixed_precision,
    )
    every: dict[str, int] = {}
    if options.name == train_lora.NAME:
        recipe, settings = train_lora.asked(options, settings)
        every |= train_lora.EVERY
    given = {
        "log": options.log_every,
        "sample": options.sample_every,
        "checkpoint": options.checkpoint_every,
    }
    every |= {name: steps for name, steps in given.items() if steps is not None}
    thrift = Thrift(options.accumulate or 1, options.recompute, options.shard)
    run(recipe, options.out or Path("runs") / options.name, settings, Every(**every), thrift)


def evaluate(options: argparse.Namespace, module: str) -> None:
    """Measure the weights that are shipped under a recipe's name, and print one line.

    Raises:
        ValueError: if none are shipped, or an option of training was given too.
    """
    training = (
        "out steps batch_size log_every sample_every checkpoint_every accumulate recompute shard"
    )
    given = [name for name in training.split() if getattr(options, name)]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise ValueError(f"{option}: expected nothing beside --evaluate, which trains nothing")
    measure = importlib.import_module(module).RECIPE.measure_shipped
    if measure is None:
        raise ValueError(f"{options.name}: expected shipped weights to measure, got none")
    quality = ", ".join(f"{name} {value:.4g}" for name, value in measure().items())
    print(f"{options.name}: shipped weights, {quality}")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; the exit status comes out.

    0: done. 1: it broke off, or the doctor found something broken. 2: something was asked for that
    cannot be. 130: interrupted.
    """
    options = make_parser().parse_args(words)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        rest = "; the same command goes on" if options.command in ("train", "grade") else ""
        print(f"\nedudiff: interrupted{rest}", file=sys.stderr)
        return 130
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"edudiff {options.command}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1


if __name__ == "__main__":
    sys.exit(main())
