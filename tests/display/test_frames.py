import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from edudiff.display.frames import frames
from edudiff.display.html import Html
from edudiff.display.style import axes

ALTS = ["black", "grey", "white"]
ROWS, COLUMNS = 2, 3
TABLE = [[f"row {i}, column {j}" for j in range(COLUMNS)] for i in range(ROWS)]


def greys() -> torch.Tensor:
    return torch.tensor([-1.0, 0.0, 1.0])[:, None, None, None].expand(3, 1, 2, 2)


def one(**options: object) -> str:
    return frames(greys(), ALTS, "brightness", **options).markup


def table(**options: object) -> str:
    """Two sliders; the picture at row i and column j has the grey 100 i + j."""
    pictures = [[Image.new("L", (2, 2), 100 * i + j) for j in range(COLUMNS)] for i in range(ROWS)]
    return frames(pictures, TABLE, ("row", "column"), **options).markup


def visible(images: list[dict]) -> list[int]:
    return [index for index, image in enumerate(images) if "hidden" not in image]


def test_frames_is_markup_for_a_notebook():
    assert isinstance(frames(greys(), ALTS, "brightness"), Html)


def test_every_picture_is_there_in_order(tags, decoded):
    found = [int(decoded(image["src"])[0, 0, 0]) for image in tags(one(), "img")]
    assert found == [0, 128, 255]


def test_every_picture_has_its_own_description(tags):
    assert [image["alt"] for image in tags(one(), "img")] == ALTS


def test_one_picture_is_visible_and_the_others_are_hidden(tags):
    assert visible(tags(one(), "img")) == [0]


def test_the_visible_picture_is_the_one_to_start_with(tags):
    assert visible(tags(one(start=2), "img")) == [2]


def test_a_terminal_shows_the_description_of_the_first_picture():
    assert repr(frames(greys(), ALTS, "brightness", start=1)) == "grey"


def test_the_slider_has_one_stop_for_each_picture(tags):
    (knob,) = tags(one(start=1), "input")
    assert (knob["type"], knob["min"], knob["max"], knob["value"]) == ("range", "0", "2", "1")


def test_the_slider_has_a_name_and_says_its_value(tags):
    (knob,) = tags(one(values=["dark", "middling", "bright"], start=1), "input")
    assert (knob["aria-label"], knob["aria-valuetext"]) == ("brightness", "middling")


def test_the_slider_carries_the_names_of_its_stops(tags):
    (knob,) = tags(one(values=[0.1, 0.5, 0.9]), "input")
    assert json.loads(knob["data-values"]) == ["0.1", "0.5", "0.9"]


def test_stops_are_counted_from_one_unless_named(tags):
    (knob,) = tags(one(), "input")
    assert json.loads(knob["data-values"]) == ["1", "2", "3"]


def test_the_value_is_printed_beside_the_slider():
    markup = one(values=["dark", "middling", "bright"], start=2)
    assert re.search(r"<output>bright</output>", markup)


def test_the_knobs_are_hidden_until_the_script_shows_them(tags):
    (knobs,) = [div for div in tags(one(), "div") if div["class"] == "edudiff-knobs"]
    assert "hidden" in knobs


def test_the_script_travels_with_the_figure_and_asks_for_nothing(tags):
    assert tags(one(), "script") == [{}]
    assert "http" not in one()


def test_the_slider_lies_inside_the_figure(tags):
    (figure,) = tags(one(), "figure")
    assert figure["class"] == "edudiff-figure edudiff-frames picture pixels"
    assert one().index("<input") < one().index("</figure>")


def test_plots_turn_dark_with_the_page(tags):
    figures = [axes(size=(2.0, 1.0))[0] for _ in range(2)]
    (figure,) = tags(frames(figures, ["a", "b"], "step").markup, "figure")
    assert figure["class"] == "edudiff-figure edudiff-frames plot"


def test_plots_are_as_wide_on_the_screen_as_in_a_still_figure(tags):
    figures = [axes(size=(2.0, 1.0))[0] for _ in range(2)]
    assert {
        image["width"] for image in tags(frames(figures, ["a", "b"], "step").markup, "img")
    } == {"200"}


