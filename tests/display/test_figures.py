import numpy as np
import pytest
import torch
from PIL import Image

from edudiff.display.figures import grid, images, kind, show, shown_width
from edudiff.display.html import Html
from edudiff.display.style import axes


def picture(width: int, height: int = 4) -> Image.Image:
    return Image.new("L", (width, height))


def test_a_shown_picture_is_markup_for_a_notebook(tags):
    shown = show(torch.zeros(8, 8), alt="a grey square")
    assert isinstance(shown, Html)
    assert len(tags(shown._repr_html_(), "img")) == 1


def test_a_shown_picture_has_its_description(tags):
    (image,) = tags(show(torch.zeros(8, 8), alt="a grey square").markup, "img")
    assert image["alt"] == "a grey square"


def test_a_shown_picture_carries_its_own_pixels(tags, decoded):
    ramp = torch.linspace(-1, 1, 64).reshape(8, 8)
    (image,) = tags(show(ramp, alt="a ramp").markup, "img")
    expected = np.round((ramp.double().numpy() + 1) / 2 * 255)
    np.testing.assert_array_equal(decoded(image["src"])[..., 0], expected)


def test_a_caption_is_printed_below():
    assert (
        "<figcaption>Look here.</figcaption>"
        in show(torch.zeros(8, 8), alt="a square", caption="Look here.").markup
    )


def test_there_is_no_empty_caption(tags):
    assert tags(show(torch.zeros(8, 8), alt="a square").markup, "figcaption") == []


def test_a_terminal_shows_the_description():
    assert repr(show(torch.zeros(8, 8), alt="a grey square")) == "a grey square"


@pytest.mark.parametrize("alt", ["", "  \n", None])
def test_a_picture_without_a_description_is_refused(alt, refusal):
    with refusal("alt: expected a sentence that describes the picture"):
        show(torch.zeros(8, 8), alt=alt)


def test_what_is_not_a_picture_is_refused(refusal):
    with refusal("picture: expected a tensor"):
        show(torch.zeros(2, 2, 2, 2), alt="four axes")


@pytest.mark.parametrize(("width", "scale"), [(8, 32), (100, 2), (128, 2), (129, 1), (512, 1)])
def test_small_pictures_are_enlarged_by_whole_numbers(width, scale):
    image = picture(width)
    assert shown_width(image, image, None, 160) == scale * width


def test_a_given_scale_is_kept():
    image = picture(8)
    assert shown_width(image, image, 5, 160) == 40


def test_a_figure_is_a_hundred_screen_pixels_to_the_inch():
    figure, _ = axes(size=(6.4, 3.6))
    assert shown_width(figure, picture(1024, 576), None, 160) == 640


def test_the_height_keeps_the_proportions(tags):
    (image,) = tags(show(torch.zeros(4, 8), alt="a wide picture").markup, "img")
    assert (image["width"], image["height"]) == ("256", "128")


def test_a_figure_is_a_plot_and_turns_dark_with_the_page():
    figure, _ = axes()
    assert kind(figure, picture(1024)) == ("plot",)


@pytest.mark.parametrize(("width", "classes"), [(512, ("picture", "pixels")), (513, ("picture",))])
def test_a_picture_keeps_its_colours_and_small_ones_their_pixels(width, classes):
    image = picture(width)
    assert kind(image, image) == classes


def test_the_kind_is_written_into_the_markup(tags):
    (figure,) = tags(show(torch.zeros(8, 8), alt="a square").markup, "figure")
    assert figure["class"] == "edudiff-figure picture pixels"


# Grids.


def numbered(count: int) -> torch.Tensor:
    """Pictures of 2 × 3 pixels, each of one grey, darker to lighter."""
    return torch.linspace(-1, 1, count)[:, None, None, None].expand(count, 1, 2, 3)


def greys(sheet: Image.Image, rows: int, columns: int) -> list[list[int | None]]:
    """The grey of each cell, or None where the sheet is transparent."""
    values = np.asarray(sheet)[::3, ::4]
    assert values.shape[:2] == (rows, columns)
    return [[int(cell[0]) if cell[3] else None for cell in row] for row in values]


def test_a_grid_is_read_row_by_row():
    assert greys(grid(numbered(6), columns=3), 2, 3) == [[0, 51, 102], [153, 204, 255]]


def test_a_grid_that_is_not_full_ends_in_nothing():
    assert greys(grid(numbered(4), columns=3), 2, 3) == [[0, 85, 170], [255, None, None]]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_a_grid_is_nearly_square_unless_told_otherwise(count, columns):
    assert grid(numbered(count)).width == 4 * columns - 1


def test_pictures_stand_one_transparent_pixel_apart():
    sheet = np.asarray(grid(numbered(6), columns=3))
    assert not sheet[2, :, 3].any()
    assert not sheet[:, [3, 7], 3].any()


def test_the_outer_edge_has_no_gap():
    assert grid(numbered(6), columns=3).size == (3 * 3 + 2, 2 * 2 + 1)


def test_a_grid_takes_any_pictures_of_one_size():
    sheet = grid([np.zeros((2, 3)), torch.ones(2, 3), picture(3, 2)], columns=3)
    assert greys(sheet, 1, 3) == [[0, 255, 0]]


def test_a_grid_keeps_colours():
    red = np.zeros((2, 3, 3))
    red[..., 0] = 1
    assert grid([red]).getpixel((0, 0)) == (255, 0, 0, 255)


def test_pictures_of_other_sizes_are_refused(refusal):
    with refusal(r"all of one size, got sizes \[\(3, 2\), \(4, 2\)\]"):
        grid([torch.zeros(2, 3), torch.zeros(2, 4)])


@pytest.mark.parametrize("none", [[], torch.zeros(0, 1, 2, 3)], ids=["list", "batch"])
def test_a_grid_of_nothing_is_refused(none, refusal):
    with refusal("pictures: expected at least one"):
        grid(none)


def test_a_grid_without_columns_is_refused(refusal):
    with refusal("columns: expected a whole number ≥ 1, got 0"):
        grid(numbered(2), columns=0)


def test_images_shows_the_grid_with_one_description(tags, decoded):
    batch = numbered(4)
    (image,) = tags(images(batch, alt="four greys", columns=4).markup, "img")
    assert image["alt"] == "four greys"
    expected = np.asarray(grid(batch, columns=4))
    found = decoded(image["src"])
    np.testing.assert_array_equal(found[..., 3], expected[..., 3])
    np.testing.assert_array_equal(found[expected[..., 3] > 0], expected[expected[..., 3] > 0])


def test_images_passes_on_caption_and_scale(tags):
    markup = images(numbered(4), alt="four greys", caption="Look.", columns=4, scale=3).markup
    assert tags(markup, "img")[0]["width"] == str(3 * 15)
    assert "<figcaption>Look.</figcaption>" in markup


def test_images_without_a_description_are_refused(refusal):
    with refusal("alt: expected a sentence"):
        images(numbered(4), alt="")
