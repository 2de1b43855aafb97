"""Every kind of picture file comes out upright and in its colours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edudiff.data.pictures import read_rgb, square


def load_saved(image: Image.Image, path: Path, size: int = 2, **options) -> torch.Tensor:
    image.save(path, **options)
    return square(read_rgb(path), size)


def everywhere(*channels: float) -> torch.Tensor:
    return torch.tensor(channels).float()[:, None, None].expand(3, 2, 2)


KINDS = {
    "black": (Image.new("RGB", (4, 4), (0, 0, 0)), (-1, -1, -1)),
    "red": (Image.new("RGB", (4, 4), (255, 0, 0)), (1, -1, -1)),
    "grey": (Image.new("L", (4, 4), 51), (-0.6, -0.6, -0.6)),
    "one_bit": (Image.new("1", (4, 4), 1), (1, 1, 1)),
    "16_bits": (Image.fromarray(np.full((4, 4), 51 * 257, np.uint16)), (-0.6, -0.6, -0.6)),
    "opaque": (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), (1, -1, -1)),
    "transparent": (Image.new("RGBA", (4, 4), (0, 0, 0, 0)), (1, 1, 1)),
    "half_transparent": (Image.new("RGBA", (4, 4), (0, 0, 0, 102)), (0.2, 0.2, 0.2)),
    "grey_transparent": (Image.new("LA", (4, 4), (0, 102)), (0.2, 0.2, 0.2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_png_comes_out_in_its_colour(kind, tmp_path):
    image, expected = KINDS[kind]
    found = load_saved(image, tmp_path / "1.png")
    torch.testing.assert_close(found, everywhere(*expected))
    assert found.dtype == torch.float32


def palette() -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 0, 255, 0])
    return image


def test_a_palette_is_looked_up(tmp_path):
    found = load_saved(palette(), tmp_path / "1.png")
    torch.testing.assert_close(found, everywhere(-1, 1, -1))


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_colour_of_a_palette_lies_on_white(suffix, tmp_path):
    found = load_saved(palette(), tmp_path / f"1.{suffix}", transparency=1)
    torch.testing.assert_close(found, everywhere(1, 1, 1))


def test_a_transparent_colour_without_a_palette_lies_on_white(tmp_path):
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    found = load_saved(image, tmp_path / "1.png", transparency=(9, 9, 9))
    torch.testing.assert_close(found, everywhere(1, 1, 1))


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk_becomes_rgb(suffix, tmp_path):
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    found = load_saved(cyan, tmp_path / f"1.{suffix}")
    torch.testing.assert_close(found, everywhere(-1, 1, 1), atol=0.03, rtol=0)  # JPEG is lossy


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    found = load_saved(frames[0], tmp_path / "1.gif", save_all=True, append_images=frames[1:])
    torch.testing.assert_close(found, everywhere(1, -1, -1))


SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
"""EXIF 2.3, tag Orientation → the sides of the scene where the file's first row and column lie."""


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    first_row, first_column = SIDES[orientation]
    pixels = upright.transpose(1, 0, 2) if first_row in ("left", "right") else upright
    pixels = pixels[::-1] if first_row in ("bottom", "right") else pixels
    return pixels[:, ::-1] if first_column in ("bottom", "right") else pixels


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_picture_taken_with_the_camera_turned_stands_upright(orientation, suffix, tmp_path):
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 0, 0]]], np.uint8)
    upright = corners.repeat(16, axis=0).repeat(16, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(as_stored(upright, orientation)))
    found = load_saved(stored, tmp_path / f"1.{suffix}", exif=exif, quality=100)
    expected = torch.from_numpy(corners).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(found, expected, atol=0.6, rtol=0)  # edges run into each other


@pytest.mark.parametrize("wide", [True, False])
def test_the_central_square_is_kept(wide, tmp_path):
    image = Image.new("RGB", (12, 4) if wide else (4, 12), "black")
    image.paste("white", (4, 0, 8, 4) if wide else (0, 4, 4, 8))
    found = load_saved(image, tmp_path / "1.png", size=4)
    assert torch.equal(found, torch.ones(3, 4, 4))


def test_scaling_down_averages(tmp_path):
    board = Image.fromarray((255 * (np.indices((64, 64)).sum(0) % 2)).astype(np.uint8))
    found = load_saved(board, tmp_path / "1.png", size=8)
    torch.testing.assert_close(found, torch.zeros(3, 8, 8), atol=0.02, rtol=0)


def test_channels_and_rows_are_not_mixed_up(tmp_path):
    image = Image.new("RGB", (2, 2), "black")
    image.putpixel((1, 0), (0, 255, 0))  # x = 1, y = 0
    found = load_saved(image, tmp_path / "1.png")
    assert (found == 1).nonzero().tolist() == [[1, 0, 1]]


def test_floats_are_refused(tmp_path, refusal):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "1.tiff")
    with refusal("expected whole numbers, got floats, whose white is not known"):
        read_rgb(tmp_path / "1.tiff")


@pytest.mark.parametrize("number", [-1, 65_536])
def test_numbers_beyond_16_bits_are_refused(number, tmp_path, refusal):
    Image.fromarray(np.full((4, 4), number, np.int32)).save(tmp_path / "1.tiff")
    with refusal(rf"expected 16 bits, got numbers in \[{number}, {number}\]"):
        read_rgb(tmp_path / "1.tiff")


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(b"nonsense")
    with pytest.raises(OSError, match="cannot identify"):
        read_rgb(tmp_path / "1.png")


def test_a_size_below_one_is_refused(refusal):
    with refusal("size: expected a whole number ≥ 1, got 0"):
        square(Image.new("RGB", (4, 4)), 0)
