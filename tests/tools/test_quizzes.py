"""A question becomes unfolding choices in a notebook, or is refused by file and line."""

import pytest
from markdown_it import MarkdownIt

QUIZ = """\
:::{quiz} How large is $x$ in `f`?
- [ ] As `a < b` *or* more
  One paragraph, see {eq}`e`.

  And another.
- [x] $x = 1$
  So says the formula.
- [ ] Nothing
  It is something.
:::"""
FORMULA = "```{math}\n:label: e\nx = 1\n```"


def test_a_question_is_numbered_with_the_chapter(book):
    made = book.markdown(f"{QUIZ}\n\n{QUIZ}\n\n{FORMULA}")
    assert "**Question 2.1.** How large is $x$ in `f`?\n\n<details>" in made
    assert "**Question 2.2.** How large" in made


def test_numbering_goes_on_behind_a_code_cell(book):
    made = book.cells(f"{QUIZ}\n\n{FORMULA}\n\n```{{code-cell}} ipython3\n1\n```\n\n{QUIZ}")
    assert made[2].source.startswith("**Question 2.2.**")


def test_each_choice_is_a_native_element_that_unfolds(book):
    made = book.markdown(f"{QUIZ}\n\n{FORMULA}")
    assert made.count("<details>") == made.count("</details>") == made.count("</summary>") == 3


def test_code_and_emphasis_in_a_choice_become_html(book):
    made = book.markdown(f"{QUIZ}\n\n{FORMULA}")
    assert "<summary>A. As <code>a &lt; b</code> <em>or</em> more</summary>\n\n" in made


def test_a_choice_with_a_formula_is_left_to_the_notebook_program(book):
    made = book.markdown(f"{QUIZ}\n\n{FORMULA}")
    assert "<details>\n<summary>B.\n\n$x = 1$\n\n</summary>\n\n" in made


def test_feedback_begins_with_its_verdict(book):
    made = book.markdown(f"{QUIZ}\n\n{FORMULA}")
    first = "**Not quite.** One paragraph, see (1).\n\nAnd another.\n\n</details>"
    assert f"</summary>\n\n{first}" in made
    assert "\n\n**Right.** So says the formula.\n\n</details>" in made
    assert "\n\n**Not quite.** It is something.\n\n</details>" in made


def test_markdown_nests_its_elements_as_they_are_meant(book):
    html = MarkdownIt("commonmark").render(book.markdown(f"{QUIZ}\n\n{FORMULA}"))
    assert html.count("<details>\n<summary>") == 3
    assert "<summary>B.\n<p>$x = 1$</p>\n</summary>\n<p><strong>Right.</strong>" in html


REFUSED = {
    "no question": (QUIZ.replace(" How large is $x$ in `f`?", ""), 1, "a quiz needs its question"),
    "no right choice": (QUIZ.replace("[x]", "[ ]"), 1, "a quiz: expected one right choice"),
    "two right choices": (QUIZ.replace("[ ]", "[x]", 1), 1, "a quiz: expected one right choice"),
    "two choices": (
        QUIZ.replace("- [ ] Nothing\n  It is something.\n", ""),
        1,
        "a quiz: expected 3 choices or more, got 2",
    ),
    "no choices": (":::{quiz} Why?\n:::", 1, "a quiz: expected 3 choices or more, got 0"),
    "no feedback": (QUIZ.replace("  So says the formula.\n", ""), 6, "a choice needs feedback"),
    "no feedback at the end": (QUIZ.replace("  It is something.\n", ""), 8, "a choice needs"),
    "words before the choices": (QUIZ.replace("?\n", "?\nTell.\n", 1), 2, "a quiz holds choices"),
    "only words": (":::{quiz} Why?\nBecause.\n:::", 2, "a quiz holds choices"),
    "a choice without its box": (QUIZ.replace("- [ ] No", "- No"), 8, "feedback is indented"),
    "feedback at the margin": (QUIZ.replace("  So", "So"), 7, "feedback is indented by two"),
    "a role in a choice": (QUIZ.replace("Nothing", "See {eq}`e`"), 8, "a choice holds no link"),
    "a link in a choice": (
        QUIZ.replace("Nothing", "[this](https://example.org)"),
        8,
        "a choice holds no link",
    ),
    "an unknown role in feedback": (QUIZ.replace("{eq}", "{foo}"), 3, "unknown role 'foo'"),
    "an option": (QUIZ.replace("?\n", "?\n:label: a\n", 1), 2, "unknown option of 'quiz'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case, refused):
    body, line, message = REFUSED[case]
    assert refused(f"{body}\n\n{FORMULA}", line).startswith(message)
