import ipywidgets
import pytest

from edudiff.display.explore import explore


def knob(widget: ipywidgets.Widget, name: str) -> ipywidgets.Widget:
    (found,) = [child for child in widget.children if getattr(child, "description", "") == name]
    return found


def test_the_function_is_called_again_when_a_knob_is_moved():
    seen = []
    widget = explore(lambda t: seen.append(t), t=(0, 10))
    knob(widget, "t").value = 7
    assert seen[-1] == 7


def test_what_the_function_returns_is_the_result():
    widget = explore(lambda a, b: a + 10 * b, a=(0, 10), b=(0, 10))
    knob(widget, "a").value = 3
    knob(widget, "b").value = 2
    assert widget.result == 23


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((0, 10), ipywidgets.IntSlider),
        ((0, 10, 2), ipywidgets.IntSlider),
        ((0.0, 1.0, 0.1), ipywidgets.FloatSlider),
        (["ddpm", "ddim"], ipywidgets.Dropdown),
        (True, ipywidgets.Checkbox),
        (ipywidgets.BoundedIntText(), ipywidgets.BoundedIntText),
    ],
)
def test_a_knob_for_each_kind_of_argument(given, kind):
    assert isinstance(explore(lambda x: None, x=given).children[0], kind)


def test_a_slider_has_the_given_ends_and_step():
    slider = knob(explore(lambda t: None, t=(2, 10, 4)), "t")
    assert (slider.min, slider.max, slider.step) == (2, 10, 4)


@pytest.mark.parametrize("given", [(0, 10), (0.0, 1.0)])
def test_a_slider_calls_when_it_is_let_go_and_not_on_the_way(given):
    assert knob(explore(lambda t: None, t=given), "t").continuous_update is False


def test_a_knob_without_a_way_to_wait_is_left_alone():
    assert not hasattr(knob(explore(lambda on: None, on=True), "on"), "continuous_update")


def test_the_function_shows_below_its_knobs():
    assert isinstance(explore(lambda t: None, t=(0, 10)).children[-1], ipywidgets.Output)


def test_no_knob_at_all_is_refused(refusal):
    with refusal("params: expected at least one knob"):
        explore(lambda: None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "cannot be transformed to a widget"),
        ((1, 2, 3, 4), "cannot be transformed to a widget"),
        ((10, 0), "must be between min and max"),
    ],
)
def test_what_no_knob_can_be_made_of_is_refused(given, message, refusal):
    with refusal(message):
        explore(lambda t: None, t=given)


def test_an_argument_without_a_knob_is_refused(refusal):
    with refusal("'eta'"):
        explore(lambda t, eta: None, t=(0, 10))
