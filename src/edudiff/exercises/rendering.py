"""The exercises of the chapter on rendering."""

import math

import torch
from torch import Generator

from edudiff.exercises.exercise import Case, Exercise, Mistake


def _numbers(generator: Generator, low: float, high: float, count: int = 2) -> list[float]:
    draw = torch.rand(count, generator=generator, dtype=torch.float64)
    return [float(value) for value in low + (high - low) * draw]


# 1. A shadow by hand

ABOVE = "the light stands straight above"


def shadow_tip(phi: float) -> float:
    """How far from its foot the shadow of a ball of radius 1 reaches, if light falls at angle φ."""
    return 1 / math.tan(phi / 2)


def _light_cases(generator: Generator) -> list[Case]:
    low, high = _numbers(generator, 0.2, 0.7), _numbers(generator, 0.9, 1.3)
    return [
        *(Case("the light stands low", {"phi": phi}) for phi in low),
        *(Case("the light stands high", {"phi": phi}) for phi in high),
        Case(ABOVE, {"phi": math.pi / 2}),
    ]


SHADOW_TIP = Exercise(
    name="rendering.1",
    title="A shadow by hand",
    make_cases=_light_cases,
    reference=shadow_tip,
    mistakes=(
        Mistake(
            "Your shadow grows as the light rises: something is upside down.",
            lambda phi: math.tan(phi / 2),
        ),
        Mistake(
            "You have the shadow of the ball's centre. The last ray that is blocked does not pass "
            "through it.",
            lambda phi: 1 / math.tan(phi),
        ),
        Mistake(
            "You have the shadow of a stick as high as the ball. The ray that touches the ball "
            "does not touch its highest point.",
            lambda phi: 2 / math.tan(phi),
        ),
        Mistake(
            "You add the radius along the floor to the shadow of the centre. The radius that "
            "matters stands at a right angle to the ray.",
            lambda phi: 1 + 1 / math.tan(phi),
        ),
        Mistake(
            "You take φ for degrees. It comes in radians, as tan and cos expect it.",
            lambda phi: 1 / math.tan(math.radians(phi) / 2),
        ),
    ),
)

# 2. Blinn's half vector: not checked

# 3. The outline of a near ball


def outline_area(radius: float, distance: float) -> float:
    """The area of a ball's picture on a window one unit in front of the eye."""
    return math.pi * radius**2 / (distance**2 - radius**2)


def _ball_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, low, high in (("the ball is near", 1.2, 2.0), ("the ball is far", 4.0, 8.0)):
        for ratio in _numbers(generator, low, high):
            radius = _numbers(generator, 0.5, 2.0, 1)[0]
            cases.append(Case(about, {"radius": radius, "distance": ratio * radius}))
    return cases


OUTLINE_AREA = Exercise(
    name="rendering.3",
    title="The outline of a near ball",
    make_cases=_ball_cases,
    reference=outline_area,
    mistakes=(
        Mistake(
            "You see the ball's equator. A ray to it passes through the ball before it gets there.",
            lambda radius, distance: math.pi * (radius / distance) ** 2,
        ),
        Mistake(
            "You put the ball's disc where its nearest point is. What do the outermost rays touch?",
            lambda radius, distance: math.pi * (radius / (distance - radius)) ** 2,
        ),
        Mistake(
            "Your tangent ray is longer than the way to the centre. Where is the right angle of "
            "the triangle?",
            lambda radius, distance: math.pi * radius**2 / (distance**2 + radius**2),
        ),
        Mistake(
            "You have the angle of the outermost ray as the radius. How far from the middle does "
            "that ray cross a flat window?",
            lambda radius, distance: math.pi * math.asin(radius / distance) ** 2,
        ),
        Mistake(
            "You have the square of the picture's radius. Its area was asked for.",
            lambda radius, distance: radius**2 / (distance**2 - radius**2),
        ),
        Mistake(
            "You have the length of the outline, or half of it, not the area within: the radius "
            "is not squared.",
            lambda radius, distance: math.pi * radius / (distance**2 - radius**2) ** 0.5,
        ),
    ),
)

# 4. Soft shadows: not checked

# 5. What half of the light looks like

DARK, BRIGHT = "there is hardly any light", "there is light"


def to_srgb(u: float) -> float:
    """The number that a file stores for an amount of light u in [0, 1]."""
    return 12.92 * u if u < 0.0031308 else _curve(u)


def _curve(u: float) -> float:
    return 1.055 * u ** (1 / 2.4) - 0.055


def _back(u: float) -> float:
    """From the stored number to the light."""
    return u / 12.92 if u < 0.04045 else ((u + 0.055) / 1.055) ** 2.4


def _srgb_cases(generator: Generator) -> list[Case]:
    return [
        *(Case(DARK, {"u": u}) for u in _numbers(generator, 0.0005, 0.003)),
        *(Case(BRIGHT, {"u": u}) for u in _numbers(generator, 0.05, 0.9, 3)),
        Case("there is no light", {"u": 0.0}),
    ]


TO_SRGB = Exercise(
    name="rendering.5",
    title="What half of the light looks like",
    make_cases=_srgb_cases,
    reference=to_srgb,
    mistakes=(
        Mistake(
            "You go from the stored number to the light. Half of the light should be stored as "
            "more than half.",
            _back,
            BRIGHT,
        ),
        Mistake(
            "Your power is 2.4 instead of one over it, so that pictures get darker.",
            lambda u: 1.055 * u**2.4 - 0.055,
            BRIGHT,
        ),
        Mistake(
            "You have the plain power with 2.2, which is near the standard, but not the same.",
            lambda u: u ** (1 / 2.2),
            BRIGHT,
        ),
        Mistake(
            "You store bytes. Here the whole of the light is stored as 1.",
            lambda u: 255 * to_srgb(u),
            BRIGHT,
        ),
        Mistake(
            "Your straight line goes on beyond the dark, where the curve should take over.",
            lambda u: 12.92 * u,
            BRIGHT,
        ),
        Mistake(
            "Your curve goes down to the dark, where it falls below 0. A straight line belongs "
            "there.",
            _curve,
            DARK,
        ),
    ),
)

EXERCISES = (SHADOW_TIP, OUTLINE_AREA, TO_SRGB)