def test_a_caption_is_printed_below():
    assert "<figcaption>Move it.</figcaption>" in one(caption="Move it.")


def test_a_given_scale_is_kept(tags):
    assert {image["width"] for image in tags(one(scale=7), "img")} == {"14"}


def test_texts_cannot_break_out(tags):
    nasty = '</script>"><b>'
    markup = frames(greys(), [nasty] * 3, nasty, values=[nasty] * 3, caption=nasty).markup
    (knob,) = tags(markup, "input")
    assert tags(markup, "b") == []
    assert knob["aria-label"] == knob["aria-valuetext"] == nasty
    assert json.loads(knob["data-values"]) == [nasty] * 3


def notes_in(markup: str) -> list[tuple[str, bool]]:
    """Every note, and whether it is visible."""
    found = re.findall(r'<div class="edudiff-note"( hidden)?>(.*?)</div>', markup)
    return [(text, not hidden) for hidden, text in found]


def test_without_notes_there_is_nowhere_to_read_them():
    assert 'class="edudiff-note"' not in one() and "aria-live" not in one()


def test_only_the_note_of_the_visible_picture_is_shown():
    found = notes_in(one(notes=["a", "b", "c"], start=1))
    assert found == [("a", False), ("b", True), ("c", False)]


def test_notes_of_two_knobs_lie_as_the_pictures_do():
    found = notes_in(table(notes=TABLE, start=(1, 0)))
    assert found == [(text, text == "row 1, column 0") for row in TABLE for text in row]


def test_a_changing_note_is_read_aloud(tags):
    (place,) = [div for div in tags(one(notes=ALTS), "div") if "aria-live" in div]
    assert place["aria-live"] == "polite"


def test_a_note_cannot_break_out(tags):
    assert tags(one(notes=["<b>", "", "</div>"]), "b") == []


def test_too_few_notes_are_refused(refusal):
    with refusal(r"notes: expected an arrangement of sizes \(3,\)"):
        one(notes=["a"])


def test_two_knobs_lay_the_pictures_out_row_by_row(tags, decoded):
    found = [int(decoded(image["src"])[0, 0, 0]) for image in tags(table(), "img")]
    assert found == [0, 1, 2, 100, 101, 102]


def test_two_knobs_lay_the_descriptions_out_as_the_pictures(tags):
    found = [image["alt"] for image in tags(table(), "img")]
    assert found == [text for row in TABLE for text in row]


def test_the_first_knob_chooses_the_row_and_the_second_the_column(tags):
    first, second = tags(table(), "input")
    assert (first["aria-label"], first["max"]) == ("row", "1")
    assert (second["aria-label"], second["max"]) == ("column", "2")


@pytest.mark.parametrize(("start", "index"), [((0, 2), 2), ((1, 0), 3), ((1, 2), 5), (1, 4)])
def test_two_knobs_start_where_they_are_told(start, index, tags):
    assert visible(tags(table(start=start), "img")) == [index]


def test_two_knobs_stand_at_their_starts(tags):
    assert [knob["value"] for knob in tags(table(start=(1, 2)), "input")] == ["1", "2"]


def test_two_knobs_have_their_own_names_for_stops(tags):
    first, second = tags(table(values=(["a", "b"], [10, 20, 30])), "input")
    assert json.loads(first["data-values"]) == ["a", "b"]
    assert json.loads(second["data-values"]) == ["10", "20", "30"]


def test_a_tensor_of_pictures_by_rows_and_columns_is_a_table(tags, decoded):
    batch = torch.linspace(-1, 1, 6).reshape(2, 3, 1, 1, 1).expand(2, 3, 1, 2, 2)
    markup = frames(batch, TABLE, ("row", "column")).markup
    found = [int(decoded(image["src"])[0, 0, 0]) for image in tags(markup, "img")]
    assert found == [0, 51, 102, 153, 204, 255]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_stops_are_refused(count, refusal):
    with refusal("images: expected at least 2 stops for each slider, got"):
        frames(greys()[:count], ALTS[:count], "brightness")


