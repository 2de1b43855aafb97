import pytest
from PIL import Image

from edudiff.display.html import STYLE, Html, figure, image_tag, require_alt

NASTY = "a \"quoted\" <b>bold</b> & 'sharp' picture"


def test_markup_is_what_a_notebook_shows():
    assert Html("<p>1</p>", "one")._repr_html_() == "<p>1</p>"


def test_the_text_is_what_a_terminal_shows():
    assert repr(Html("<p>1</p>", "one")) == "one"


def test_a_description_is_handed_back():
    assert require_alt("a dot") == "a dot"


@pytest.mark.parametrize("alt", ["", " \t\n", None, 3])
def test_a_missing_description_is_refused(alt, refusal):
    with refusal("label: expected a sentence that describes the picture, got"):
        require_alt(alt, "label")


def test_a_description_cannot_break_out_of_its_attribute(tags):
    markup = image_tag(Image.new("L", (2, 2)), NASTY, 4)
    (image,) = tags(markup, "img")
    assert image["alt"] == NASTY
    assert tags(markup, "b") == []


def test_a_picture_is_as_wide_as_asked_and_in_proportion(tags):
    (image,) = tags(image_tag(Image.new("L", (30, 20)), "a box", 90), "img")
    assert (image["width"], image["height"]) == ("90", "60")


def test_a_picture_is_visible_unless_hidden(tags):
    shown, hidden = (
        tags(image_tag(Image.new("L", (2, 2)), "a box", 4, hidden=hidden), "img")[0]
        for hidden in (False, True)
    )
    assert "hidden" not in shown
    assert "hidden" in hidden


def test_a_caption_cannot_break_out(tags):
    markup = figure("", NASTY)
    assert tags(markup, "b") == []
    assert "&lt;b&gt;" in markup


def test_the_classes_follow_the_house_class(tags):
    assert tags(figure("", None, "plot", "wide"), "figure") == [
        {"class": "edudiff-figure plot wide"}
    ]


def test_a_figure_brings_its_style_along():
    assert STYLE in figure("", None)


def test_a_figure_asks_for_nothing_from_elsewhere():
    markup = figure(image_tag(Image.new("L", (2, 2)), "a box", 4), "A box.")
    assert "http" not in markup
    assert "url(" not in markup


def test_the_body_stands_before_the_caption():
    markup = figure("<p>body</p>", "caption")
    assert markup.index("body") < markup.index("caption</figcaption>")
