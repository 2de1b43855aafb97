"""Small changes to a scene or a caption: what hard negatives and minimal pairs are made of.

Described with the same seed, a scene and its changed self differ in the changed words only.
"""

import re
from dataclasses import replace

from edudiff.data.scenes import INVERSE, Object, Scene

SIDES = {"left": "right", "top": "bottom", "above": "below", "over": "under"}
SIDES |= {there: here for here, there in SIDES.items()}
"""Words for a side or a direction, and the word for the opposite one."""


def recolour(scene: Scene, index: int, colour: str) -> Scene:
    """The same scene with another colour for one of its objects."""
    objects = list(scene.objects)
    objects[index] = replace(objects[index], colour=colour)
    return replace(scene, objects=tuple(objects))


def reshape(scene: Scene, index: int, shape: str) -> Scene:
    """The same scene with another shape for one of its objects."""
    objects = list(scene.objects)
    objects[index] = replace(objects[index], shape=shape)
    return replace(scene, objects=tuple(objects))


def swap_colours(scene: Scene) -> Scene:
    """The same scene with the colours of its two objects exchanged.

    Raises:
        ValueError: if there are not two objects.
    """
    first, second = _two(scene)
    return recolour(recolour(scene, 0, second.colour), 1, first.colour)


def swap_shapes(scene: Scene) -> Scene:
    """The same scene with the shapes of its two objects exchanged.

    Raises:
        ValueError: if there are not two objects.
    """
    first, second = _two(scene)
    return reshape(reshape(scene, 0, second.shape), 1, first.shape)


def turn_relation(scene: Scene) -> Scene:
    """The same objects, but "left of" said as "right of", "inside" as "around", and so on.

    The result is meant to be described, not drawn: its objects have not moved.

    Raises:
        ValueError: if there is no relation.
    """
    if scene.relation is None:
        raise ValueError("scene: expected one with a relation, got one without")
    return replace(scene, relation=INVERSE[scene.relation])


def exchange_sides(caption: str) -> str:
    """The caption with "left" for "right", "above" for "below", and so on.

    A caption without such words stays as it is.
    """
    return re.sub(r"\w+", lambda word: SIDES.get(word[0], word[0]), caption)


def _two(scene: Scene) -> tuple[Object, ...]:
    if len(scene.objects) != 2:
        raise ValueError(f"scene: expected two objects, got {len(scene.objects)}")
    return scene.objects
