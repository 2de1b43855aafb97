import pytest
import torch

from edudiff.data import drawing, scenes, views
from edudiff.data.views import View, draw_views, spread_out, view


def drawn(seeds, look):
    return draw_views(scenes.scenes(seeds), [look] * len(seeds))


def test_a_whole_sharp_square_is_the_scene_as_it_was_always_drawn():
    assert torch.equal(drawn(range(8), View()), drawing.draw(scenes.scenes(range(8)), 64))


def test_an_original_larger_than_the_picture_changes_no_pixel():
    assert torch.equal(drawn(range(4), View(original=128)), drawn(range(4), View()))


def test_a_small_original_holds_no_more_than_a_small_drawing_does():
    small = drawing.draw(scenes.scenes(range(4)), 32)
    picture = drawn(range(4), View(original=32))
    again = torch.nn.functional.avg_pool2d(picture, 2)
    assert (again - small).abs().mean() < 0.03
    assert (picture - drawn(range(4), View())).abs().mean() > 0.01


def test_a_cut_is_a_window_of_the_larger_drawing():
    whole = drawing.draw(scenes.scenes(range(4)), 96)
    picture = drawn(range(4), View(original=96, shown=96, top=10, left=30))
    assert torch.equal(picture, whole[:, :, 10:74, 30:94])


@pytest.mark.parametrize("size", [views.WIDE, views.TALL])
def test_shapes_keep_their_proportions_in_every_bucket(size):
    lone = [s for s in scenes.scenes(range(60)) if len(s.objects) == 1]
    lone = [s for s in lone if s.objects[0].shape in ("circle", "square", "ring", "cross")]
    pictures = draw_views(lone, [View(*size)] * len(lone))
    for picture in pictures:
        tinted = picture.amax(0) - picture.amin(0) > 0.25
        high, wide = tinted.any(1).sum().item(), tinted.any(0).sum().item()
        assert abs(high - wide) <= 1


def test_a_wide_picture_shows_the_square_one_when_nothing_has_to_move():
    middle = scenes.Object("circle", "red", 0.5, 0.4, 0.2)
    scene = scenes.Scene((middle,), None, scenes.Background("dark", "plain", 0))
    wide = draw_views([scene], [View(*views.WIDE)])
    assert torch.equal(wide[..., 16:80], drawing.draw([scene], 64))


def test_in_shares_of_the_sides_a_lone_object_stays_where_it_was():
    scene = next(s for s in scenes.scenes(range(50)) if len(s.objects) == 1)
    moved = spread_out(scene, 1.0, 1.5).objects[0]
    assert (moved.x - 0.5) / 1.5 == pytest.approx(scene.objects[0].x - 0.5)
    assert (moved.y, moved.radius) == (scene.objects[0].y, scene.objects[0].radius)


def test_what_stands_inside_something_moves_with_it():
    scene = next(s for s in scenes.scenes(range(99)) if s.relation == "inside")
    inner, outer = spread_out(scene, 1.5, 1.0).objects
    for axis in "xy":
        before = getattr(scene.objects[0], axis) - getattr(scene.objects[1], axis)
        assert getattr(inner, axis) - getattr(outer, axis) == pytest.approx(before)


@pytest.mark.parametrize("size", [views.WIDE, views.TALL])
def test_no_object_leaves_a_wide_or_tall_picture(size):
    for scene in scenes.scenes(range(400)):
        high, wide = (side / 64 for side in size)
        for thing in spread_out(scene, high, wide).objects:
            assert abs(thing.x - 0.5) + thing.radius <= wide / 2 + 0.03
            assert abs(thing.y - 0.5) + thing.radius <= high / 2 + 0.03


def test_what_is_told_is_how_the_picture_came_to_be():
    look = View(64, 96, original=32, shown=80, top=7, left=9)
    assert look.time_ids == (32, 48, 7, 9, 64, 96)
    assert look.refiner_ids == (32, 48, 7, 9, look.aesthetic_score)


def test_whole_sharp_pictures_score_highest_and_blurred_or_cut_ones_lower():
    assert View().aesthetic_score == 6.0 == View(original=128).aesthetic_score
    assert View(original=views.SMALLEST).aesthetic_score == 2.0
    assert View(shown=112).aesthetic_score == 2.0
    assert 2 < View(original=44).aesthetic_score < 6


def test_the_smallest_drawings_are_larger_ones_reduced():
    fine = drawing.draw(scenes.scenes(range(4)), 16)
    small = torch.nn.functional.avg_pool2d(fine, 2)
    expected = torch.nn.functional.interpolate(small, (64, 64), mode="bicubic").clamp(-1, 1)
    torch.testing.assert_close(drawn(range(4), View(original=8)), expected)


def test_a_seed_decides_its_view_and_shares_are_as_stated():
    looks = [view(seed, views.TALL) for seed in range(2000)]
    assert looks == [view(seed, views.TALL) for seed in range(2000)]
    assert {(look.height, look.width) for look in looks} == {views.TALL}
    small = sum(look.original < 64 for look in looks) / 2000
    cut = sum(look.shown > 64 for look in looks) / 2000
    assert small == pytest.approx(views.SMALL_SHARE, abs=0.03)
    assert cut == pytest.approx(views.CROPPED_SHARE, abs=0.03)
    assert max(look.top for look in looks) > 80 - 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 60}, "height: expected a multiple of 16, got 60"),
        ({"width": 96, "original": 33}, "original: expected an even number, got 33"),
        ({"shown": 60}, "shown: expected a whole number ≥ 64"),
        ({"top": 1}, "top: expected 0 to 0, got 1"),
        ({"shown": 80, "left": 17}, "left: expected 0 to 16, got 17"),
    ],
)
def test_impossible_views_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        View(**options)


def test_unknown_buckets_and_mixed_sizes_are_refused():
    with pytest.raises(ValueError, match="bucket: expected one of"):
        view(0, (48, 48))
    two = scenes.scenes(range(2))
    with pytest.raises(ValueError, match="views: expected 2, one a scene, got 1"):
        draw_views(two, [View()])
    with pytest.raises(ValueError, match="views: expected pictures of one size"):
        draw_views(two, [View(), View(*views.WIDE)])
    with pytest.raises(ValueError, match="scenes"):
        draw_views([], [])
