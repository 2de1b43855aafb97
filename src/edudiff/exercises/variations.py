"""In which exercises a class can have a number of its own, and what the number does."""

from collections.abc import Callable
from dataclasses import dataclass

from edudiff.exercises.exercise import Answer

TENTHS = tuple(round(0.1 * n, 1) for n in (*range(4, 9), *range(12, 30)))
"""From 0.4 to 2.9, and not so near to 1 that one could mistake the answer for the book's."""
WHOLE = (5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0, 31.0, 37.0, 41.0, 43.0, 47.0, 53.0, 59.0)
"""Primes, so that half of one's answer, or three quarters, is never another's."""

Change = Callable[[Answer, float], Answer]


@dataclass(frozen=True)
class Variation:
    """One number that changes what is right.

    Attributes:
        says: what the exercise says of it, with {k} where the number stands.
        change: (answer to the book's exercise, number) → answer to this one. It is written so that
            typical mistakes stay what they are.
        numbers: those that may be drawn. With none of them the book's answer is right.
    """

    says: str
    change: Change
    numbers: tuple[float, ...] = TENTHS

    def words(self, number: float) -> str:
        """The sentence for one number."""
        return self.says.format(k=f"{number:g}")


def lay_on_a_ball(answer: Answer, k: float) -> Answer:
    """A ball of radius k: all lengths grow with it."""
    return lambda phi: k * answer(phi)


def move_the_window(answer: Answer, k: float) -> Answer:
    """A window at distance k: the picture's area grows with its square."""
    return lambda radius, distance: k**2 * answer(radius, distance)


def show_more_real_data(answer: Answer, k: float) -> Answer:
    """k real pictures for each forged one: the densities are weighed so."""
    return lambda p, q, s: answer(k * p, q, s)


def strengthen_noise(answer: Answer, k: float) -> Answer:
    """Noise of standard deviation k."""
    return lambda pixels, eps, t, betas: answer(pixels, k * eps, t, betas)


def heat(answer: Answer, k: float) -> Answer:
    """A step that draws with k times the posterior's standard deviation."""
    return lambda x0_hat, xt, t, betas, noise: answer(x0_hat, xt, t, betas, k * noise)


def count_patches(answer: Answer, k: float) -> Answer:
    """n patches have n k pixels."""
    return lambda alpha_bar, n, width: answer(alpha_bar, int(n * k), width)


def widen(answer: Answer, k: float) -> Answer:
    """A standard deviation of k and not of 1."""
    return lambda x, groups: k * answer(x, groups)


def weigh_the_rate(answer: Answer, k: float) -> Answer:
    """The rate counts k times, as in a β-VAE."""
    return lambda x, x_hat, rate, beta: answer(x, x_hat, k * rate, beta)


def lengthen(answer: Answer, k: float) -> Answer:
    """Vectors of length k."""
    return lambda vectors: k * answer(vectors)


def double_factors(answer: Answer, k: float) -> Answer:
    """Every factor of a word is multiplied by k."""
    return lambda scores, v, factors: answer(scores, v, k * factors)


def shrink_velocities(answer: Answer, k: float) -> Answer:
    """Velocities come k times too large and are divided first."""
    return lambda xt, u, c, alpha_bar, s: answer(xt, u / k, c / k, alpha_bar, s)


def stretch_both(answer: Answer, k: float) -> Answer:
    """Both noises are made k times as strong."""
    return lambda a, b, share: answer(k * a, k * b, share)


def count_blocks(answer: Answer, k: float) -> Answer:
    """Sizes and places come in blocks of k pixels and are said in pixels."""
    return lambda original, corner, target, width: answer(
        *(tuple(int(k * n) for n in pair) for pair in (original, corner, target)), width
    )


def cool(answer: Answer, k: float) -> Answer:
    """The temperature k divides all logits."""
    return lambda logits, row: answer(logits / k, row)


def weigh_the_change(answer: Answer, k: float) -> Answer:
    """k of what LoRA adds."""
    return lambda W, A, B, lora_alpha: answer(W, A, B, k * lora_alpha)


def count_layers(answer: Answer, k: float) -> Answer:
    """Layers of k weights each."""
    return lambda weights, number, parts: answer(int(weights * k), number, parts)


VARIATIONS: dict[str, Variation] = {
    "rendering.1": Variation("Your ball has the radius {k}.", lay_on_a_ball),
    "rendering.3": Variation("Your window is {k} units in front of the eye.", move_the_window),
    "gan.2": Variation(
        "Your judge is shown {k} real examples for each forged one, so that p counts {k} times.",
        show_more_real_data,
    ),
    "forward-diffusion.1": Variation(
        "Your noise is to have the standard deviation {k}: use {k} times eps.", strengthen_noise
    ),
    "reverse-diffusion.3": Variation(
        "Your sampler is to draw with {k} times the posterior's standard deviation.", heat
    ),
    "samplers.4": Variation(
        "Your n counts patches of {k} pixels each, not pixels.", count_patches, WHOLE
    ),
    "unet.2": Variation(
        "Your norm is to give each group the standard deviation {k}: it multiplies by {k} last.",
        widen,
    ),
    "vae.1": Variation("In your bound the rate counts {k} times, as in a β-VAE.", weigh_the_rate),
    "clip.4": Variation("Your vectors are to have the length {k} in the end, not 1.", lengthen),
    "cross-attention.5": Variation(
        "Each of your factors is multiplied by {k} before it is used.", double_factors
    ),
    "latent-diffusion.1": Variation(
        "Your network says velocities that are {k} times too large: divide u and c first.",
        shrink_velocities,
    ),
    "stable-diffusion.2": Variation(
        "Your noises are both made {k} times as strong: shares 0 and 1 give {k} a and {k} b.",
        stretch_both,
    ),
    "sdxl.3": Variation(
        "Your three pairs count blocks of {k} pixels. The network is to be told pixels.",
        count_blocks,
        WHOLE,
    ),
    "beyond-sdxl.3": Variation("Your GPT has the temperature {k}, which divides logits.", cool),
    "lora.3": Variation("Your LoRA is merged with the weight {k}.", weigh_the_change),
    "scaling-out.3": Variation(
        "Your `weights` counts layers, which have {k} weights each.", count_layers, WHOLE
    ),
}
"""By the exercise's name, in the order of the book."""
