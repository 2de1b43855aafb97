import pytest

from edudiff.display.encode import to_image
from edudiff.display.graph import LONGEST, PALETTE, WIDTH, _arrange, _routes, draw, rows

BOXES = {"load": ["Load", "a file"], "text": ["Text"], "noise": ["Noise"], "walk": ["Walk"]}
WIRES = [
    ("load", "text", "words"),
    ("load", "walk", "model"),
    ("text", "walk", "states"),
    ("noise", "walk", "latents"),
]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_box_stands_below_all_that_it_needs():
    depth = rows(list(BOXES), WIRES)
    assert all(depth[source] < depth[target] for source, target, _ in WIRES)


def test_a_box_stands_just_above_the_first_that_needs_it():
    assert rows(list(BOXES), WIRES) == {"load": 0, "text": 1, "noise": 1, "walk": 2}


def test_boxes_without_wires_stand_in_one_row():
    assert rows(["a", "b"], []) == {"a": 0, "b": 0}


def test_a_circle_is_refused(refusal):
    with refusal("wires: expected none that lead back"):
        rows(["a", "b"], [("a", "b", "x"), ("b", "a", "x")])


def test_a_wire_to_no_box_is_refused(refusal):
    with refusal("wires: expected ends among"):
        draw({"a": ["A"]}, [("a", "b", "x")])


@pytest.mark.parametrize("boxes", [{}, {"a": []}])
def test_no_box_and_a_box_without_a_title_are_refused(boxes, refusal):
    with refusal("boxes: expected at least one, each with a title"):
        draw(boxes, [])


def test_more_kinds_than_colours_are_refused(refusal):
    names = [str(k) for k in range(len(PALETTE) + 2)]
    wires = [(a, b, f"kind {a}") for a, b in zip(names, names[1:], strict=False)]
    with refusal("wires: expected at most 6 kinds, got 7"):
        draw({name: [name] for name in names}, wires)


def test_no_two_boxes_overlap():
    places, _ = _arrange(BOXES, WIRES)
    found = [places[name] for name in BOXES]
    for k, one in enumerate(found):
        for other in found[k + 1 :]:
            beside = one.x + WIDTH <= other.x or other.x + WIDTH <= one.x
            assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_a_wire_begins_below_its_box_and_ends_on_top_of_the_other():
    places, ways = _arrange(BOXES, WIRES)
    for points, (source, target, _) in zip(_routes(places, ways), WIRES, strict=True):
        above, below = places[source], places[target]
        assert points[0][1] == pytest.approx(above.y + above.height)
        assert points[-1][1] == pytest.approx(below.y)
        assert above.x < points[0][0] < above.x + WIDTH
        assert below.x < points[-1][0] < below.x + WIDTH


def test_a_wire_that_passes_a_row_goes_between_its_boxes():
    places, ways = _arrange(BOXES, WIRES)
    (passing,) = [way[1] for way in ways if len(way) == 3]
    middle = places[passing].x + places[passing].width / 2
    for name in ("text", "noise"):
        assert not places[name].x <= middle <= places[name].x + WIDTH


def test_wires_at_one_side_of_a_box_stand_apart():
    routes = _routes(*_arrange(BOXES, WIRES))
    assert len({points[-1][0] for points in routes if points[-1][1] > 1}) >= 3


def test_all_lines_of_all_boxes_are_written():
    assert sorted(texts(draw(BOXES, WIRES))) == sorted(t for box in BOXES.values() for t in box)


def test_a_long_line_is_cut_off_and_says_so():
    (seen,) = texts(draw({"a": ["x" * 50]}, []))
    assert len(seen) == LONGEST
    assert seen.endswith("…")


def test_each_kind_of_wire_has_a_colour_that_is_explained():
    (legend,) = draw(BOXES, WIRES).legends
    assert [text.get_text() for text in legend.get_texts()] == [w[2] for w in WIRES]


def test_the_whole_drawing_fits_into_the_figure():
    figure = draw(BOXES, WIRES)
    places, _ = _arrange(BOXES, WIRES)
    wide, high = figure.axes[0].get_xlim()[1], figure.axes[0].get_ylim()[0]
    assert all(p.x + p.width < wide and p.y + p.height < high for p in places.values())


def test_it_is_a_figure_that_can_be_shown():
    assert min(to_image(draw(BOXES, WIRES)).size) > 100
