import hashlib
import os
import subprocess
import sys
import time

import pytest
import torch

from edudiff.data.drawing import GREYS, PALETTE, draw, label_maps
from edudiff.data.scenes import RICH_WORLD, Background, Object, Scene, scenes
from edudiff.data.shapes import OUTLINES

DARK = Background("dark", "plain", 0)
SOME = scenes(range(24), RICH_WORLD, "all")


def shrunk(pictures, size):
    return torch.nn.functional.adaptive_avg_pool2d(pictures, size)


def fingerprint(numbers):
    return hashlib.sha256(numbers.contiguous().numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(16, "e8f58fcdcc07e2f1"), (64, "e3ec7dfcf9cc1e38"), (256, "0174752257c7925d")],
)
def test_a_seed_is_the_same_picture_on_every_machine(size, expected):
    assert fingerprint(draw(SOME, size)) == expected


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_other_instructions_of_the_processor_draw_the_same_to_the_bit(capability):
    code = (
        "import torch; from edudiff.data import drawing, scenes\n"
        "some = scenes.scenes(range(24), scenes.RICH_WORLD, 'all')\n"
        "print(drawing.draw(some, 64).view(torch.int32).long().sum().item())"
    )
    settings = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == draw(SOME, 64).view(torch.int32).long().sum().item()


def test_a_seed_has_the_same_labels_on_every_machine():
    assert fingerprint(label_maps(SOME, 64)) == "350a5af591dee109"


def test_pictures_are_between_minus_one_and_one():
    pictures = draw(SOME, 32)
    assert pictures.shape == (24, 3, 32, 32)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= -1
    assert pictures.max() <= 1


def test_a_picture_does_not_depend_on_the_others():
    alone = torch.cat([draw([one], 32) for one in SOME])
    assert torch.equal(draw(SOME, 32), alone)


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_a_scene_looks_the_same_at_every_size(size):
    large = shrunk(draw(SOME, 256), size)
    # The share by the distance is not quite the covered area where an outline bends or two meet.
    difference = (draw(SOME, size) - large).abs()
    assert difference.mean() < 0.16 / size
    assert difference.max() < 0.8


@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.25, 0.5), (0.5, 0.25)])
def test_a_window_is_the_crop_of_a_larger_drawing(corner):
    left, top = corner
    window = torch.tensor([[left, top, left + 0.5, top + 0.5]]).expand(len(SOME), 4)
    x, y = int(left * 128), int(top * 128)
    crop = draw(SOME, 128)[:, :, y : y + 64, x : x + 64]
    torch.testing.assert_close(draw(SOME, 64, windows=window), crop, atol=1e-4, rtol=0)


def test_the_labels_of_a_window_are_the_crop_of_larger_labels():
    window = torch.tensor([[0.25, 0.25, 0.75, 0.75]]).expand(len(SOME), 4)
    crop = label_maps(SOME, 128)[:, 32:96, 32:96]
    # A pixel that is covered by just a half may be rounded to either side.
    assert (label_maps(SOME, 64, windows=window) == crop).float().mean() > 0.999


def test_beyond_the_edge_of_a_scene_there_is_background():
    scene = Scene((Object("circle", "red", 0.5, 0.5, 0.4),), None, DARK)
    picture = draw([scene], 64, windows=torch.tensor([[-0.5, -0.5, 1.5, 1.5]]))
    torch.testing.assert_close(picture[:, :, :16], torch.full((1, 3, 16, 64), 0.12 * 2 - 1))


@pytest.mark.parametrize("colour", PALETTE)
@pytest.mark.parametrize("shape", OUTLINES)
def test_the_inside_has_the_colour_of_the_palette(shape, colour):
    scene = Scene((Object(shape, colour, 0.5, 0.5, 0.4),), None, DARK)
    inside = label_maps([scene], 64)[0] == 1 + list(OUTLINES).index(shape)
    middle = draw([scene], 64)[0][:, inside].median(1).values
    torch.testing.assert_close(middle, torch.tensor(PALETTE[colour]) * 2 - 1)


def test_the_first_object_is_nearest_to_the_eye():
    red, blue = Object("circle", "red", 0.5, 0.5, 0.2), Object("square", "blue", 0.5, 0.5, 0.4)
    middles = draw([Scene(things, None, DARK) for things in ((red, blue), (blue, red))], 32)
    for middle, colour in zip(middles[:, :, 16, 16], ("red", "blue"), strict=True):
        torch.testing.assert_close(middle, torch.tensor(PALETTE[colour]) * 2 - 1)


def test_labels_say_what_is_seen():
    red, blue = Object("circle", "red", 0.5, 0.5, 0.2), Object("square", "blue", 0.5, 0.5, 0.4)
    labels = label_maps([Scene((red, blue), None, DARK)], 32)[0]
    names = list(OUTLINES)
    assert labels[16, 16] == 1 + names.index("circle")
    assert labels[16, 5] == 1 + names.index("square")
    assert labels[0, 0] == 0


@pytest.mark.parametrize("angle", range(0, 360, 45))
@pytest.mark.parametrize("kind", GREYS)
def test_backgrounds_are_grey_and_stay_between_their_levels(kind, angle):
    picture = (draw([Scene((), None, Background(*kind, angle))], 64)[0] + 1) / 2
    assert torch.equal(picture[0], picture[1])
    assert torch.equal(picture[0], picture[2])
    assert min(GREYS[kind]) - 1e-6 <= picture.min()
    assert picture.max() <= max(GREYS[kind]) + 1e-6


@pytest.mark.parametrize("angle", range(0, 360, 45))
def test_a_gradient_runs_the_other_way_when_turned_by_half(angle):
    there, back = (
        draw([Scene((), None, Background("light", "gradient", turn))], 32)[0]
        for turn in (angle, (angle + 180) % 360)
    )
    torch.testing.assert_close(there + back, torch.full_like(there, 2 * (0.98 + 0.62) - 2))


def test_there_are_four_pairs_of_stripes_across():
    row = draw([Scene((), None, Background("dark", "striped", 0))], 64)[0, 0, 32]
    light = row > row.mean()
    assert int((light[1:] != light[:-1]).sum()) == 8


def test_two_thousand_pictures_are_made_and_drawn_in_a_second():
    torch.set_num_threads(1)
    fastest = min(_seconds() for _ in range(5))
    # Half of that on a busy machine.
    assert 256 / fastest > 1000


def _seconds():
    start = time.process_time()
    draw(scenes(range(256)), 64)
    return time.process_time() - start


def test_no_scenes_are_refused(refusal):
    with refusal("scenes: expected a whole number ≥ 1, got 0"):
        draw([], 64)


@pytest.mark.parametrize("size", [15, 257, 0, -64])
def test_a_size_out_of_range_is_refused(size, refusal):
    with refusal("size: expected a whole number from 16 to 256, got"):
        draw(SOME, size)


def test_another_number_of_windows_is_refused(refusal):
    with refusal("windows: expected 2, one a scene, got 1"):
        draw(SOME[:2], 64, windows=torch.tensor([[0.0, 0.0, 1.0, 1.0]]))


@pytest.mark.parametrize(
    "window", [[0.0, 0.0, 1.0, 0.5], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 0.0, 0.0]]
)
@pytest.mark.parametrize("function", [draw, label_maps])
def test_a_window_that_is_not_square_is_refused(window, function, refusal):
    with refusal("windows: expected squares"):
        function(SOME[:1], 64, windows=torch.tensor([window]))
