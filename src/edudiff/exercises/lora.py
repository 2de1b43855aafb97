"""The exercises of the chapter on LoRA."""

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake

# 1. On Stable Diffusion 1.5


Widths = tuple[int, ...]


def thin_size(outs: Widths, ins: Widths, rank: int) -> int:
    """How many numbers LoRA of this rank trains in layers that write and read these widths."""
    return rank * (sum(outs) + sum(ins))


def _layer_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, number, rank in (("there are three layers", 3, 4), ("there is one layer", 1, 2)):
        widths = (torch.randperm(60, generator=generator)[: 2 * number] + 20).tolist()
        outs, ins = tuple(widths[:number]), tuple(widths[number:])
        more = int(torch.randint(3, 12, (), generator=generator))
        cases.append(Case(about, {"outs": outs, "ins": ins, "rank": rank + more}))
    return cases


def _frozen(outs: Widths, ins: Widths) -> int:
    return sum(out * wide for out, wide in zip(outs, ins, strict=True))


THIN_SIZE = Exercise(
    name="lora.1",
    title="On Stable Diffusion 1.5",
    make_cases=_layer_cases,
    reference=thin_size,
    mistakes=(
        Mistake(
            "The frozen weights count in yours, as if they were trained, too.",
            lambda outs, ins, rank: thin_size(outs, ins, rank) + _frozen(outs, ins),
        ),
        Mistake(
            "You count the frozen weights alone.",
            lambda outs, ins, rank: _frozen(outs, ins),
        ),
        Mistake(
            "A's width is multiplied by B's in yours. The two matrices stand one after the other.",
            lambda outs, ins, rank: rank * _frozen(outs, ins),
        ),
        Mistake(
            "You count A, which reads, and not B, which writes.",
            lambda outs, ins, rank: rank * sum(ins),
        ),
        Mistake(
            "You count B, which writes, and not A, which reads.",
            lambda outs, ins, rank: rank * sum(outs),
        ),
        Mistake(
            "Your layers have biases, after A and after B. LoRA has none.",
            lambda outs, ins, rank: thin_size(outs, ins, rank) + sum(outs) + rank * len(outs),
        ),
        Mistake(
            "You count a square matrix of the rank between A and B. There is nothing between them.",
            lambda outs, ins, rank: thin_size(outs, ins, rank) + rank**2 * len(outs),
        ),
    ),
)

# 2. Both zero

Slopes = tuple[Tensor, Tensor]


def slopes(A: Tensor, B: Tensor, x: Tensor, g: Tensor, scale: float) -> Slopes:
    """The slopes of A, (r, in), and B, (out, r), from inputs, (b, in), and the output's slopes."""
    return scale * B.T @ g.T @ x, scale * g.T @ x @ A.T


def _slope_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in ("neither is 0", "B is 0", "A and B are 0"):
        shapes = (2, 4), (3, 2), (5, 4), (5, 3)
        A, B, x, g = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
        A, B = (0 * A if "A" in about else A), (0 * B if "B" in about else B)
        scale = 1.5 + float(torch.rand((), generator=generator))
        cases.append(Case(about, {"A": A, "B": B, "x": x, "g": g, "scale": scale}))
    return cases


SLOPES = Exercise(
    name="lora.2",
    title="Both zero",
    make_cases=_slope_cases,
    reference=slopes,
    mistakes=(
        Mistake(
            "The fixed scale is missing. It multiplies what LoRA adds, and so its slopes.",
            lambda A, B, x, g, scale: slopes(A, B, x, g, 1.0),
        ),
        Mistake(
            "The scale is divided by in yours.",
            lambda A, B, x, g, scale: slopes(A, B, x, g, 1 / scale),
        ),
        Mistake(
            "The two slopes are exchanged: that of A comes first, with the shape of A.",
            lambda A, B, x, g, scale: slopes(A, B, x, g, scale)[::-1],
        ),
        Mistake(
            "Your slopes lie on their sides. Each has the shape of its matrix.",
            lambda A, B, x, g, scale: tuple(each.T for each in slopes(A, B, x, g, scale)),
        ),
        Mistake(
            "You take means over the inputs. Whether a loss is a mean is in its slopes g already.",
            lambda A, B, x, g, scale: slopes(A, B, x, g, scale / len(x)),
        ),
        Mistake(
            "Your slopes point downhill. A slope says where the loss grows; the step turns it "
            "round.",
            lambda A, B, x, g, scale: slopes(A, B, x, g, -scale),
        ),
        Mistake(
            "Without B you let A learn, as if its output were the layer's. A is heard through B "
            "only.",
            lambda A, B, x, g, scale: (
                scale * torch.ones_like(B).T @ g.T @ x,
                slopes(A, B, x, g, scale)[1],
            ),
            "B is 0",
        ),
    ),
)

