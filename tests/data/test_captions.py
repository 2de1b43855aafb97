import pytest

from edudiff.data.captions import VOCABULARY, Claims, ObjectClaim, describe, place_of, read
from edudiff.data.scenes import INVERSE, RICH_WORLD, Background, Object, Scene, scenes

SCENES = scenes(range(2500), RICH_WORLD, "all")
CAPTIONS = [describe(one, seed) for seed, one in enumerate(SCENES, start=10**6)]


def fits(claim, thing):
    return (
        claim.shape == thing.shape
        and claim.colour in (None, thing.colour)
        and claim.size in (None, thing.size)
    )


def is_true(claims, one):
    """Whether every claim holds of a scene, and names the objects in the order of its relation."""
    things, relation = one.objects, one.relation
    if claims.relation is not None and claims.relation == INVERSE.get(relation):
        things, relation = things[::-1], INVERSE[relation]
    orders = [things] if claims.relation else [things, things[::-1]]
    return (
        len(claims.objects) == len(things)
        and any(all(map(fits, claims.objects, order)) for order in orders)
        and claims.relation in (None, relation)
        and claims.place in (None, place_of(things[0]))
        and claims.tone in (None, one.background.tone)
        and claims.pattern in (None, one.background.pattern)
    )


def test_all_that_a_caption_claims_is_true_of_its_scene():
    assert all(is_true(read(text), one) for text, one in zip(CAPTIONS, SCENES, strict=True))


def test_colours_and_shapes_are_always_named():
    assert all(claim.colour for text in CAPTIONS for claim in read(text).objects)


@pytest.mark.parametrize("claim", ["relation", "place", "tone", "pattern"])
def test_captions_differ_in_what_they_say(claim):
    said = [getattr(read(text), claim) is not None for text in CAPTIONS[:1000]]
    assert 0.05 < sum(said) / len(said) < 0.95


def test_sizes_are_named_about_half_of_the_time():
    said = [claim.size is not None for text in CAPTIONS for claim in read(text).objects]
    assert 0.45 < sum(said) / len(said) < 0.55


def test_every_relation_is_said_from_both_sides():
    assert {read(text).relation for text in CAPTIONS} == {None, *INVERSE}


def test_the_vocabulary_is_the_words_that_captions_use():
    used = {word for text in CAPTIONS for word in text.replace(",", "").split()}
    assert used <= VOCABULARY
    assert VOCABULARY - used == {"one"}  # what only a reader writes


def test_a_seed_decides_the_wording():
    assert describe(SCENES[0], 5) == describe(SCENES[0], 5)
    assert len({describe(SCENES[0], seed) for seed in range(50)}) > 10


@pytest.mark.parametrize(
    ("caption", "claims"),
    [
        ("circle", Claims((ObjectClaim("circle"),))),
        ("A red circle.", Claims((ObjectClaim("circle", "red"),))),
        ("the little orange star", Claims((ObjectClaim("star", "orange", "small"),))),
        (
            "a picture of a large blue square in the middle, on a light striped background",
            Claims(
                (ObjectClaim("square", "blue", "big"),),
                place="middle",
                tone="light",
                pattern="striped",
            ),
        ),
        (
            "a red circle to the left of an orange star on a dark background",
            Claims(
                (ObjectClaim("circle", "red"), ObjectClaim("star", "orange")),
                relation="left of",
                tone="dark",
            ),
        ),
        ("a ring and a cross", Claims((ObjectClaim("ring"), ObjectClaim("cross")))),
        (
            "a red ring in a blue circle",
            Claims((ObjectClaim("ring", "red"), ObjectClaim("circle", "blue")), relation="inside"),
        ),
        (
            "red ring under blue star",
            Claims((ObjectClaim("ring", "red"), ObjectClaim("star", "blue")), relation="below"),
        ),
        (
            "a cross on a plain background",
            Claims((ObjectClaim("cross"),), pattern="plain"),
        ),
        ("a cross on the left", Claims((ObjectClaim("cross"),), place="left")),
    ],
)
def test_what_a_caption_claims(caption, claims):
    assert read(caption) == claims


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [
        (0.5, 0.5, "middle"),
        (0.44, 0.56, "middle"),
        (0.3, 0.5, "left"),
        (0.7, 0.5, "right"),
        (0.5, 0.3, "top"),
        (0.5, 0.7, "bottom"),
        (0.3, 0.3, None),
        (0.6, 0.5, None),
    ],
)
def test_a_place_is_named_only_where_a_word_clearly_fits(x, y, place):
    assert place_of(Object("circle", "red", x, y, 0.15)) == place


def test_a_place_is_named_for_a_single_object_only():
    assert not any(read(text).place for text in CAPTIONS if len(read(text).objects) == 2)


def test_an_orange_object_takes_an():
    orange = Scene((Object("star", "orange", 0.5, 0.5, 0.3),), None, Background("dark", "plain", 0))
    texts = [describe(orange, seed) for seed in range(20)]
    assert any("an orange star" in text for text in texts)
    assert not any("a orange" in text for text in texts)


@pytest.mark.parametrize("caption", ["", "  ", " . , "])
def test_an_empty_caption_is_refused(caption, refusal):
    with refusal("caption: expected a description such as 'a red circle', got nothing"):
        read(caption)


@pytest.mark.parametrize(
    ("word", "nearest"), [("cirlce", "circle"), ("squares", "square"), ("purpel", "purple")]
)
def test_an_unknown_word_is_refused_with_the_nearest_known_one(word, nearest, refusal):
    with refusal(f"got '{word}'. Did you mean '{nearest}'"):
        read(f"a {word}")


@pytest.mark.parametrize(
    "caption",
    [
        "red",
        "a red",
        "a circle red",
        "a circle left of",
        "a circle and",
        "a circle and a square and a star",
        "a red blue circle",
        "a circle left of a square on the left",
        "on a dark background",
        "a circle on a background background",
    ],
)
def test_a_caption_of_another_form_is_refused(caption, refusal):
    with refusal(r"caption: expected '\[size\] \[colour\] shape"):
        read(caption)
