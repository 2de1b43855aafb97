"""The exercises of the chapter on reverse diffusion."""

from collections.abc import Sequence

import torch
from torch import Tensor

from edudiff.exercises.draws import draw_table
from edudiff.exercises.exercise import Case, Exercise, Mistake
from edudiff.exercises.judge import numbers
from edudiff.exercises.plain import Plain
from edudiff.exercises.soft_memory import SOFT_MEMORY
from edudiff.exercises.stepping import STEP_BACK

# 1. Two ends, one mixture

ENDS = torch.tensor([-1.0, 1.0], dtype=torch.float64)


def end_weights(xt: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """How likely each pixel, (b,), came from −1 and from 1: (b, 2)."""
    away = xt[:, None] - alpha_bar_t.sqrt()[:, None] * ENDS
    return (-away.square() / (2 * (1 - alpha_bar_t))[:, None]).softmax(dim=1)


def _logits(
    xt: Tensor, alpha_bar_t: Tensor, root: Tensor | None = None, width: Tensor | None = None
) -> Tensor:
    """−distance² / width, with √ᾱ and the width 2 (1 − ᾱ) unless told otherwise."""
    root = alpha_bar_t.sqrt() if root is None else root
    width = 2 * (1 - alpha_bar_t) if width is None else width
    return -(xt[:, None] - root[:, None] * ENDS).square() / width[:, None]


def _rows_do_not_add_up(cases: Sequence[Case], answers: Sequence[Plain]) -> bool:
    found = [numbers(answer) for answer in answers]
    tables = [each for each in found if each is not None and each.ndim == 2]
    return any(bool(((each.sum(dim=1) - 1).abs() > 0.01).any()) for each in tables)


END_WEIGHTS = Exercise(
    name="reverse-diffusion.1",
    title="Two ends, one mixture",
    make_cases=lambda generator: [
        Case(
            f"{b} pixels come at once",
            {
                "xt": 1.5 * torch.randn(b, generator=generator, dtype=torch.float64),
                "alpha_bar_t": 0.1 + 0.7 * torch.rand(b, generator=generator, dtype=torch.float64),
            },
        )
        for b in (5, 2)
    ],
    reference=end_weights,
    mistakes=(
        Mistake(
            "Your softmax runs along the batch: its columns add up to 1, as if the pixels were "
            "rivals. Over which axis do the two ends stand?",
            lambda xt, alpha_bar_t: _logits(xt, alpha_bar_t).softmax(dim=0),
        ),
        Mistake(
            "The end that is farther away gets the larger weight. Look at the sign, and at the "
            "order of the columns.",
            lambda xt, alpha_bar_t: (-_logits(xt, alpha_bar_t)).softmax(dim=1),
        ),
        Mistake(
            "You measure the distance to −1 and 1 themselves. Where have the ends moved by t?",
            lambda xt, alpha_bar_t: _logits(xt, alpha_bar_t, root=torch.ones_like(xt)).softmax(1),
        ),
        Mistake(
            "Your weights ignore how much noise there is: the distance is not measured against "
            "the noise's variance.",
            lambda xt, alpha_bar_t: _logits(xt, alpha_bar_t, width=2 * torch.ones_like(xt)).softmax(
                dim=1
            ),
        ),
        Mistake(
            "Your weights are too sure of themselves. Compare the exponent with that of a bell: a "
            "factor is missing.",
            lambda xt, alpha_bar_t: _logits(xt, alpha_bar_t, width=1 - alpha_bar_t).softmax(dim=1),
        ),
        Mistake(
            "The two weights of a pixel do not add up to 1, so they are no probabilities yet.",
            lambda xt, alpha_bar_t: _logits(xt, alpha_bar_t).exp(),
            seen=_rows_do_not_add_up,
        ),
    ),
)

# 2. The bound in terms of the picture


def picture_weights(alphas_cumprod: Tensor) -> Tensor:
    """The weights on ‖x_0 − x̂_0‖² for t = 1 … T − 1, with σ² = β̃: (T − 1,)."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    return (snr[:-1] - snr[1:]) / 2


def _snr(alphas_cumprod: Tensor) -> Tensor:
    return alphas_cumprod / (1 - alphas_cumprod)


def _with_sigma_beta(alphas_cumprod: Tensor) -> Tensor:
    """The weights that belong to σ² = β."""
    alphas, a = alphas_cumprod[1:] / alphas_cumprod[:-1], alphas_cumprod[1:]
    return (1 - alphas) / (2 * alphas * (1 - a)) * a / (1 - a)


PICTURE_WEIGHTS = Exercise(
    name="reverse-diffusion.2",
    title="The bound in terms of the picture",
    make_cases=lambda generator: [
        Case(f"the table has {steps} entries", {"alphas_cumprod": draw_table(generator, steps)})
        for steps in (8, 30)
    ],
    reference=picture_weights,
    mistakes=(
        Mistake(
            "You are right but for a constant factor. Which one stands before the square in a KL "
            "divergence?",
            lambda alphas_cumprod: -_snr(alphas_cumprod).diff(),
        ),
        Mistake(
            "Your weights are negative, which would reward a wrong picture. Does the SNR rise or "
            "fall with t?",
            lambda alphas_cumprod: _snr(alphas_cumprod).diff() / 2,
        ),
        Mistake(
            "That is the weight on the noise. How large is an error of the picture, measured by "
            "the error of the noise that belongs to it?",
            lambda alphas_cumprod: (_snr(alphas_cumprod)[:-1] / _snr(alphas_cumprod)[1:] - 1) / 2,
        ),
        Mistake(
            "Those are the weights for σ_t² = β_t. Here σ_t² is the posterior's variance.",
            _with_sigma_beta,
        ),
        Mistake(
            "Your weights count everything that is known at t − 1. A step is charged only for "
            "what it destroys.",
            lambda alphas_cumprod: _snr(alphas_cumprod)[:-1] / 2,
        ),
    ),
)

# 3. The missing square root: STEP_BACK

# 4. Is blurred memory imagination?: SOFT_MEMORY

# 5. Eight equal clouds?


def chi_squared(hits: Tensor) -> Tensor:
    """χ² of these counts, (k,), if all are equally likely."""
    expected = hits.sum() / len(hits)
    return ((hits - expected).square() / expected).sum()


def _off(hits: Tensor) -> Tensor:
    return hits - hits.sum() / len(hits)


CHI_SQUARED = Exercise(
    name="reverse-diffusion.5",
    title="Eight equal clouds?",
    make_cases=lambda generator: [
        Case(about, {"hits": torch.randint(low, high, (k,), generator=generator)})
        for about, low, high, k in (
            ("there are eight clouds", 150, 320, 8),
            ("there are five clouds", 20, 90, 5),
            ("all clouds are hit equally often", 50, 51, 8),
        )
    ],
    reference=chi_squared,
    mistakes=(
        Mistake(
            "You divide by the counts that were found, not by those that were expected.",
            lambda hits: (_off(hits).square() / hits).sum(),
        ),
        Mistake(
            "You work with shares. χ² needs counts: twice as many points are twice the evidence.",
            lambda hits: chi_squared(hits / hits.sum()),
        ),
        Mistake(
            "You take the mean over the clouds. χ² is a sum.",
            lambda hits: chi_squared(hits) / len(hits),
        ),
        Mistake(
            "Your differences are not squared, so that large ones count too little.",
            lambda hits: (_off(hits).abs() / (hits.sum() / len(hits))).sum(),
        ),
        Mistake(
            "You add up squares, but a miss by ten is less surprising where a thousand were "
            "expected. By what should each be divided?",
            lambda hits: _off(hits).square().sum(),
        ),
    ),
)

EXERCISES = (END_WEIGHTS, PICTURE_WEIGHTS, STEP_BACK, SOFT_MEMORY, CHI_SQUARED)
