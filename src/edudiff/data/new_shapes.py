"""Pictures of something new: one object of any silhouette on a plain ground, and its caption.

The shipped models know six of the ten silhouettes in `shapes.OUTLINES`, and none that is outlined
or dotted, so that the others and these styles are there to be learnt from a handful of pictures.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff import checks
from edudiff.data.drawing import PALETTE, draw
from edudiff.data.scenes import Background, Object, Scene
from edudiff.data.shapes import OUTLINES

LARGEST = 0.32
CIRCLE = 0.95
"""Of a circle's radius, in units of an object's: see `shapes.circle`."""


def lesson(
    number: int,
    shape: str,
    *,
    colours: Sequence[str] = tuple(PALETTE),
    smallest: float = 0.2,
) -> Scene:
    """Make a scene with one object; colours and tones take turns, place and size are drawn.

    Args:
        number: which one; the same number gives the same scene.
        shape: one of `shapes.OUTLINES`.
        colours: those that take turns.
        smallest: the least radius, in fractions of the side, at most `LARGEST`.

    Raises:
        ValueError: for a number below 0, an unknown shape or colour, or a radius outside
            (0, `LARGEST`].
    """
    checks.whole_at_least(0, number=number)
    checks.choose("shape", shape, OUTLINES)
    colour = colours[number % len(colours)]
    checks.choose("colour", colour, PALETTE)
    turn = number // len(colours) + number % len(colours)
    if not 0 < smallest <= LARGEST:
        raise ValueError(f"smallest: expected a radius in (0, {LARGEST}], got {smallest}")
    rng = random.Random(number)
    radius = smallest + (LARGEST - smallest) * rng.random()
    room = 0.48 - 1.1 * radius
    x, y = (0.5 + room * (2 * rng.random() - 1) for _ in "xy")
    background = Background(("dark", "light")[turn % 2], "plain", 0)
    return Scene((Object(shape, colour, x, y, radius),), None, background)


def say(scene: Scene, style: str = "") -> str:
    """The caption of a lesson: "a red diamond on a dark background".

    Args:
        scene: one with a single object.
        style: a word before the colour, such as "outlined".

    Raises:
        ValueError: for another number of objects than one.
    """
    if len(scene.objects) != 1:
        raise ValueError(f"scene: expected one object, got {len(scene.objects)}")
    thing = scene.objects[0]
    words = f"{style} {thing.colour} {thing.shape}".strip()
    article = "an" if words[0] in "aeiou" else "a"
    return f"{article} {words} on a {scene.background.tone} background"


def draw_outlined(
    scenes: Sequence[Scene], size: int, *, cut: float = 0.55
) -> Float[Tensor, " b 3 size size"]:
    """Draw scenes of one object each with its middle cut out.

        the picture − the same with a smaller object + the empty background

    Args:
        scenes: what to draw; a smaller copy of each shape must lie within the shape, as is so for
            all of them but the ring, the crescent and the heart.
        size: pixels a side.
        cut: the smaller object's radius, as a share of the object's.

    Returns:
        Pictures in [-1, 1].

    Raises:
        ValueError: for a share that is not in (0, 1), for another number of objects than one, and
            what `drawing.draw` raises.
    """
    if not 0 < cut < 1:
        raise ValueError(f"cut: expected a share in (0, 1), got {cut}")
    _check_single(scenes)
    smaller = [replace(s, objects=(_shrunk(s.objects[0], cut),)) for s in scenes]
    empty = [replace(s, objects=()) for s in scenes]
    picture = draw(scenes, size) - draw(smaller, size) + draw(empty, size)
    return picture.clamp(-1, 1)


def draw_dotted(
    scenes: Sequence[Scene], size: int, *, apart: float = 0.7, dot: float = 0.28
) -> Float[Tensor, " b 3 size size"]:
    """Draw scenes of one object each as dots in rows and columns, one of them in its middle.

    A dot is drawn whole, and only if its middle lies a third of its radius within the shape.

    Args:
        scenes: what to draw; the middle of each shape must lie within the shape, as is so for all
            of them but the ring and the crescent.
        size: pixels a side.
        apart: from the middle of a dot to that of the next, in units of the object's radius.
        dot: the radius of a dot, in the same units.

    Returns:
        Pictures in [-1, 1].

    Raises:
        ValueError: unless 0 < 2 dot ≤ apart ≤ 1, for another number of objects than one, and what
            `drawing.draw` raises.
    """
    if not 0 < 2 * dot <= apart <= 1:
        raise ValueError(f"dot, apart: expected 0 < 2 dot ≤ apart ≤ 1, got {dot} and {apart}")
    _check_single(scenes)
    return draw([replace(s, objects=_dots(s.objects[0], apart, dot)) for s in scenes], size)


def _dots(thing: Object, apart: float, dot: float) -> tuple[Object, ...]:
    far = int(1 / apart) * apart
    steps = torch.arange(-far, far + apart / 2, apart, dtype=torch.float64)
    x, y = (each.flatten() for each in torch.meshgrid(steps, steps, indexing="xy"))
    within = OUTLINES[thing.shape](x, y) < -dot / 3
    xs = (thing.x + thing.radius * x[within]).tolist()
    ys = (thing.y + thing.radius * y[within]).tolist()
    radius = thing.radius * dot / CIRCLE
    return tuple(
        Object("circle", thing.colour, *place, radius) for place in zip(xs, ys, strict=True)
    )


def _check_single(scenes: Sequence[Scene]) -> None:
    for scene in scenes:
        if len(scene.objects) != 1:
            raise ValueError(f"scenes: expected one object in each, got {len(scene.objects)}")


def _shrunk(thing: Object, share: float) -> Object:
    return replace(thing, radius=share * thing.radius)
