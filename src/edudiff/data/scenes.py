"""An endless world of simple scenes, each with its ground truth: what stands where, and how large.

Lengths are fractions of the picture's side, x runs to the right and y downwards. `draw` in
`edudiff.data.drawing` makes a picture of a scene, `describe` in `edudiff.data.captions` a caption.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edudiff import checks

Split = Literal["train", "held_out", "all"]

SMALLEST_BIG = 0.19
"""Radius from which an object is called big."""

FIRST_TEST_SEED = 2**31
"""Scenes from this seed on are for tests; no training draws them."""

INVERSE = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "inside": "around",
    "around": "inside",
    "in front of": "behind",
    "behind": "in front of",
}
"""Every relation between two objects, and what it is called from the other side."""


@dataclass(frozen=True)
class Object:
    """One coloured silhouette: its centre (x, y) and its radius, in fractions of the side."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float

    @property
    def size(self) -> str:
        """The word for its size."""
        return "big" if self.radius >= SMALLEST_BIG else "small"


@dataclass(frozen=True)
class Background:
    """Grey only, so that colour always belongs to an object.

    `angle` turns a gradient or stripes, in multiples of 45 degrees.
    """

    tone: str
    pattern: str
    angle: int


@dataclass(frozen=True)
class Scene:
    """Objects, the nearest first, what the first is to the second, and the background."""

    objects: tuple[Object, ...]
    relation: str | None
    background: Background


@dataclass(frozen=True)
class World:
    """What can be in a scene; `scene` draws from it."""

    shapes: tuple[str, ...] = ("circle", "square", "triangle", "star", "cross", "ring")
    colours: tuple[str, ...] = (
        "red",
        "orange",
        "yellow",
        "green",
        "cyan",
        "blue",
        "purple",
        "pink",
    )
    containers: tuple[str, ...] = ("circle", "square", "triangle", "star", "ring")
    """Shapes with room for something inside."""
    relations: tuple[str, ...] = (
        "left of",
        "right of",
        "above",
        "below",
        "inside",
        "in front of",
    )
    tones: tuple[str, ...] = ("dark", "light")
    patterns: tuple[str, ...] = ("plain", "gradient", "striped")
    held_out_pairs: frozenset[tuple[str, str]] = frozenset(
        {
            ("green", "square"),
            ("cyan", "star"),
            ("purple", "triangle"),
            ("orange", "ring"),
            ("pink", "cross"),
        }
    )
    """(colour, shape) never seen in training."""
    held_out_relations: frozenset[tuple[str, str, str]] = frozenset(
        {
            ("circle", "left of", "cross"),
            ("star", "above", "square"),
            ("triangle", "inside", "ring"),
            ("cross", "in front of", "circle"),
        }
    )
    """(shape, relation, shape) never seen in training, from whichever side it is said."""


SMALL_WORLD = World()
"""The world of the shipped models: six clearly different silhouettes."""

RICH_WORLD = World(
    shapes=(*SMALL_WORLD.shapes, "diamond", "hexagon", "crescent", "heart"),
)
"""Ten silhouettes, some of them easily mistaken; for larger models and a GPU."""


def is_held_out(scene: Scene, world: World = SMALL_WORLD) -> bool:
    """Whether a scene shows a combination that no training picture shows."""
    if any((thing.colour, thing.shape) in world.held_out_pairs for thing in scene.objects):
        return True
    if scene.relation is None:
        return False
    first, second = (thing.shape for thing in scene.objects)
    said = (first, scene.relation, second)
    said_back = (second, INVERSE[scene.relation], first)
    return said in world.held_out_relations or said_back in world.held_out_relations


def scene(seed: int, world: World = SMALL_WORLD, split: Split = "train") -> Scene:
    """Make the scene of a seed.

    Args:
        seed: decides everything; the same seed gives the same scene on every machine.
        world: what can be in it.
        split: "train" leaves out what `world` holds out, "held_out" shows nothing but that,
            "all" draws from both.

    Raises:
        ValueError: for a negative seed or an unknown split.

    Source:
        Held-out combinations as a test of compositional generalisation: Johnson et al. 2017
        (CLEVR, arXiv:1612.06890), section 4.7.
    """
    checks.whole_at_least(0, seed=seed)
    checks.choose("split", split, dict.fromkeys(("train", "held_out", "all")))
    rng = random.Random(seed)
    while True:
        drawn = _draw_scene(rng, world)
        if split == "all" or is_held_out(drawn, world) == (split == "held_out"):
            return drawn


