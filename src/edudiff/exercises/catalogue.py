"""All exercises by name, and the one function that students call."""

import difflib
from collections.abc import Mapping
from typing import Any

from edudiff.exercises import (
    beyond_sdxl,
    clip,
    cross_attention,
    evaluation,
    forward_diffusion,
    gan,
    latent_diffusion,
    lora,
    matryoshka,
    progressive_training,
    rendering,
    reverse_diffusion,
    samplers,
    scaling_out,
    sdxl,
    stable_diffusion,
    unet,
    vae,
    variants,
    wrong,
)
from edudiff.exercises.exercise import Exercise
from edudiff.exercises.judge import judge
from edudiff.exercises.result import Result, Status
from edudiff.exercises.runner import SECONDS, probe

CHAPTERS = (
    rendering,
    gan,
    forward_diffusion,
    reverse_diffusion,
    samplers,
    unet,
    vae,
    clip,
    cross_attention,
    latent_diffusion,
    stable_diffusion,
    sdxl,
    beyond_sdxl,
    matryoshka,
    progressive_training,
    lora,
    scaling_out,
    evaluation,
    wrong,
)
"""In the order of the book."""

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise for chapter in CHAPTERS for exercise in chapter.EXERCISES
}


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: if there is none; the message has the nearest name first, then those of the
            nearest chapter.
    """
    if isinstance(name, str) and name in EXERCISES:
        return EXERCISES[name]
    raise ValueError(f"There is no exercise {name!r}.{suggestion(str(name), EXERCISES)}")


def suggestion(name: str, exercises: Mapping[str, Exercise]) -> str:
    """What may have been meant by a name that is none, in a sentence or two with a blank before.

    A chapter that is spelt rightly counts more than the number behind it.
    """
    chapters = list(dict.fromkeys(each.partition(".")[0] for each in exercises))
    chapter = next(iter(difflib.get_close_matches(name.partition(".")[0], chapters, n=1)), None)
    if chapter is None:
        return f" The chapters with exercises are {', '.join(chapters)}."
    known = [each for each in exercises if each.partition(".")[0] == chapter]
    nearest = f"{chapter}.{name.partition('.')[2]}"
    hint = f" Did you mean {nearest!r}?" if nearest in known else ""
    return f"{hint} Of the chapter {chapter} there are {', '.join(known)}."


def check(
    name: str, answer: Any, *, variant: int = 0, seed: int = 0, seconds: float = SECONDS
) -> Result:
    """Try a student's function on random inputs and say what is wrong with it.

    Whatever the function does, this returns a result and raises nothing, so that a notebook can
    be run to its end with exercises unsolved.

    Args:
        name: chapter and number, as in "forward-diffusion.2".
        answer: the function itself, without brackets.
        variant: a class's own version of the exercise, as its notebook says; 0 is the book's.
        seed: another seed draws other inputs.
        seconds: how long all of it may take.
    """
    try:
        exercise = variants.make(find(name), variant)
    except ValueError as error:
        return Result(Status.ERROR, f"exercise {name}", str(error))
    title = f"exercise {exercise.name}, {exercise.title}"
    if answer is not None and answer is not ... and not callable(answer):
        message = (
            f"Pass the function itself, {exercise.reference.__name__} without brackets, "
            f"not something of type {type(answer).__name__}."
        )
        return Result(Status.NOT_YET, title, message)
    cases = exercise.cases(seed)
    report = probe(answer, [case.given for case in cases], seconds=seconds)
    return judge(exercise, cases, report)
