"""Does a picture show what was asked for? Exact answers, because the world is known.

`look` says what is to be seen, `judge` which statements of a caption hold, `agrees` whether all
of a scene was seen as it is.
"""

import itertools
from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from edudiff import checks
from edudiff.data.captions import Claims, ObjectClaim, place_of, read
from edudiff.data.scenes import INVERSE, SMALL_WORLD, Object, Scene, World
from edudiff.evaluation.sight import Seen, Sight, look
from edudiff.evaluation.silhouettes import coverage

__all__ = ["Seen", "Sight", "Verdict", "agrees", "judge", "look", "relations", "score"]

STATEMENTS = ("count", "shape", "colour", "binding", "size", "relation", "place", "background")
"""What a caption can state, and a verdict answers."""


class Verdict(dict[str, bool | None]):
    """For each of `STATEMENTS`: whether it holds, or None where the caption says nothing."""

    @property
    def all(self) -> bool:
        """Whether everything the caption says holds."""
        return False not in self.values()


def judge(
    pictures: Float[Tensor, " b 3 h w"],
    captions: Sequence[str | Claims],
    world: World = SMALL_WORLD,
) -> list[Verdict]:
    """Say which statements of its caption hold for each picture.

    What cannot be told does not hold. The statements:

    * count: as many objects are seen as the caption names, no more and no fewer;
    * shape: every shape named is seen, each on an object of its own;
    * colour: the same of the colours, whichever shapes they are on;
    * binding: every colour is on the shape it was named with, each on an object of its own;
    * size: every size named is that of its object;
    * relation: one of the `relations` of the two objects;
    * place: the word of `captions.place_of` for the object, at most 0.01 away from where it is;
    * background: its tone and pattern, as far as they are named.

    Size, relation and place ask which object is meant: of all assignments of seen objects to
    named ones, the one with most objects right in shape and colour, then most words right, then
    the relation right. An object that has neither the shape nor the colour is not the one meant,
    and nothing said of it holds.

    Args:
        pictures: as for `look`.
        captions: what each picture should show, in words that `captions.read` reads, or read
            already.
        world: whose shapes and colours may be named.

    Raises:
        ValueError: as `look` and `captions.read`; for another number of captions than pictures;
            for a claim about shapes or colours that the world does not have.
    """
    if isinstance(captions, str) or len(captions) != len(pictures):
        raise ValueError(
            f"captions: expected a list of {len(pictures)}, one a picture, got {captions!r:.80}"
        )
    claims = [read(caption) if isinstance(caption, str) else caption for caption in captions]
    for claim in claims:
        for named in claim.objects:
            checks.choose("shape", named.shape, dict.fromkeys(world.shapes))
            checks.choose("colour", named.colour or world.colours[0], dict.fromkeys(world.colours))
    sights = look(pictures, world)
    return [_verdict(sight, claim) for sight, claim in zip(sights, claims, strict=True)]


