import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb

from edudiff.display.style import INK, PALETTE, STYLE, axes, use_house_style


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_axes_are_not_registered_with_pyplot():
    before = plt.get_fignums()
    axes()
    assert plt.get_fignums() == before


def test_axes_gives_a_single_axes_by_itself():
    _, ax = axes()
    assert isinstance(ax, matplotlib.axes.Axes)


def test_axes_gives_an_array_of_rows_and_columns():
    _, array = axes(2, 3)
    assert array.shape == (2, 3)


def test_axes_has_the_given_size_in_inches():
    figure, _ = axes(size=(5.0, 2.0))
    assert figure.get_size_inches().tolist() == [5, 2]


def test_options_reach_matplotlib():
    _, (left, right) = axes(1, 2, sharey=True)
    assert left.get_shared_y_axes().joined(left, right)


def test_axes_are_drawn_in_the_house_style():
    _, ax = axes()
    assert not ax.spines["top"].get_visible()
    assert ax.xaxis.label.get_color() == INK
    assert ax.plot([0, 1])[0].get_color() == PALETTE[0]


def test_what_a_cell_adds_later_is_drawn_in_the_house_style_too():
    _, ax = axes()
    ax.plot([0, 1], label="later")
    assert not ax.legend().get_frame_on()


def test_the_house_style_stays_in_force():
    use_house_style()
    expected = matplotlib.RcParams(STYLE)
    assert {key: matplotlib.rcParams[key] for key in STYLE} == dict(expected)


def test_text_and_lines_stand_out_from_white_paper():
    # WCAG 2.1 asks for 4.5 : 1 for text and 3 : 1 for the parts of a drawing.
    contrast = {colour: 1.05 / (luminance(colour) + 0.05) for colour in (INK, *PALETTE)}
    assert contrast[INK] >= 4.5
    assert min(contrast.values()) >= 3


def test_no_two_colours_are_the_same():
    assert len({INK, *PALETTE}) == 1 + len(PALETTE)
