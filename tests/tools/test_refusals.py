"""What would not survive in a notebook is refused, by file and line."""

import pytest
import yaml

FORMULA = "```{math}\n:label: e\nx = 1\n```"
CODE = "\n\n```{code-cell} ipython3\n1 + 1\n```\n"
EXERCISE = """\
```{exercise} By hand
:label: page-1
What is $x$?
```
"""


def test_an_unknown_directive_is_refused_with_the_nearest(refused):
    message = refused("Words.\n\n```{notes}\n```", 3)
    assert message.startswith("unknown directive 'notes' (known: admonition, bibliography")
    assert message.endswith("nearest: note)")


def test_an_unknown_role_is_refused_with_the_nearest(refused):
    assert refused("A\nB {cite}`ho2020`.", 2) == (
        "unknown role 'cite' (known: cite:p, cite:t, doc, eq, ref; nearest: cite:t)"
    )


def test_an_unknown_directive_inside_another_is_refused_by_its_own_line(refused):
    assert "'foo'" in refused("````{note}\n:class: a\n\n```{foo}\n```\n````", 4)


def test_an_unknown_role_inside_a_directive_is_refused_by_its_own_line(refused):
    assert "'foo'" in refused("```{note}\n:class: a\nOne\ntwo {foo}`x`.\n```", 4)


def test_an_unknown_role_after_code_cells_is_refused_by_its_own_line(refused):
    assert "'foo'" in refused("A." + CODE + "\n\n\n{foo}`x`", 9)


def test_an_unknown_option_is_refused(refused):
    message = refused("```{math}\n:labels: e\nx\n```", 2)
    assert message == "unknown option of 'math' 'labels' (known: label; nearest: label)"


