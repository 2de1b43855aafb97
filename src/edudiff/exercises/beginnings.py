"""Two exercises on beginning with a picture: how much of it is left, and how some of it stays."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_table
from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

BETWEEN, UNEVEN = "the strength is between 0 and 1", "the strength asks for half a step"


def share_left(alphas_cumprod: Tensor, times: Tensor, strength: float) -> Tensor:
    """The factor of the picture where image-to-image begins; times, (S,), fall."""
    return alphas_cumprod[times[len(times) - int(strength * len(times))]].sqrt()


def _strength_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, number, walked in ((BETWEEN, 16, 0), (UNEVEN, 9, 4.5), ("the strength is 1", 8, 8)):
        shuffled = torch.randperm(40, generator=generator)[:number]
        walked = walked or 3 + int(torch.randint(3, (), generator=generator))
        given = {
            "alphas_cumprod": draw_table(generator, steps=60),
            "times": 10 + shuffled.sort(descending=True).values,
            "strength": walked / number,
        }
        cases.append(Case(about, given))
    return cases


def _at(index: Callable[[int, float], int], shift: int = 0) -> Answer:
    """Looks up another place of the list of times, or of the table."""
    return lambda table, times, strength: table[times[index(len(times), strength)] + shift].sqrt()


SHARE_LEFT = Exercise(
    name="stable-diffusion.4",
    title="Strength one",
    make_cases=_strength_cases,
    reference=share_left,
    mistakes=(
        Mistake(
            "A square root is missing: that is the share of the variance.",
            lambda table, times, strength: share_left(table, times, strength) ** 2,
        ),
        Mistake(
            "That is the factor of the noise.",
            lambda table, times, strength: share_left(1 - table, times, strength),
        ),
        Mistake(
            "Your walk begins later the greater the strength is. Which times are left out, those "
            "with much noise or those with little?",
            _at(lambda n, strength: min(n - 1, int(strength * n))),
            BETWEEN,
        ),
        Mistake(
            "You begin one stop too early, so that one more is visited than was asked for.",
            _at(lambda n, strength: n - int(strength * n) - 1),
            BETWEEN,
        ),
        Mistake(
            "You begin one stop too late.",
            _at(lambda n, strength: min(n - 1, n - int(strength * n) + 1)),
        ),
        Mistake(
            "You look up the number of the stop, not its timestep.",
            lambda table, times, strength: table[len(times) - int(strength * len(times))].sqrt(),
        ),
        Mistake(
            "You read the table one place too early. Timesteps count from 0, and so does it.",
            _at(lambda n, strength: n - int(strength * n), shift=-1),
        ),
        Mistake(
            "Half a step is walked in yours. The number of steps is rounded down.",
            _at(lambda n, strength: int(n - strength * n)),
            UNEVEN,
        ),
    ),
)


def set_back(x: Tensor, x0: Tensor, eps: Tensor, mask: Tensor, alpha_bar: float) -> Tensor:
    """Latents, (b, c, h, w), of which `mask`, (b, 1, h, w), leaves the picture's x0, as noisy."""
    return mask * x + (1 - mask) * _noised(x0, eps, alpha_bar)


def _noised(x0: Tensor, eps: Tensor, alpha_bar: float) -> Tensor:
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps


NOISY = "there is noise"


def _mask_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in (NOISY, NOISY, "ᾱ = 1"):
        x, x0, eps = torch.randn(3, 2, 3, 4, 4, generator=generator, dtype=torch.float64)
        mask = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
        top, left = torch.randint(3, (2,), generator=generator).tolist()
        mask[0, :, top : top + 2], mask[1, ..., left : left + 2] = 1, 1
        alpha_bar = 0.2 + 0.6 * float(torch.rand((), generator=generator))
        given = {"x": x, "x0": x0, "eps": eps, "mask": mask}
        cases.append(Case(about, given | {"alpha_bar": alpha_bar if about == NOISY else 1.0}))
    return cases


SET_BACK = Exercise(
    name="stable-diffusion.5",
    title="What stays, stays",
    make_cases=_mask_cases,
    reference=set_back,
    mistakes=(
        Mistake(
            "Your mask is upside down: what was to be painted anew is kept.",
            lambda x, x0, eps, mask, alpha_bar: set_back(x, x0, eps, 1 - mask, alpha_bar),
        ),
        Mistake(
            "You set the picture back without any noise. At its border the U-Net then sees two "
            "noise levels at once.",
            lambda x, x0, eps, mask, alpha_bar: mask * x + (1 - mask) * x0,
            NOISY,
        ),
        Mistake(
            "You add noise to the part that is painted, too. It has all the noise it should have.",
            lambda x, x0, eps, mask, alpha_bar: _noised(mask * x + (1 - mask) * x0, eps, alpha_bar),
            NOISY,
        ),
        Mistake(
            "Square roots are missing: the variances, not the factors, are to add up to 1.",
            lambda x, x0, eps, mask, alpha_bar: (
                mask * x + (1 - mask) * (alpha_bar * x0 + (1 - alpha_bar) * eps)
            ),
            NOISY,
        ),
        Mistake(
            "Signal and noise are exchanged.",
            lambda x, x0, eps, mask, alpha_bar: set_back(x, x0, eps, mask, 1 - alpha_bar),
        ),
        Mistake(
            "The picture keeps its full strength, however much noise comes to it.",
            lambda x, x0, eps, mask, alpha_bar: (
                mask * x + (1 - mask) * (x0 + (1 - alpha_bar) ** 0.5 * eps)
            ),
            NOISY,
        ),
        Mistake(
            "You lay the picture over what is there. Where it is kept, the latents are to be "
            "replaced.",
            lambda x, x0, eps, mask, alpha_bar: x + (1 - mask) * _noised(x0, eps, alpha_bar),
        ),
    ),
)
