"""What is made of docstrings on their way to the page."""

from types import SimpleNamespace

import pytest

import reference_extension
from reference_extension import add_to_page, as_rst, finish_page, modules, reference, translated


def made_of(docstring):
    return "\n".join(translated(docstring.split("\n"))).rstrip()


@pytest.fixture
def source(tmp_path):
    """A package with two rooms."""
    for name in (
        "layers/__init__.py",
        "layers/lora.py",
        "layers/more/deep.py",
        "layers/attention.py",
        "exercises/catalogue.py",
        "exercises/unet.py",
    ):
        path = tmp_path / "src" / "edudiff" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "src"


def test_a_room_lists_its_modules_and_those_of_its_folders_last(source):
    names = [f"edudiff.layers.{name}" for name in ("attention", "lora", "more.deep")]
    assert list(modules("layers", source)) == names


def test_of_the_exercises_only_what_readers_call_is_listed(source):
    assert list(modules("exercises", source)) == ["edudiff.exercises.catalogue"]


def test_every_module_has_a_heading_and_its_docstrings(source):
    text = reference("exercises", source)
    assert text.startswith("## exercises.catalogue\n")
    assert ".. automodule:: edudiff.exercises.catalogue\n   :members:\n" in text


def test_a_rooms_page_keeps_its_words_and_gets_the_modules(source):
    app, text = SimpleNamespace(srcdir=source.parent), ["# layers"]
    add_to_page(app, "book/api-layers", text)
    assert text[0].startswith("# layers\n## layers.attention")


def test_other_pages_stay_as_they_are(source):
    text = ["# A chapter"]
    add_to_page(SimpleNamespace(srcdir=source.parent), "book/03-forward-diffusion", text)
    assert text == ["# A chapter"]


def test_an_equation_without_a_test_is_a_warning_which_fails_the_build(monkeypatch, tmp_path):
    warned = []
    monkeypatch.setattr(reference_extension.log, "warning", warned.append)
    monkeypatch.setattr(reference_extension.equations, "complaints", lambda root: ["a:1: no test"])
    monkeypatch.setattr(
        reference_extension.equations, "listing", lambda root, *where: f"from {'@'.join(where)}"
    )
    theme = {"repository_url": "https://x", "repository_branch": "v1"}
    app = SimpleNamespace(srcdir=tmp_path, config=SimpleNamespace(html_theme_options=theme))
    text = ["# Equations"]
    add_to_page(app, "book/equations", text)
    assert warned == ["a:1: no test"] and text == ["# Equations\nfrom https://x@v1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("`x0` is clean", "``x0`` is clean"),
        ("a stack of `Layer`s", r"a stack of ``Layer``\ s"),
        ("`Config(r,\nalpha)` in peft", "``Config(r,\nalpha)`` in peft"),
        ("|p − c|² and *b", r"\|p − c\|² and \*b"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("lora_A and a_ and x_t", r"lora_A and a\_ and x_t"),
    ],
)
def test_only_backticks_are_markup(words, expected):
    assert as_rst(words) == expected


def test_a_formula_set_apart_stays_as_it_is_laid_out():
    found = made_of("One step.\n\n    x_t = a * b*\n        + c\n\nMore.")
    assert found == "One step.\n\n::\n\n        x_t = a * b*\n            + c\n\nMore."


def test_a_drawing_at_the_margin_stays_as_it_is_laid_out():
    found = made_of("Nested.\n\nx ─ down ─ up\n      └ in ┘")
    assert found == "Nested.\n\n::\n\n    x ─ down ─ up\n          └ in ┘"


def test_a_list_stays_a_list():
    text = "Some:\n\n * one `a`\n   and on\n * two"
    assert made_of(text) == text.replace("`a`", "``a``")


def test_sections_are_left_to_napoleon():
    text = "Sum.\n\nArgs:\n    x: the *first*, `x`\n        of all.\n\nSource:\n    A."
    assert made_of(text) == text.replace("`x`", "``x``").replace("*first*", r"\*first\*")


def test_parameters_stand_in_boxes_that_html_knows():
    signature = '<dt class="sig sig-object py"><dl>\n<dd>x: int,</dd>\n</dl>\n)</dt>'
    context = {"body": signature + "<dl><dd>kept</dd></dl>"}
    finish_page(None, "book/api-layers", "page.html", context, None)
    assert context["body"] == (
        '<dt class="sig sig-object py"><div class="edudiff-parameters">\n<div>x: int,</div>\n'
        "</div>\n)</dt><dl><dd>kept</dd></dl>"
    )


def test_a_page_without_a_body_passes():
    context = {}
    finish_page(None, "search", "page.html", context, None)
    assert context == {}
