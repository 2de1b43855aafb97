"""The exercises of the chapter on latent diffusion."""

import torch
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_table
from edudiff.exercises.exercise import Case, Exercise, Mistake

# 1. The same line in other clothes


def guided_noise(xt: Tensor, u: Tensor, c: Tensor, alpha_bar: Tensor, s: float) -> Tensor:
    """The guided ε̂ of latents, (b, c, h, w), from the velocities u and c; ᾱ is (b,)."""
    return _noise(xt, u + s * (c - u), _over_pictures(alpha_bar))


def _over_pictures(numbers: Tensor) -> Tensor:
    return numbers[:, None, None, None]


def _noise(xt: Tensor, v: Tensor, alpha_bar: Tensor) -> Tensor:
    return (1 - alpha_bar).sqrt() * xt + alpha_bar.sqrt() * v


def _answer_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, s in (
        ("s = 1", 1.0),
        ("s is large", 3 + 5 * float(torch.rand((), generator=generator))),
        ("s = 0", 0.0),
    ):
        xt, u, c = torch.randn(3, 3, 2, 2, 3, generator=generator, dtype=torch.float64)
        alpha_bar = 0.05 + 0.9 * torch.rand(3, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"xt": xt, "u": u, "c": c, "alpha_bar": alpha_bar, "s": s}))
    return cases


def _unrooted_noise(xt: Tensor, u: Tensor, c: Tensor, alpha_bar: Tensor, s: float) -> Tensor:
    left = _over_pictures(alpha_bar)
    return (1 - left) * xt + left * (u + s * (c - u))


GUIDED_NOISE = Exercise(
    name="latent-diffusion.1",
    title="The same line in other clothes",
    make_cases=_answer_cases,
    reference=guided_noise,
    mistakes=(
        Mistake(
            "Your weights of c and u do not add up to 1. Where both answers are the same, guidance "
            "must change nothing: look at a sign.",
            lambda xt, u, c, alpha_bar, s: _noise(
                xt, s * c + (s - 1) * u, _over_pictures(alpha_bar)
            ),
        ),
        Mistake(
            "At s = 1 you go beyond c already. You count as in the paper, where 0 is off.",
            lambda xt, u, c, alpha_bar, s: guided_noise(xt, u, c, alpha_bar, s + 1),
        ),
        Mistake(
            "You lead away from the words: u and c are exchanged.",
            lambda xt, u, c, alpha_bar, s: guided_noise(xt, c, u, alpha_bar, s),
        ),
        Mistake(
            "That is the guided velocity. The noise that goes with it is asked for.",
            lambda xt, u, c, alpha_bar, s: u + s * (c - u),
        ),
        Mistake(
            "That is the guided guess of the clean latents, not of their noise.",
            lambda xt, u, c, alpha_bar, s: _noise(
                xt, -u - s * (c - u), _over_pictures(1 - alpha_bar)
            ),
        ),
        Mistake(
            "Square roots are missing: signal and noise are mixed by √ᾱ and √(1 − ᾱ).",
            _unrooted_noise,
        ),
        Mistake(
            "The velocity has the wrong sign in yours: it points from the picture to the noise.",
            lambda xt, u, c, alpha_bar, s: _noise(xt, -u - s * (c - u), _over_pictures(alpha_bar)),
        ),
        Mistake(
            "Your numbers ᾱ go to the columns of the latents. They belong to the pictures: which "
            "axes are missing?",
            lambda xt, u, c, alpha_bar, s: _noise(xt, u + s * (c - u), alpha_bar),
        ),
    ),
)

# 2. Away from what you want


def steer(u: Tensor, c: Tensor, n: Tensor, s: float, r: float) -> Tensor:
    """From the answer u to no words, s times the way to c, and r times the way to n, backwards."""
    return u + s * (c - u) - r * (n - u)


def _steering_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in ("scales differ", "the unwanted text says nothing"):
        u, c, n = torch.randn(3, 2, 3, 2, generator=generator, dtype=torch.float64)
        n = u.clone() if about != "scales differ" else n
        s, r = (torch.tensor([3, 1]) + 2 * torch.rand(2, generator=generator)).tolist()
        cases.append(Case(about, {"u": u, "c": c, "n": n, "s": s, "r": r}))
    return cases


