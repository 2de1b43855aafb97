"""A question on the site: a named group of native elements that unfold."""

from io import StringIO

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

SAMPLE = """\
# Sample

:::{quiz} How large is $x$ in `f`?
- [ ] As `a < b` *or* more
  One paragraph.

  And another.
- [x] $x = 1$
  So says the *formula*.
- [ ] Nothing
  It is something.
:::

:::{quiz} Why?
- [x] A reason
  It is one.
- [ ] Another
  It is none.
- [ ] None
  There is one.
:::
"""


@pytest.fixture
def build(tmp_path):
    """Build a page with Sphinx: text → (its markup, what Sphinx complained of)."""

    def build(text):
        source, warnings = tmp_path / "source", StringIO()
        source.mkdir()
        (source / "04-sample.md").write_text(text, encoding="utf-8")
        settings = {
            "extensions": ["myst_parser", "quiz_directive"],
            "myst_enable_extensions": ["colon_fence", "dollarmath", "tasklist"],
            "root_doc": "04-sample",
            "html_theme": "basic",
        }
        places = (source, None, tmp_path / "html", tmp_path / "trees", "html")
        with docutils_namespace():
            Sphinx(*places, settings, status=None, warning=warnings).build()
        html = (tmp_path / "html" / "04-sample.html").read_text(encoding="utf-8")
        return BeautifulSoup(html, "html.parser"), warnings.getvalue()

    return build


@pytest.fixture
def groups(build):
    markup, complaints = build(SAMPLE)
    assert complaints == ""
    return markup.select("[role=group]")


def test_a_group_is_named_by_its_numbered_question(groups):
    for group, name in zip(
        groups, ["Question 4.1. How large is", "Question 4.2. Why?"], strict=True
    ):
        label = group.find(id=group["aria-labelledby"])
        assert label.get_text().startswith(name)


def test_its_anchor_holds_the_chapter_so_that_all_chapters_fit_on_one_page(groups):
    assert [each["aria-labelledby"] for each in groups] == ["question-4-1", "question-4-2"]


def test_choices_are_closed_native_elements_in_order(groups):
    summaries = [each.get_text() for each in groups[1].select("details:not([open]) > summary")]
    assert summaries == ["A. A reason", "B. Another", "C. None"]


def test_a_summary_holds_running_text_only(groups):
    for summary in (each for group in groups for each in group.select("summary")):
        assert {tag.name for tag in summary.find_all()} <= {"span", "code", "em"}


def test_formulas_and_code_in_a_choice_are_set(groups):
    first, second, _ = groups[0].select("summary")
    assert first.code.get_text() == "a < b"
    assert second.select_one("span.math").get_text() == r"\(x = 1\)"


def test_the_verdict_is_a_word_at_the_head_of_the_feedback(groups):
    verdicts = [
        each.find_next_sibling("p").strong.get_text() for each in groups[0].select("summary")
    ]
    assert verdicts == ["Not quite.", "Right.", "Not quite."]


def test_colour_follows_the_verdict(groups):
    kinds = [each["class"] for each in groups[1].select("details")]
    assert kinds == [["edudiff-right"], ["edudiff-wrong"], ["edudiff-wrong"]]


def test_feedback_may_have_paragraphs(groups):
    said = [each.get_text() for each in groups[0].details.find_all("p", recursive=False)]
    assert said == ["Not quite. One paragraph.", "And another."]


def test_it_needs_no_script(groups):
    assert all(not group.select("script, [onclick], input, button") for group in groups)


def test_a_question_without_its_answer_is_refused_by_its_line(build):
    _, complaints = build(SAMPLE.replace("[x]", "[ ]"))
    assert "04-sample.md:3: ERROR: a quiz: expected one right choice" in complaints
    assert "04-sample.md:14: ERROR: a quiz: expected one right choice" in complaints
