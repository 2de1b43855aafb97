"""Captions: what is said of a scene, in varied plain English, and what a caption claims.

A caption has this form, where everything in brackets may be missing:

    [a picture of] [a] [size] [colour] shape [relation [a] [size] [colour] shape]
    [place] [[,] on a [tone] [pattern] background]

`describe` writes it, `read` reads it.
"""

import difflib
import random
import re
from dataclasses import dataclass

from edudiff.data.drawing import PALETTE
from edudiff.data.scenes import INVERSE, Background, Object, Scene
from edudiff.data.shapes import OUTLINES

Phrases = dict[str, tuple[str, ...]]

SIZES: Phrases = {"small": ("small", "little"), "big": ("big", "large")}
RELATIONS: Phrases = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "inside": ("inside", "in"),
    "around": ("around",),
    "in front of": ("in front of",),
    "behind": ("behind",),
}
PLACES: Phrases = {
    "left": ("on the left",),
    "right": ("on the right",),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
    "middle": ("in the middle", "in the centre"),
}
PATTERNS: Phrases = {"plain": ("plain",), "gradient": ("gradient",), "striped": ("striped",)}
TONES: Phrases = {"dark": ("dark",), "light": ("light",)}
OPENINGS = ("a picture of", "a drawing of")

VOCABULARY = frozenset(
    " ".join(
        [
            *OUTLINES,
            *PALETTE,
            *OPENINGS,
            "a an the one and on background",
            *(
                way
                for phrases in (SIZES, RELATIONS, PLACES, PATTERNS, TONES)
                for ways in phrases.values()
                for way in ways
            ),
        ]
    ).split()
)
"""Every word that a caption can have."""


@dataclass(frozen=True)
class ObjectClaim:
    """What a caption says of one object; None where it says nothing."""

    shape: str
    colour: str | None = None
    size: str | None = None


@dataclass(frozen=True)
class Claims:
    """What a caption says of a picture.

    `relation` is what the first object is to the second; two objects joined by "and" have none.
    `place` is where the only object is.
    """

    objects: tuple[ObjectClaim, ...]
    relation: str | None = None
    place: str | None = None
    tone: str | None = None
    pattern: str | None = None


def place_of(thing: Object) -> str | None:
    """The word for where an object is, or None where no word clearly fits."""
    dx, dy = thing.x - 0.5, thing.y - 0.5
    if max(abs(dx), abs(dy)) < 0.07:
        return "middle"
    if max(abs(dx), abs(dy)) < 0.12 or 0.6 < abs(dx) / (abs(dy) + 1e-9) < 1.7:
        return None
    if abs(dx) > abs(dy):
        return "left" if dx < 0 else "right"
    return "top" if dy < 0 else "bottom"


def describe(scene: Scene, seed: int) -> str:
    """Say what is in a scene, in one of many ways.

    Colours and shapes are always named; sizes, place and background each about half of the time.

    Args:
        scene: what to describe.
        seed: decides the wording.
    """
    rng = random.Random(f"wording {seed}")  # not what a scene of the same seed was drawn with
    objects, relation = list(scene.objects), scene.relation
    if relation is not None and rng.random() < 0.5:
        objects, relation = objects[::-1], INVERSE[relation]
    words = [_noun_phrase(thing, rng) for thing in objects]
    place = place_of(objects[0]) if relation is None else None
    if relation in ("left of", "right of", "above", "below") and rng.random() < 0.15:
        words.insert(1, "and")
    elif relation is not None:
        words.insert(1, _pick(rng, RELATIONS[relation]))
    elif place is not None and rng.random() < 0.5:
        words.append(_pick(rng, PLACES[place]))
    caption = " ".join(words)
    if rng.random() < 0.5:
        caption += _pick(rng, (", on ", " on ")) + _background_phrase(scene.background, rng)
    if rng.random() < 0.1:
        caption = f"{_pick(rng, OPENINGS)} {caption}"
    return caption


def _pick(rng: random.Random, choices: tuple[str, ...]) -> str:
    return choices[int(rng.random() * len(choices))]


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _noun_phrase(thing: Object, rng: random.Random) -> str:
    size = [_pick(rng, SIZES[thing.size])] if rng.random() < 0.5 else []
    return _a(" ".join([*size, thing.colour, thing.shape]))


def _background_phrase(background: Background, rng: random.Random) -> str:
    plain_unsaid = background.pattern == "plain" and rng.random() < 0.5
    pattern = [] if plain_unsaid else [background.pattern]
    return _a(" ".join([background.tone, *pattern, "background"]))


def _either(name: str, phrases: Phrases) -> str:
    every = sorted((way for ways in phrases.values() for way in ways), key=len, reverse=True)
    return f"(?P<{name}>{'|'.join(every)})"


def _object_form(number: str) -> str:
    size, colour = _either(f"size{number}", SIZES), f"(?P<colour{number}>{'|'.join(PALETTE)})"
    return f"(?:(?:an?|the|one) )?(?:{size} )?(?:{colour} )?(?P<shape{number}>{'|'.join(OUTLINES)})"


_CAPTION = re.compile(
    f"(?:(?:{'|'.join(OPENINGS)}) )?{_object_form('1')}"
    f"(?: (?:and|{_either('relation', RELATIONS)}) {_object_form('2')})?"
    f"(?: {_either('place', PLACES)})?"
    f"(?: on an? (?:{_either('tone', TONES)} )?(?:{_either('pattern', PATTERNS)} )?background)?"
)


def read(caption: str) -> Claims:
    """Say what a caption claims.

    Upper and lower case, commas and the final full stop make no difference.

    Raises:
        ValueError: if the caption is empty, has a word this world does not know (the message
            names the nearest one), or is not of the form in the module's docstring.
    """
    words = re.sub(r"[,.\s]+", " ", caption.lower()).strip()
    if not words:
        raise ValueError("caption: expected a description such as 'a red circle', got nothing")
    for word in words.split():
        if word not in VOCABULARY:
            nearest = difflib.get_close_matches(word, sorted(VOCABULARY), n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"caption: expected words of this world, got {word!r}.{hint}")
    found = _CAPTION.fullmatch(words)
    if found is None or (found["shape2"] and found["place"]):
        raise ValueError(
            "caption: expected '[size] [colour] shape [relation …] [place] [on a … background]', "
            f"got {caption!r}"
        )
    objects = tuple(
        ObjectClaim(found[f"shape{k}"], found[f"colour{k}"], _meaning(SIZES, found[f"size{k}"]))
        for k in "12"
        if found[f"shape{k}"]
    )
    return Claims(
        objects,
        relation=_meaning(RELATIONS, found["relation"]),
        place=_meaning(PLACES, found["place"]),
        tone=_meaning(TONES, found["tone"]),
        pattern=_meaning(PATTERNS, found["pattern"]),
    )


def _meaning(phrases: Phrases, said: str | None) -> str | None:
    return next((meaning for meaning, ways in phrases.items() if said in ways), None)
