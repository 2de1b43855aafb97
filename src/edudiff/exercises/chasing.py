"""The smallest game that never ends: the fifth exercise on adversarial networks."""

import math

import torch
from torch import Generator

from edudiff.exercises.exercise import Case, Exercise, Mistake

Players = tuple[float, float]
FREE, BRAKED = "there is no penalty", "there is a penalty"


def turn(theta: float, psi: float, gamma: float, step: float) -> Players:
    """Where forger θ and judge ψ stand after both have moved at once."""
    s = _sigmoid(psi * theta)
    return theta + step * psi * s, psi - step * (theta * s + gamma * psi)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for about, gamma, side in (
        (FREE, 0.0, 1),
        (FREE, 0.0, -1),
        (BRAKED, 0.5, 1),
        (BRAKED, 1.2, -1),
    ):
        draw = torch.rand(3, generator=generator).tolist()
        theta, psi, step = 0.4 + 0.4 * draw[0], 1 + 0.6 * draw[1], 0.4 + 0.5 * draw[2]
        given = {"theta": theta, "psi": side * psi, "gamma": gamma, "step": step}
        cases.append(Case(about, given))
    return cases


def _judge_first(theta: float, psi: float, gamma: float, step: float) -> Players:
    _, psi = turn(theta, psi, gamma, step)
    return turn(theta, psi, gamma, step)[0], psi


def _forger_first(theta: float, psi: float, gamma: float, step: float) -> Players:
    moved, _ = turn(theta, psi, gamma, step)
    return moved, turn(moved, psi, gamma, step)[1]


def _changed_sides(theta: float, psi: float, gamma: float, step: float) -> Players:
    s = _sigmoid(psi * theta)
    return theta - step * psi * s, psi + step * (theta * s - gamma * psi)


def _both_fall(theta: float, psi: float, gamma: float, step: float) -> Players:
    s = _sigmoid(psi * theta)
    return theta + step * psi * s, psi + step * (theta * s - gamma * psi)


def _other_tail(theta: float, psi: float, gamma: float, step: float) -> Players:
    s = _sigmoid(-psi * theta)
    return theta + step * psi * s, psi - step * (theta * s + gamma * psi)


def _own_slopes(theta: float, psi: float, gamma: float, step: float) -> Players:
    s = _sigmoid(psi * theta)
    return theta + step * theta * s, psi - step * (psi * s + gamma * psi)


TURN = Exercise(
    name="gan.5",
    title="The smallest game that never ends",
    make_cases=_cases,
    reference=turn,
    mistakes=(
        Mistake(
            "Your forger already knows the judge's next move. Both were to move at once, from the "
            "same place.",
            _judge_first,
        ),
        Mistake(
            "Your judge already knows the forger's next move. Both were to move at once, from the "
            "same place.",
            _forger_first,
        ),
        Mistake(
            "Your players have changed sides: the judge wants to raise the value, the forger to "
            "lower it.",
            _changed_sides,
            FREE,
        ),
        Mistake(
            "Both of your players go downhill. One of them wants to get up.",
            _both_fall,
            FREE,
        ),
        Mistake(
            "Your slope is small where it should be large: what is the derivative of log(1 + e^x)?",
            _other_tail,
            FREE,
        ),
        Mistake(
            "Each player moves by its own number. The slope with respect to one is the other's.",
            _own_slopes,
            FREE,
        ),
        Mistake(
            "Nothing depends on γ: the penalty is missing.",
            lambda theta, psi, gamma, step: turn(theta, psi, 0.0, step),
        ),
        Mistake(
            "Your penalty drives ψ away from 0: it is rewarded.",
            lambda theta, psi, gamma, step: turn(theta, psi, -gamma, step),
            BRAKED,
        ),
        Mistake(
            "Your brake is not that of γ/2 · ψ². What is the slope of a square?",
            lambda theta, psi, gamma, step: turn(theta, psi, gamma / 2, step),
            BRAKED,
        ),
    ),
)
