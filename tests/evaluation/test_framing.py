import pytest
import torch

from edudiff.data import captions, scenes, views
from edudiff.data.captions import ObjectClaim
from edudiff.evaluation import framing, oracle

LONE = [s for s in scenes.scenes(range(120)) if len(s.objects) == 1][:30]
OBJECTS = [ObjectClaim(s.objects[0].shape, s.objects[0].colour) for s in LONE]


def drawn(look):
    return views.draw_views(LONE, [look] * len(LONE))


def test_an_object_that_is_whole_lies_inside():
    assert min(framing.shares_inside(drawn(views.View()), OBJECTS)) > 0.95


def test_the_share_inside_is_that_of_the_area_that_was_not_cut_off():
    cut = framing.shares_inside(drawn(views.View(shown=96, top=24, left=24)), OBJECTS)
    whole = drawn(views.View(96, 96, 96, 96))
    for share, picture, thing in zip(cut, whole, OBJECTS, strict=True):
        area = framing.share_of_colour(picture[None], thing.colour)[0]
        true = (area[24:88, 24:88].sum() / area.sum()).item()
        if share is None:
            assert true < 0.5
        else:
            assert share == pytest.approx(true, abs=0.35)
    known = [share for share in cut if share is not None]
    assert 0.6 < sum(known) / len(known) < 0.95


def test_nothing_of_that_colour_is_no_share():
    grey = torch.zeros(1, 3, 64, 64)
    assert framing.shares_inside(grey, [ObjectClaim("circle", "red")]) == [None]


def test_a_grey_before_or_beside_changes_no_share_of_colour():
    red = torch.tensor(framing.PALETTE["red"])[None, :, None, None].expand(1, 3, 4, 4) * 2 - 1
    for level in (-1.0, 0.3, 1.0):
        half = 0.5 * red + 0.5 * level
        found = framing.share_of_colour(half, "red")
        torch.testing.assert_close(found, torch.full((1, 4, 4), 0.5))


@pytest.mark.parametrize("size", views.BUCKETS)
def test_the_oracle_sees_shapes_in_every_bucket_once_the_ground_is_plain(size):
    told = [captions.describe(s, k) for k, s in enumerate(LONE)]
    plain = framing.on_plain_ground(drawn(views.View(*size)))
    assert plain.shape == (len(LONE), 3, min(size), min(size))
    verdicts = oracle.judge(plain, told)
    for name in ("count", "colour"):
        assert all(v[name] for v in verdicts)
    assert sum(bool(v["shape"]) for v in verdicts) >= 0.97 * len(LONE)


@pytest.mark.parametrize("axis", [1, 2])
def test_what_lies_farther_apart_than_the_short_side_is_still_seen(axis):
    picture = torch.full((3, 64, 96) if axis == 2 else (3, 96, 64), -0.8)
    for begin in (4, 80):
        picture.narrow(axis, begin, 12).narrow(3 - axis, 20, 12)[0] = 0.9
    plain = framing.on_plain_ground(picture[None])
    assert plain.shape == (1, 3, 64, 64)
    assert len(oracle.look(plain)[0].objects) == 2


def test_an_object_is_cut_out_as_large_as_it_is_wherever_it_stands():
    for begin in (0, 40, 80):
        picture = torch.full((3, 64, 96), -0.8)
        picture[0, 20:32, begin : begin + 16] = 0.9
        red = framing.on_plain_ground(picture[None])[0, 0] > 0
        assert red.sum() == 12 * 16


def test_a_distorted_shape_is_not_taken_for_the_right_one():
    told = [captions.describe(s, k) for k, s in enumerate(LONE)]
    wide = torch.nn.functional.interpolate(drawn(views.View()), (64, 96), mode="bilinear")
    verdicts = oracle.judge(framing.on_plain_ground(wide), told)
    assert sum(bool(v["shape"]) for v in verdicts) <= 0.3 * len(LONE)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="objects: expected 1, one a picture, got 0"):
        framing.shares_inside(torch.zeros(1, 3, 64, 64), [])
    with pytest.raises(ValueError, match="objects: expected a colour, got none for a ring"):
        framing.shares_inside(torch.zeros(1, 3, 64, 64), [ObjectClaim("ring")])
    with pytest.raises(ValueError, match="colour"):
        framing.share_of_colour(torch.zeros(1, 3, 64, 64), "grey")
