"""One noisy picture, three scales, five questions: the dictionary between notations.

Every notation writes noisy data as x = a x_0 + b ε, with its own signal a and noise b:

    variance-preserving (Ho et al. 2020)     a = √ᾱ           b = √(1 − ᾱ)
    variance-exploding (Karras et al. 2022)  a = 1            b = σ
    straight path (Liu et al. 2022)          a = 1 − s        b = s

They differ by a factor alone as long as b / a is the same; b / a is σ. And given x, every answer
a network may give is another way of saying the same (x_0, ε):

    epsilon  ε        sample  x_0        flow  ε − x_0        score  ∇ log p(x) = −ε / b
    v_prediction  (a ε − b x_0) / √(a² + b²)
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from edudiff import checks

Answer = Literal["epsilon", "sample", "v_prediction", "score", "flow"]


def sigma_from_alpha_bar(alpha_bar: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """σ = √((1 − ᾱ) / ᾱ), from variance-preserving to variance-exploding; infinite at ᾱ = 0.

    Raises:
        ValueError: if a value is outside [0, 1].

    Source:
        Karras et al. 2022 (arXiv:2206.00364), table 1, with s(t) = √ᾱ.
    """
    checks.in_range(0.0, 1.0, alpha_bar=alpha_bar)
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_from_sigma(sigma: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """ᾱ = 1 / (1 + σ²), from variance-exploding to variance-preserving.

    Raises:
        ValueError: if a σ is negative.
    """
    checks.in_range(0.0, float("inf"), sigma=sigma)
    return 1 / (1 + sigma.square())


def path_time_from_sigma(sigma: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """s = σ / (1 + σ), the time at which the straight path is as noisy; 1 at σ = ∞.

    Raises:
        ValueError: if a σ is negative.
    """
    checks.in_range(0.0, float("inf"), sigma=sigma)
    return 1 - 1 / (1 + sigma)


def sigma_from_path_time(s: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """σ = s / (1 − s); infinite at s = 1.

    Raises:
        ValueError: if a time is outside [0, 1].
    """
    checks.in_range(0.0, 1.0, s=s)
    return s / (1 - s)


def read(answer: Tensor, x: Tensor, a: Tensor, b: Tensor, kind: Answer) -> tuple[Tensor, Tensor]:
    """The (x_0, ε) that an answer of this kind means, for x = a x_0 + b ε.

    Args:
        answer: what a network said about x.
        x: the noisy data it saw, in any scale.
        a: the signal of that scale, shaped to broadcast over x.
        b: its noise, likewise.
        kind: "epsilon", "sample", "v_prediction", "score" or "flow".

    Raises:
        ValueError: if answer and x differ in shape, the kind is unknown, or a or b is 0 where it
            is divided by: a for "epsilon" and "score", b for "sample".
    """
    checks.same_shape(x=x, answer=answer)
    if kind == "flow":
        return (x - b * answer) / (a + b), (x + a * answer) / (a + b)
    if kind == "v_prediction":
        squared, length = a.square() + b.square(), (a.square() + b.square()).sqrt()
        return a * x / squared - b * answer / length, b * x / squared + a * answer / length
    if kind == "sample":
        _refuse_zero(b=b)
        return answer, (x - a * answer) / b
    _refuse_unknown(kind)
    _refuse_zero(a=a)
    eps = -b * answer if kind == "score" else answer
    return (x - b * eps) / a, eps


def write(x0: Tensor, eps: Tensor, a: Tensor, b: Tensor, kind: Answer) -> Tensor:
    """What a perfect network of this kind would answer to x = a x_0 + b ε.

    Raises:
        ValueError: if x0 and eps differ in shape, the kind is unknown, or b is 0 for "score".
    """
    checks.same_shape(x0=x0, eps=eps)
    _refuse_unknown(kind)
    if kind == "score":
        _refuse_zero(b=b)
        return -eps / b
    length = (a.square() + b.square()).sqrt()
    written = {"epsilon": eps, "sample": x0, "flow": eps - x0}
    return (a * eps - b * x0) / length if kind == "v_prediction" else written[kind]


def translate(
    answer: Tensor, x: Tensor, a: Tensor, b: Tensor, *, source: Answer, target: Answer
) -> Tensor:
    """An answer of one kind as an answer of another, about the same x = a x_0 + b ε.

    Raises:
        ValueError: as `read` and `write`.
    """
    return write(*read(answer, x, a, b, source), a, b, target)


def _refuse_zero(**weights: Tensor) -> None:
    for name, weight in weights.items():
        if bool((weight == 0).any()):
            raise ValueError(f"{name}: expected a weight other than 0 to divide by, got 0")


def _refuse_unknown(kind: str) -> None:
    names = {name: name for name in ("epsilon", "sample", "v_prediction", "score", "flow")}
    checks.choose("kind of answer", kind, names)