def test_a_table_with_a_single_column_is_refused(refusal):
    with refusal("images: expected at least 2 stops for each slider, got"):
        frames([[greys()[0]], [greys()[1]]], [["a"], ["b"]], ("row", "column"))


def test_too_few_descriptions_are_refused(refusal):
    with refusal(r"alts: expected an arrangement of sizes \(3,\)"):
        frames(greys(), ALTS[:2], "brightness")


def test_a_table_with_a_short_row_is_refused(refusal):
    pictures = [[greys()[0]] * 3, [greys()[0]] * 2]
    with refusal(r"images: expected an arrangement of sizes \(2, 3\)"):
        frames(pictures, TABLE, ("row", "column"))


def test_a_table_whose_descriptions_have_a_short_row_is_refused(refusal):
    with refusal(r"alts: expected an arrangement of sizes \(2, 3\)"):
        frames([[greys()[0]] * 3] * 2, [TABLE[0], TABLE[1][:2]], ("row", "column"))


def test_a_single_row_of_pictures_for_two_sliders_is_refused(refusal):
    with refusal("images: expected"):
        frames([Image.new("L", (2, 2))] * 3, ALTS, ("row", "column"))


def test_a_single_row_of_figures_for_two_sliders_is_refused(refusal):
    with refusal("images: expected"):
        frames([axes()[0]] * 2, ["a", "b"], ("row", "column"))


def test_a_table_for_one_slider_is_refused(refusal):
    with refusal("expected"):
        frames([[greys()[0]] * 3] * 2, TABLE, "row")


def test_pictures_of_other_sizes_are_refused(refusal):
    with refusal("images: expected pictures of one size"):
        frames([torch.zeros(2, 2), torch.zeros(2, 3)], ["a", "b"], "width")


@pytest.mark.parametrize("alts", [["black", "", "white"], ["black", " ", "white"]])
def test_a_missing_description_is_refused(alts, refusal):
    with refusal("label and alts: expected a sentence"):
        frames(greys(), alts, "brightness")


def test_a_missing_label_is_refused(refusal):
    with refusal("label and alts: expected a sentence"):
        frames(greys(), ALTS, "")


def test_a_missing_second_label_is_refused(refusal):
    with refusal("label and alts: expected a sentence"):
        frames([[greys()[0]] * 3] * 2, TABLE, ("row", ""))


@pytest.mark.parametrize("label", [(), ("row", "column", "depth")])
def test_neither_one_nor_two_labels_are_refused(label, refusal):
    with refusal("label: expected one or two labels"):
        frames([[greys()[0]] * 3] * 2, TABLE, label)


@pytest.mark.parametrize("start", [-1, 3, (0, 0)])
def test_a_start_outside_is_refused(start, refusal):
    with refusal("start: expected stops inside the sizes"):
        one(start=start)


@pytest.mark.parametrize("start", [(2, 0), (0, 3), (0, -1), (0,), 2])
def test_a_start_outside_the_table_is_refused(start, refusal):
    with refusal("start: expected stops inside the sizes"):
        table(start=start)


def test_names_for_other_stops_are_refused(refusal):
    with refusal(r"values: expected one name for each stop, \[3\], got \[2\]"):
        one(values=["dark", "bright"])


def test_names_for_other_stops_of_a_table_are_refused(refusal):
    with refusal(r"values: expected one name for each stop, \[2, 3\], got \[3, 2\]"):
        table(values=(["a", "b", "c"], ["x", "y"]))


def test_what_is_not_a_picture_is_refused(refusal):
    with refusal("picture: expected"):
        frames(["a.png", "b.png"], ["a", "b"], "step")


def test_the_pictures_lose_nothing(tags, decoded):
    batch = torch.rand(2, 3, 5, 4) * 2 - 1
    markup = frames(batch, ["a", "b"], "step").markup
    for image, picture in zip(tags(markup, "img"), batch, strict=True):
        expected = np.round((picture.permute(1, 2, 0).double().numpy() + 1) / 2 * 255)
        np.testing.assert_array_equal(decoded(image["src"]), expected)