# 3. Merged in half precision


def merged(W: Tensor, A: Tensor, B: Tensor, lora_alpha: float) -> Tensor:
    """The weight, (out, in), with what A, (r, in), and B, (out, r), add written into it."""
    return _merged(W, A, B, lora_alpha / len(A))


def _merged(W: Tensor, A: Tensor, B: Tensor, scale: float) -> Tensor:
    return W + scale * B @ A


def _weight_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, rank, wide in (
        ("the rank is 2", 2, 4),
        ("the rank is 3", 3, 5),
        ("α is the rank", 4, 5),
    ):
        shapes = (wide, wide), (rank, wide), (wide, rank)
        W, A, B = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
        drawn = 5 + 4 * float(torch.rand((), generator=generator))
        lora_alpha = float(rank) if about.startswith("α") else drawn
        cases.append(Case(about, {"W": W, "A": A, "B": B, "lora_alpha": lora_alpha}))
    return cases


MERGED = Exercise(
    name="lora.3",
    title="Merged in half precision",
    make_cases=_weight_cases,
    reference=merged,
    mistakes=(
        Mistake(
            "You multiply by α and do not divide by the rank.",
            lambda W, A, B, lora_alpha: _merged(W, A, B, lora_alpha),
        ),
        Mistake(
            "The fixed scale is missing: you add BA as it is.",
            lambda W, A, B, lora_alpha: _merged(W, A, B, 1.0),
        ),
        Mistake(
            "Your change lies on its side: A and B are exchanged. Which of them reads?",
            lambda W, A, B, lora_alpha: merged(W.T, A, B, lora_alpha).T,
        ),
        Mistake(
            "It is merged twice.",
            lambda W, A, B, lora_alpha: merged(merged(W, A, B, lora_alpha), A, B, lora_alpha),
        ),
        Mistake(
            "You take the change out of the weight. That is the way back.",
            lambda W, A, B, lora_alpha: merged(W, A, B, -lora_alpha),
        ),
        Mistake(
            "That is the change alone. The weight that was there is lost.",
            lambda W, A, B, lora_alpha: merged(W, A, B, lora_alpha) - W,
        ),
        Mistake(
            "You divide by the width that A reads. The rank is its other side.",
            lambda W, A, B, lora_alpha: _merged(W, A, B, lora_alpha / A.shape[1]),
        ),
        Mistake(
            "You divide by the root of the rank, as rsLoRA does. This LoRA was trained with α/r.",
            lambda W, A, B, lora_alpha: _merged(W, A, B, lora_alpha / len(A) ** 0.5),
        ),
        Mistake(
            "The scale is upside down: rank over α.",
            lambda W, A, B, lora_alpha: _merged(W, A, B, len(A) / lora_alpha),
        ),
    ),
)

# 4. Why divide by the rank?


def as_strong(lora_alpha: float, rank: int, new_rank: int) -> float:
    """The α that gives a LoRA of `new_rank` a first step as large as this one's, with scale α/r."""
    return lora_alpha * (new_rank / rank) ** 0.5


def _rank_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in ("the new rank is larger", "the new rank is smaller"):
        rank, more = (torch.randint(3, 20, (2,), generator=generator)).tolist()
        few, many = rank, rank + more
        lora_alpha = 2 + 10 * float(torch.rand((), generator=generator))
        ranks = (few, many) if "larger" in about else (many, few)
        cases.append(
            Case(about, {"lora_alpha": lora_alpha, "rank": ranks[0], "new_rank": ranks[1]})
        )
    return cases


AS_STRONG = Exercise(
    name="lora.4",
    title="Why divide by the rank?",
    make_cases=_rank_cases,
    reference=as_strong,
    mistakes=(
        Mistake(
            "You keep α/r as it is. BA itself grows with the rank, if not as quickly as the rank.",
            lambda lora_alpha, rank, new_rank: lora_alpha * new_rank / rank,
        ),
        Mistake(
            "You keep α. Then the scale falls more quickly than BA grows.",
            lambda lora_alpha, rank, new_rank: lora_alpha,
        ),
        Mistake(
            "Your α falls where it should grow: the two ranks are exchanged.",
            lambda lora_alpha, rank, new_rank: lora_alpha * (rank / new_rank) ** 0.5,
        ),
        Mistake(
            "You keep α/r² or so: the power of the rank is too high. How does BA grow?",
            lambda lora_alpha, rank, new_rank: lora_alpha * (new_rank / rank) ** 1.5,
        ),
        Mistake(
            "That is the new scale. Its α is asked for.",
            lambda lora_alpha, rank, new_rank: lora_alpha / (rank * new_rank) ** 0.5,
        ),
    ),
)

EXERCISES = (THIN_SIZE, SLOPES, MERGED, AS_STRONG)