REFUSED = {
    "an unknown formula": ("{eq}`e`", 1, "unknown equation 'e' (known: none)"),
    "an unknown label": ("{ref}`l`", 1, "unknown label 'l' (known: none)"),
    "an unknown page": ("A\n{doc}`2-page`", 2, "unknown page '2-page' (known: 02-page; nearest"),
    "an unknown citation": ("{cite:t}`ho2021`", 1, "unknown citation key 'ho2021'"),
    "an unknown second citation": ("{cite:p}`ho2020, x`", 1, "unknown citation key 'x'"),
    "a label without a title": ("(l)=\nWords. {ref}`l`", 2, "'l' has no title of its own"),
    "a title with a role in it": (
        "(l)=\n## A {eq}`e`\n\n{ref}`l`\n\n" + FORMULA,
        4,
        "'l' has no title of its own",
    ),
    "a fence that is not closed": ("A\n\n~~~{note}\nB", 3, "the fence '~~~{note}' is not closed"),
    "a listing that is not closed": ("A\n\n~~~python\nB", 3, "the fence '~~~python' is not"),
    "a role that is not closed": ("A\nB {eq}`e.", 2, "the role that begins here is not closed"),
    "a formula that is not closed": ("$$\nx\n\ny", 1, "the formula that opens with '$$'"),
    "a blank line between dollars": ("$$\nx\n\ny\n$$", 1, "the formula that opens with '$$'"),
    "a formula numbered behind its dollars": ("$$\nx\n$$ (e)", 1, "a numbered formula is written"),
    "a formula numbered on its line": ("$$ x $$ (e)", 1, "a numbered formula is written"),
    "a blank line in a formula": ("```{math}\na\n\nb\n```", 1, "a formula is not empty and holds"),
    "colons without a directive": (":::\nA\n:::", 1, "colons fence directives only"),
    "a directive behind a bullet": ("- ```{note}\n  A\n  ```", 1, "a directive stands on a line"),
    "a directive in a quotation": ("> ```{note}\n> A\n> ```", 1, "a directive stands on a line"),
    "backticks in a title": ("```{note} A `b`\nC\n```", 1, "a line that opens a fence holds no"),
    "options between dashes": ("```{note}\n---\nclass: a\n---\nA\n```", 2, "options are written"),
    "an option given twice": ("```{note}\n:class: a\n:class: b\n```", 3, "the option 'class'"),
    "an admonition without a title": ("```{admonition}\nA\n```", 1, "an admonition needs a title"),
    "a missing picture": ("```{figure} no.png\n:alt: A\n```", 1, "there is no picture 'no.png'"),
    "a picture without words": ("```{figure} picture.png\n```", 1, "a figure needs an ':alt:'"),
    "a picture in running text": ("![a](picture.png)", 1, "a link within the book is written"),
    "a link to a file of the book": ("A\n[b](02-page.md)", 2, "a link within the book is written"),
    "a footnote": ("A[^1]", 1, "a footnote is not shown by Jupyter"),
    "a substitution": ("A {{ b }}", 1, "a substitution is not shown by Jupyter"),
    "an exercise without a label": ("```{exercise}\nA\n```", 1, "an exercise needs a ':label:'"),
    "an exercise in a note": ("````{note}\n" + EXERCISE + "````", 2, "'exercise' stands at the"),
    "an exercise in a list": ("- A\n\n  " + EXERCISE.replace("\n", "\n  "), 3, "'exercise' stands"),
    "a solution of nothing": ("```{solution} x\nA\n```", 1, "unknown exercise 'x' (known: none)"),
    "a solution that is not closed": (
        EXERCISE + "\n```{solution-start} page-1\n```\nA",
        6,
        "'solution-start' without a 'solution-end'",
    ),
    "a solution that was not opened": ("```{solution-end}\n```", 1, "'solution-end' without a"),
    "an exercise within a solution": (
        EXERCISE + "\n```{solution-start} page-1\n```\n\n" + EXERCISE.replace("-1", "-2"),
        9,
        "the solution of line ",
    ),
    "what is wrong within a solution": (
        EXERCISE + "\n```{solution-start} page-1\n```\n{foo}`x`\n\n```{solution-end}\n```",
        8,
        "unknown role 'foo'",
    ),
    "a label given twice": (FORMULA + "\n\n" + FORMULA, 6, "the label 'e' stands in book/02-"),
    "a code cell in another directive": ("````{note}" + CODE + "````", 3, "a code cell stands at"),
    "a code cell that is not closed": ("A\n\n```{code-cell}\n1\n", 3, "the code cell that begins"),
    "a raw cell": ("```{raw-cell}\nA\n```", 1, "a raw cell is shown by nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case, refused):
    body, line, message = REFUSED[case]
    assert refused(body, line).startswith(message)


def test_a_code_cell_that_ends_with_the_file_is_refused(refused):
    message = refused("```{code-cell} ipython3\n1 + 1\n", 1, code="")
    assert message == "the code cell that begins here is not closed"


def test_a_solution_of_another_page_s_exercise_is_refused(book, capsys):
    book.write(EXERCISE, "01-other")
    book.write("```{solution} page-1\nA\n```")
    assert book.run() == 2
    assert "the exercise 'page-1' stands on another page" in capsys.readouterr().err


def test_a_page_without_a_title_is_refused(book, capsys):
    (book.root / "book/02-page.md").write_text("Words.\n")
    assert book.run() == 2
    assert capsys.readouterr().err.startswith("book/02-page.md:1: the page has no title")


@pytest.mark.parametrize("key", ["repository.url", "repository.branch", "html.baseurl"])
def test_a_configuration_without_an_address_is_refused(book, capsys, key):
    config = yaml.safe_load((book.root / "_config.yml").read_text())
    section, name = key.split(".")
    del config[section][name]
    (book.root / "_config.yml").write_text(yaml.safe_dump(config))
    assert book.run() == 2
    assert capsys.readouterr().err == f"_config.yml:1: expected {key}, got nothing\n"


def test_a_reference_without_a_year_is_refused(book, capsys):
    (book.root / "book/references.bib").write_text("@misc{a, author = {B, C}, title = {D}}")
    assert book.run() == 2
    message = "book/references.bib:1: the entry 'a' needs an author and a year to be cited by\n"
    assert capsys.readouterr().err == message
