"""Which object each word of a caption speaks of."""

from dataclasses import replace

import pytest

from edudiff.data import captions, mentions, scenes, tokens
from edudiff.training.recipes import tiny_clip


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_clip.load_shipped()[1]


def by_word(caption: str, tokenizer: object) -> list[tuple[str, int]]:
    ids = tokens.tokenize([caption], tokenizer)
    numbers = mentions.spoken_of(ids, tokenizer)[0].tolist()
    words = [word.removesuffix("</w>") for word in tokenizer.convert_ids_to_tokens(ids[0].tolist())]
    end = words.index(tokens.END)
    assert set(numbers[end:]) == {numbers[end]}  # the padding goes on as the end did
    return list(zip(words[1:end], numbers[1:end], strict=True))


def test_words_speak_of_the_object_named_last(tokenizer):
    said = by_word("a red circle to the left of a big blue square, on a dark background", tokenizer)
    numbers = [number for _, number in said]
    assert [word for word, number in said if number == 0] == "circle to the left of a".split()
    assert numbers[:2] == [-1, -1]
    assert said[8:11] == [("big", -1), ("blue", -1), ("square", 1)]
    assert set(numbers[10:]) == {1}


def test_one_object_is_spoken_of_to_the_end(tokenizer):
    said = by_word("a picture of a small star at the top", tokenizer)
    assert [number for _, number in said] == [-1] * 5 + [0] * 4


def test_the_second_object_may_begin_with_its_shape(tokenizer):
    assert by_word("a ring and a cross", tokenizer) == [
        ("a", -1),
        ("ring", 0),
        ("and", 0),
        ("a", 0),
        ("cross", 1),
    ]


def test_no_caption_speaks_of_nothing(tokenizer):
    assert (mentions.spoken_of(tokens.unconditional(tokenizer), tokenizer) == -1).all()


def test_objects_stand_in_the_order_of_the_caption():
    turned = 0
    for seed in range(400):
        scene = scenes.scene(seed)
        caption = captions.describe(scene, seed)
        claims = captions.read(caption)
        objects = mentions.in_order(scene, caption)
        assert sorted(map(id, objects)) == sorted(map(id, scene.objects))
        for thing, claim in zip(objects, claims.objects, strict=True):
            assert (thing.colour, thing.shape) == (claim.colour, claim.shape)
        if claims.relation in ("left of", "right of"):
            assert (objects[0].x < objects[1].x) == (claims.relation == "left of")
        turned += objects != scene.objects
    assert turned > 50


def test_of_two_alike_the_relation_says_which_comes_first():
    scene = next(s for s in map(scenes.scene, range(999)) if s.relation == "left of")
    left, right = (replace(thing, colour="red", shape="star") for thing in scene.objects)
    alike = replace(scene, objects=(left, right))
    assert mentions.in_order(alike, "a red star left of a red star") == (left, right)
    assert mentions.in_order(alike, "a red star right of a red star") == (right, left)


def test_a_caption_of_another_scene_is_refused():
    scene = next(s for s in map(scenes.scene, range(99)) if s.objects[0].colour != "red")
    with pytest.raises(ValueError, match="expected one of this scene, got 'a red circle'"):
        mentions.in_order(scene, "a red circle")
