import torch

from edudiff.data import scenes, views
from edudiff.evaluation.sharpness import sharpness


def test_white_noise_has_the_root_of_twenty():
    noise = torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sharpness(noise), torch.full((4,), 20**0.5), atol=0.1, rtol=0)


def test_brightness_and_contrast_change_nothing():
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sharpness(0.3 * picture + 0.2), sharpness(picture))


def test_a_scene_drawn_smaller_is_less_sharp():
    some = scenes.scenes(range(20))
    found = [
        sharpness(views.draw_views(some, [views.View(original=size)] * 20)).mean().item()
        for size in (24, 36, 48, 64)
    ]
    assert found == sorted(found)
    assert found[0] < 0.5 * found[-1]


def test_a_picture_of_one_grey_has_none():
    assert sharpness(torch.full((1, 3, 8, 8), 0.5)).item() == 0