STEER = Exercise(
    name="latent-diffusion.2",
    title="Away from what you want",
    make_cases=_steering_cases,
    reference=steer,
    mistakes=(
        Mistake(
            "You lead towards what is not wanted, too.",
            lambda u, c, n, s, r: steer(u, c, n, s, -r),
        ),
        Mistake(
            "You begin at the unwanted answer, as the negative prompt does, and r has no effect.",
            lambda u, c, n, s, r: n + s * (c - n),
            "scales differ",
        ),
        Mistake(
            "You subtract the whole unwanted answer, also what it has in common with all others. "
            "A way has a beginning.",
            lambda u, c, n, s, r: u + s * (c - u) - r * n,
        ),
        Mistake(
            "The two scales are exchanged.",
            lambda u, c, n, s, r: steer(u, c, n, r, s),
        ),
        Mistake(
            "Your way out begins at the wanted answer. Both ways begin where no words are.",
            lambda u, c, n, s, r: u + s * (c - u) - r * (n - c),
        ),
        Mistake(
            "You only go: add up where you begin and the two ways.",
            lambda u, c, n, s, r: steer(u, c, n, s, r) - u,
        ),
    ),
)

# 3. A picture to begin with

ANY = "each picture has a time of its own"


def begin(
    mean: Tensor, eps: Tensor, t: Tensor, alphas_cumprod: Tensor, scaling_factor: float
) -> Tensor:
    """Latents as noisy as at t, (b,), from the encoder's mean and the noise, (b, c, h, w)."""
    return _mixed(mean * scaling_factor, eps, alphas_cumprod[t])


def _mixed(x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    alpha_bar = _over_pictures(alpha_bar)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _beginning_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, low, high in (
        ("times are early", 1, 10),
        (ANY, 1, 40),
        ("times are late", 37, 40),
    ):
        mean, eps = torch.randn(2, 3, 2, 2, 3, generator=generator, dtype=torch.float64)
        scaling_factor = 0.15 + 0.4 * float(torch.rand((), generator=generator))
        given = {
            "mean": mean / scaling_factor,
            "eps": eps,
            "t": low + torch.randperm(high - low, generator=generator)[:3],
            "alphas_cumprod": draw_table(generator),
            "scaling_factor": scaling_factor,
        }
        cases.append(Case(about, given))
    return cases


def _without_roots(
    mean: Tensor, eps: Tensor, t: Tensor, alphas_cumprod: Tensor, scaling_factor: float
) -> Tensor:
    alpha_bar = _over_pictures(alphas_cumprod[t])
    return alpha_bar * mean * scaling_factor + (1 - alpha_bar) * eps


BEGIN = Exercise(
    name="latent-diffusion.3",
    title="A picture to begin with",
    make_cases=_beginning_cases,
    reference=begin,
    mistakes=(
        Mistake(
            "You divide by the scaling factor, which is the way back, to the decoder.",
            lambda mean, eps, t, table, factor: begin(mean, eps, t, table, 1 / factor),
        ),
        Mistake(
            "The encoder's mean is not yet what the U-Net knows: its spread is not 1.",
            lambda mean, eps, t, table, factor: begin(mean, eps, t, table, 1.0),
        ),
        Mistake(
            "You scale the noise, too. It has spread 1 already: when are the latents scaled?",
            lambda mean, eps, t, table, factor: begin(mean, factor * eps, t, table, factor),
        ),
        Mistake(
            "Square roots are missing: the variances, not the factors, are to add up to 1.",
            _without_roots,
        ),
        Mistake(
            "Your noise belongs to the step before. Timesteps count from 0 here, and so does the "
            "table.",
            lambda mean, eps, t, table, factor: begin(mean, eps, t - 1, table, factor),
        ),
        Mistake(
            "Signal and noise are exchanged.",
            lambda mean, eps, t, table, factor: begin(mean, eps, t, 1 - table, factor),
        ),
        Mistake(
            "Each of your columns has a time of its own. Times belong to pictures: which axes are "
            "missing?",
            lambda mean, eps, t, table, factor: (
                table[t].sqrt() * mean * factor + (1 - table[t]).sqrt() * eps
            ),
            ANY,
        ),
        Mistake(
            "The picture keeps its full strength, however much noise comes to it.",
            lambda mean, eps, t, table, factor: (
                mean * factor + (1 - _over_pictures(table[t])).sqrt() * eps
            ),
        ),
    ),
)

# 4 and 5: not checked

EXERCISES = (GUIDED_NOISE, STEER, BEGIN)
