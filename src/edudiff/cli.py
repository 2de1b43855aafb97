"""The command line: `edudiff train` makes the weights that the book ships."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import edudiff
from edudiff import checks

RECIPES = {
    "vae": "edudiff.training.recipes.tiny_vae",
    "clip": "edudiff.training.recipes.tiny_clip",
}
"""What can be trained → the module with its `RECIPE`, imported only when it is asked for."""

TRAIN = """\
Train one of the book's small models from nothing.

The folder OUT gets a checkpoint, a log (one line of JSON every so many steps), sample pictures and,
at the end, the model and one line of measured quality. Interrupt it whenever you like: the same
command goes on where the checkpoint was, and ends with the same weights."""

TRAIN_MORE = """\
several processes on one machine, which share each batch and take the same steps:
  accelerate launch --num_processes 2 -m edudiff.cli train vae     on two GPUs
  torchrun --nproc-per-node 2 -m edudiff.cli train vae             on two CPU cores"""


def _whole_number(text: str) -> int:
    try:
        checks.whole_at_least(1, number=int(text))
    except ValueError:
        message = f"expected a whole number ≥ 1, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None
    return int(text)


def _seed(text: str) -> int:
    return 0 if text == "0" else _whole_number(text)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="edudiff", description=edudiff.__doc__)
    parser.add_argument("--version", action="version", version=f"edudiff {edudiff.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    train = commands.add_parser(
        "train",
        help="train one of the book's small models",
        description=TRAIN,
        epilog=TRAIN_MORE,
        formatter_class=raw,
    )
    train.set_defaults(run=train_model)
    train.add_argument("name", help=f"what to train: {', '.join(RECIPES)}")
    train.add_argument("--out", type=Path, help="folder to write to (runs/NAME)")
    train.add_argument("--seed", type=_seed, default=0, help="decides every weight and batch (0)")
    for flag, meaning in {
        "--steps": "steps in all (the recipe's)",
        "--batch-size": "pictures in a step, over all processes (the recipe's)",
        "--log-every": "steps between two lines of the log (50)",
        "--sample-every": "steps between two sample pictures (1000)",
        "--checkpoint-every": "steps between two checkpoints (500)",
    }.items():
        train.add_argument(flag, type=_whole_number, metavar="N", help=meaning)
    train.add_argument(
        "--mixed-precision",
        choices=["no", "bf16", "fp16"],
        default="no",
        help="what to compute in where float32 is not needed (no)",
    )
    return parser


def train_model(options: argparse.Namespace) -> None:
    """Run `edudiff train`.

    Raises:
        ValueError: if there is no such recipe, or the training refuses to begin.
    """
    module = checks.choose("recipe", options.name, RECIPES)
    from edudiff.training.job import Every, Settings  # here, so that help comes quickly
    from edudiff.training.run import run

    recipe = importlib.import_module(module).RECIPE
    settings = Settings(
        recipe.name,
        num_steps=options.steps or recipe.num_steps,
        batch_size=options.batch_size or recipe.batch_size,
        seed=options.seed,
        mixed_precision=options.mixed_precision,
    )
    given = {
        "log": options.log_every,
        "sample": options.sample_every,
        "checkpoint": options.checkpoint_every,
    }
    every = Every(**{name: steps for name, steps in given.items() if steps is not None})
    run(recipe, options.out or Path("runs") / options.name, settings, every)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; the exit status comes out.

    0: done. 1: training broke off. 2: something was asked for that cannot be. 130: interrupted.
    """
    options = make_parser().parse_args(words)
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("\nedudiff: interrupted; the same command goes on", file=sys.stderr)
        return 130
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"edudiff {options.command}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