def score(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The share of pictures for which each statement holds, among those whose captions make it.

    "all" is the share for which everything said holds. Statements that no caption makes are left
    out.

    Raises:
        ValueError: if there are no verdicts.
    """
    checks.whole_at_least(1, verdicts=len(verdicts))
    shares = {"all": sum(verdict.all for verdict in verdicts) / len(verdicts)}
    for statement in STATEMENTS:
        answers = [v[statement] for v in verdicts if v[statement] is not None]
        if answers:
            shares[statement] = answers.count(True) / len(answers)
    return shares


def agrees(sight: Sight, scene: Scene, tolerance: float = 0.03) -> bool:
    """Whether everything was seen as it is: objects, relation and background.

    Args:
        sight: what was seen.
        scene: what is there.
        tolerance: how far off x, y and radius may be, in fractions of the side.
    """
    background = scene.background
    if (sight.tone, sight.pattern) != (background.tone, background.pattern):
        return False
    return len(sight.objects) == len(scene.objects) and any(
        all(
            _alike(sight.objects[k], true, tolerance)
            for k, true in zip(order, scene.objects, strict=True)
        )
        and (scene.relation is None or scene.relation in relations(sight, *order))
        for order in itertools.permutations(range(len(scene.objects)))
    )


def relations(sight: Sight, first: int, second: int) -> set[str]:
    """Everything that the first of two seen objects is to the second.

    * inside, around: at least 97 % of the one lies within the outline of the other, whose hole
      counts as filled;
    * in front of, behind: at least 3 % of the smaller one's area lies on the other;
    * left of, right of, above, below: neither holds, and the line between the centres is nearer
      to this direction than to any other.

    Args:
        sight: what was seen, the nearest object first.
        first: the place of one object in `sight.objects`.
        second: the place of the other.
    """
    if first > second:
        return {INVERSE[relation] for relation in relations(sight, second, first)}
    one, other = sight.objects[first], sight.objects[second]
    masks = [_mask(one), _mask(other)]
    filled = [torch.from_numpy(ndimage.binary_fill_holes(mask.numpy())) for mask in masks]
    areas = [int(mask.sum()) for mask in masks]
    found = set()
    if int((masks[0] & filled[1]).sum()) >= 0.97 * areas[0]:
        found.add("inside")
    elif int((masks[1] & filled[0]).sum()) >= 0.97 * areas[1]:
        found.add("around")
    if int((masks[0] & masks[1]).sum()) >= 0.03 * min(areas):
        found.add("in front of")
    if found:
        return found
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) > abs(dy):
        return {"left of" if dx < 0 else "right of"}
    return {"above" if dy < 0 else "below"}


def _mask(thing: Seen) -> Tensor:
    place = torch.tensor([[thing.x, thing.y, thing.radius]])
    return coverage(thing.shape or "circle", place, 96)[0] > 0.5


def _alike(seen: Seen, true: Object, tolerance: float) -> bool:
    gaps = (seen.x - true.x, seen.y - true.y, seen.radius - true.radius)
    names = (seen.shape, seen.colour, seen.size)
    return names == (true.shape, true.colour, true.size) and max(map(abs, gaps)) <= tolerance


Assignment = tuple[int | None, ...]  # for each object named, the place of the one seen


def _verdict(sight: Sight, claims: Claims) -> Verdict:
    named = claims.objects
    places = [*range(len(sight.objects)), *(None for _ in named)]
    meant = max(
        itertools.permutations(places, len(named)), key=lambda order: _worth(sight, claims, order)
    )
    words = [_words(sight, claim, k) for claim, k in zip(named, meant, strict=True)]
    verdict = Verdict(dict.fromkeys(STATEMENTS))
    verdict["count"] = len(sight.objects) == len(named)
    verdict["shape"] = _holds_all([o.shape for o in sight.objects], [c.shape for c in named])
    if any(claim.colour for claim in named):
        colours = [claim.colour for claim in named if claim.colour]
        verdict["colour"] = _holds_all([o.colour for o in sight.objects], colours)
        verdict["binding"] = all(w["shape"] and w["colour"] is not False for w in words)
    if any(claim.size for claim in named):
        verdict["size"] = all(w["size"] is not False for w in words)
    if claims.relation:
        verdict["relation"] = _related(sight, claims, meant)
    if claims.place:
        verdict["place"] = meant[0] is not None and _is_at(sight.objects[meant[0]], claims.place)
    if claims.tone or claims.pattern:
        said = ((claims.tone, sight.tone), (claims.pattern, sight.pattern))
        verdict["background"] = all(claim in (None, seen) for claim, seen in said)
    return verdict


def _words(sight: Sight, claim: ObjectClaim, k: int | None) -> dict[str, bool | None]:
    """Which words of a claim hold of the object that is meant; None for words not said."""
    said = {"shape": claim.shape, "colour": claim.colour, "size": claim.size}
    if k is None:
        return {kind: None if word is None else False for kind, word in said.items()}
    seen = sight.objects[k]
    return {k: None if word is None else word == getattr(seen, k) for k, word in said.items()}


def _worth(sight: Sight, claims: Claims, order: Assignment) -> tuple[int, int, bool]:
    """How well an assignment does: objects right, words right, relation right."""
    if any(
        not _is_known(sight, c, k)
        for c, k in zip(claims.objects, order, strict=True)
        if k is not None
    ):
        return -1, 0, False
    words = [_words(sight, claim, k) for claim, k in zip(claims.objects, order, strict=True)]
    objects = sum(bool(w["shape"]) and w["colour"] is not False for w in words)
    return objects, sum(list(w.values()).count(True) for w in words), _related(sight, claims, order)


def _is_known(sight: Sight, claim: ObjectClaim, k: int) -> bool:
    words = _words(sight, claim, k)
    return words["shape"] is True or words["colour"] is True


def _related(sight: Sight, claims: Claims, order: Assignment) -> bool:
    places = [k for k in order if k is not None]
    if claims.relation is None or len(places) < 2:
        return False
    return claims.relation in relations(sight, places[0], places[1])


def _holds_all(seen: Sequence[str | None], named: Sequence[str | None]) -> bool:
    return not Counter(named) - Counter(seen)


def _is_at(seen: Seen, place: str) -> bool:
    return any(
        place_of(Object("", "", seen.x + dx, seen.y + dy, seen.radius)) == place
        for dx in (-0.01, 0, 0.01)
        for dy in (-0.01, 0, 0.01)
    )
