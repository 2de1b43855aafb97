import numpy as np
import pytest
import torch
from PIL import Image

from edudiff.display.encode import data_uri, to_image
from edudiff.display.style import axes


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def test_a_tensor_goes_from_minus_one_black_to_one_white():
    ramp = torch.tensor([[-1.0, 0.0, 1.0]])
    assert pixels(to_image(ramp)).tolist() == [[0, 128, 255]]


def test_an_array_of_floats_goes_from_zero_black_to_one_white():
    ramp = np.array([[0.0, 0.2, 1.0]])
    assert pixels(to_image(ramp)).tolist() == [[0, 51, 255]]


def test_an_array_of_bytes_is_taken_as_it_is():
    values = noise(4, 5, 3)
    np.testing.assert_array_equal(pixels(to_image(values)), values)


@pytest.mark.parametrize(
    "picture", [torch.tensor([[-7.0, 7.0]]), np.array([[-7.0, 7.0]])], ids=["tensor", "array"]
)
def test_values_outside_the_range_are_clamped(picture):
    assert pixels(to_image(picture)).tolist() == [[0, 255]]


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3)])
def test_a_tensor_with_one_channel_is_grey(shape):
    image = to_image(torch.zeros(shape))
    assert (image.mode, image.size) == ("L", (3, 2))


def test_a_tensor_with_three_channels_keeps_them_in_order():
    red_green_blue = torch.tensor([1.0, 0.0, -1.0])[:, None, None].expand(3, 2, 4)
    image = to_image(red_green_blue)
    assert (image.mode, image.size, image.getpixel((3, 1))) == ("RGB", (4, 2), (255, 128, 0))


def test_rows_stay_rows():
    image = to_image(torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
    assert pixels(image).tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_can_be_shown(dtype):
    assert pixels(to_image(torch.tensor([[-1.0, 1.0]], dtype=dtype))).tolist() == [[0, 255]]


def test_a_tensor_with_a_gradient_can_be_shown():
    assert to_image(torch.zeros(2, 2, requires_grad=True)).size == (2, 2)


def test_a_tensor_on_any_device_can_be_shown(device):
    assert to_image(torch.zeros(2, 2, device=device)).size == (2, 2)


def test_a_pillow_picture_is_taken_as_it_is():
    image = Image.new("RGBA", (3, 2))
    assert to_image(image) is image


@pytest.mark.parametrize("dpi", [50, 160])
def test_a_figure_is_drawn_at_its_size_in_inches(dpi):
    figure, _ = axes(size=(2.0, 1.0))
    assert to_image(figure, dpi=dpi).size == (2 * dpi, dpi)


def test_a_figure_has_a_white_ground():
    figure, ax = axes(size=(2.0, 1.0))
    ax.set_axis_off()
    assert to_image(figure, dpi=50).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("shape", [(), (4,), (2, 4, 4), (4, 4, 3), (1, 3, 4, 4)])
def test_a_tensor_that_is_not_a_picture_is_refused(shape, refusal):
    with refusal(r"picture: expected a tensor \(h, w\), \(1, h, w\) or \(3, h, w\), got"):
        to_image(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (3, 4, 4), (4, 4, 1), (1, 4, 4, 3)])
def test_an_array_that_is_not_a_picture_is_refused(shape, refusal):
    with refusal(r"picture: expected an array \(h, w\) or \(h, w, 3\), got"):
        to_image(np.zeros(shape))


@pytest.mark.parametrize(
    "picture",
    [torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(4, 4).bool(), np.zeros((4, 4), np.int64)],
    ids=["byte_tensor", "bool_tensor", "int_array"],
)
def test_whole_numbers_whose_range_nobody_said_are_refused(picture, refusal):
    with refusal("picture: expected"):
        to_image(picture)


@pytest.mark.parametrize("picture", ["picture.png", None, [[0.0, 1.0]]])
def test_what_is_not_a_picture_at_all_is_refused(picture, refusal):
    with refusal("picture: expected a tensor, an array, a Pillow picture or a figure"):
        to_image(picture)


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 7, 3), (9, 7, 4)])
def test_a_data_address_loses_nothing(shape, decoded):
    values = noise(*shape)
    values[..., 3:] |= 1  # the colour of what is quite transparent may go
    np.testing.assert_array_equal(decoded(data_uri(Image.fromarray(values))), values)


def test_a_grey_picture_loses_nothing(decoded):
    values = noise(9, 7)
    found = decoded(data_uri(Image.fromarray(values)))
    np.testing.assert_array_equal(found[..., 0], values)


def test_what_is_transparent_stays_transparent(decoded):
    values = noise(9, 7, 4)
    values[..., 3] = 0
    assert not decoded(data_uri(Image.fromarray(values)))[..., 3].any()


def test_the_same_picture_has_the_same_address():
    image = Image.fromarray(noise(9, 7, 3))
    assert data_uri(image) == data_uri(image.copy())
