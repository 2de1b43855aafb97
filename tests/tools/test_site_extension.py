from types import SimpleNamespace

import pytest

import site_extension

REPOSITORY = "https://github.com/somebody/something"


@pytest.fixture
def page(tmp_path):
    """Send a body through the extension as Sphinx would: `page(body, "book/01-a")`."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01-a.ipynb").write_text("{}")
    theme = {"repository_url": REPOSITORY, "repository_branch": "v9"}
    app = SimpleNamespace(srcdir=tmp_path, config=SimpleNamespace(html_theme_options=theme))

    def finish(name, **context):
        context["pathto"] = lambda path, resource: f"../{path}"
        site_extension.finish_page(app, name, "page.html", context, None)
        return context

    return finish


def test_a_chapter_gets_links_to_its_notebook(page):
    body = page("book/01-a", body="<h1>A</h1><p>Text</p>")["body"]
    address = "https://colab.research.google.com/github/somebody/something/blob/v9/notebooks"
    assert f'href="{address}/01-a.ipynb"' in body
    assert 'href="../notebooks/01-a.ipynb" download' in body
    assert body.index("</h1>") < body.index("Open in Colab") < body.index("Text")


def test_a_page_without_a_notebook_gets_none(page):
    assert page("book/intro", body="<h1>A</h1>")["body"] == "<h1>A</h1>"


def test_a_page_without_a_body_passes(page):
    assert "body" not in page("search")


def test_roles_that_do_not_fit_are_dropped(page):
    body = '<div class="citation" id="id1" role="doc-biblioentry">x</div>'
    assert page("book/references", body=body)["body"] == '<div class="citation" id="id1">x</div>'


def test_a_label_that_hides_the_words_is_dropped(page):
    body = '<summary aria-label="Toggle hidden content">\n<p>Show</p></summary>'
    assert page("book/intro", body=body)["body"] == "<summary>\n<p>Show</p></summary>"


@pytest.mark.parametrize(
    ("text", "tied"), [("{},", "{},"), ("({}).", "({})."), ("{}: so", "{}:"), ("“{}”", "“{}”")]
)
def test_punctuation_stays_with_its_formula(text, tied, page):
    formula = r'<span class="math notranslate">\(x_0\)</span>'
    body = page("book/intro", body=f"<p>{text.format(formula)}</p>")["body"]
    whole = f'<span class="edudiff-tied">{tied.format(formula)}</span>'
    assert body == f"<p>{text.format(formula).replace(tied.format(formula), whole)}</p>"


def test_a_formula_between_words_is_left_alone(page):
    body = r'<p>the <span class="math notranslate">\(x_0\)</span> of</p>'
    assert page("book/intro", body=body)["body"] == body


def test_live_code_is_not_loaded(page):
    files = [SimpleNamespace(filename="sphinx-thebe.js"), SimpleNamespace(filename="book.js")]
    context = page("book/intro", script_files=files)
    assert [file.filename for file in context["script_files"]] == ["book.js"]