def scenes(seeds: Iterable[int], world: World = SMALL_WORLD, split: Split = "train") -> list[Scene]:
    """Make the scenes of many seeds; see `scene`."""
    return [scene(seed, world, split) for seed in seeds]


def _choose(rng: random.Random, choices: tuple[str, ...]) -> str:
    return choices[int(rng.random() * len(choices))]  # random() is the same in every Python


def _between(rng: random.Random, low: float, high: float) -> float:
    return low + (high - low) * rng.random()


def _draw_scene(rng: random.Random, world: World) -> Scene:
    angle = 45 * int(rng.random() * 8)
    background = Background(_choose(rng, world.tones), _choose(rng, world.patterns), angle)
    relation = _choose(rng, world.relations) if rng.random() < 0.6 else None
    if relation is None:
        places = [_alone(rng)]
    elif relation == "inside":
        places = _one_inside_another(rng)
    elif relation == "in front of":
        places = _one_before_another(rng)
    else:
        places = _side_by_side(rng, relation)
    colours = [_choose(rng, world.colours) for _ in places]
    while relation in ("inside", "in front of") and colours[0] == colours[1]:
        colours[0] = _choose(rng, world.colours)
    shapes = [_choose(rng, world.shapes) for _ in places]
    if relation == "inside":
        shapes[1] = _choose(rng, world.containers)
    objects = tuple(
        Object(shape, colour, *place)
        for shape, colour, place in zip(shapes, colours, places, strict=True)
    )
    return Scene(objects, relation, background)


Place = tuple[float, float, float]  # x, y, radius


def _small(rng: random.Random) -> float:
    return _between(rng, 0.14, 0.165)


def _alone(rng: random.Random) -> Place:
    radius = _small(rng) if rng.random() < 0.4 else _between(rng, 0.22, 0.32)
    room = 0.49 - 1.1 * radius
    return 0.5 + _between(rng, -room, room), 0.5 + _between(rng, -room, room), radius


def _one_inside_another(rng: random.Random) -> list[Place]:
    outer = _between(rng, 0.38, 0.42)
    x, y = (0.5 + _between(rng, -0.03, 0.03) for _ in "xy")
    return [(x, y, _between(rng, 0.14, 0.155)), (x, y, outer)]


def _one_before_another(rng: random.Random) -> list[Place]:
    """A small object over the rim of a big one, of which more than half stays in sight."""
    small, big = _small(rng), _between(rng, 0.27, 0.32)
    angle, apart = _between(rng, 0.0, 2 * math.pi), _between(rng, 0.7, 0.85) * big
    # Rounded so that machines whose sines differ in the last bit still agree.
    dx, dy = round(apart * math.cos(angle), 9), round(apart * math.sin(angle), 9)
    low_x, high_x = max(1.1 * big, 1.1 * small - dx), min(1 - 1.1 * big, 1 - 1.1 * small - dx)
    low_y, high_y = max(1.1 * big, 1.1 * small - dy), min(1 - 1.1 * big, 1 - 1.1 * small - dy)
    x, y = _between(rng, low_x, high_x), _between(rng, low_y, high_y)
    return [(x + dx, y + dy, small), (x, y, big)]


def _side_by_side(rng: random.Random, relation: str) -> list[Place]:
    """Two objects apart along one axis, and less than half as far apart along the other."""
    radii = [_small(rng) if rng.random() < 0.5 else _between(rng, 0.21, 0.225) for _ in range(2)]
    reaches = [1.05 * radius for radius in radii]
    spare = 1 - 0.02 - 2 * sum(reaches)
    before = rng.random() * 0.5 * spare
    after = rng.random() * 0.5 * spare
    along = [0.01 + before + reaches[0], 0.99 - after - reaches[1]]
    most = 0.45 * (along[1] - along[0])
    room = [0.49 - reach for reach in reaches]
    first = _between(rng, -room[0], room[0])
    low, high = max(-room[1], first - most), min(room[1], first + most)
    across = [0.5 + first, 0.5 + _between(rng, low, high)]
    if relation in ("right of", "below"):
        along = [1 - position for position in along]
    if relation in ("left of", "right of"):
        return [(along[k], across[k], radii[k]) for k in range(2)]
    return [(across[k], along[k], radii[k]) for k in range(2)]
