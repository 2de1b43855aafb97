"""The table of equations and tests, on a small book; and that of the book itself."""

from pathlib import Path

import pytest

import equations

ROOT = Path(__file__).resolve().parents[2]
MATH = "\n```{math}\n:label: eq-sum\n1 + 1 = 2\n```\n"
GOOD = "eq-sum: tests/test_a.py::test_b\n"
TEST = "import nothing_of_this_name\n\n\ndef test_b():\n    assert 1 + 1 == 2\n"


@pytest.fixture
def book(book):
    """A book of one page with one numbered equation, and one test."""
    (book.root / "tests").mkdir()
    (book.root / "tests" / "test_a.py").write_text(TEST)
    (book.root / equations.TABLE).write_text(GOOD)
    book.write(MATH)
    return book


def table(book, text):
    (book.root / equations.TABLE).write_text(text)
    return equations.complaints(book.root)


def test_every_equation_of_the_book_has_a_test():
    assert equations.complaints(ROOT) == []


def test_an_equation_with_a_test_is_in_order(book):
    assert equations.complaints(book.root) == []


def test_an_equation_without_a_test_is_named_with_its_line(book):
    book.write("\nText.\n" + MATH.replace("eq-sum", "eq-new"), name="03-other")
    (complaint,) = equations.complaints(book.root)
    assert complaint.startswith(f"book/03-other.md:{book.first_line + 3}: the equation 'eq-new'")


def test_a_formula_without_a_label_needs_no_test(book):
    book.write("\n```{math}\na = b\n```\n\n$$ c = d $$\n", name="03-other")
    assert equations.complaints(book.root) == []


def test_an_equation_inside_a_box_counts(book):
    book.write("\n````{note}\n" + MATH.replace("eq-sum", "eq-in") + "````\n", name="03-other")
    assert "the equation 'eq-in' has no test" in equations.complaints(book.root)[0]


@pytest.mark.parametrize("test", ["tests/test_a.py::test_c", "tests/no.py::test_b", "test_b"])
def test_a_test_that_is_not_there_is_named_with_the_tables_line(test, book):
    found = table(book, f"# first\neq-sum: {test}\n")
    assert found == [f"book/equations.yml:2: there is no test {test}"]


def test_a_helper_is_no_test(book):
    (book.root / "tests" / "test_a.py").write_text("def helper():\n    pass\n")
    assert table(book, "eq-sum: tests/test_a.py::helper\n") != []


def test_a_label_that_is_not_in_the_book_is_named(book):
    found = table(book, GOOD + "eq-old: tests/test_a.py::test_b\n")
    assert found == ["book/equations.yml:2: no equation of the book has the label 'eq-old'"]


@pytest.mark.parametrize("mark", ["skip", "skip('later')", "xfail(strict=True)"])
def test_a_test_that_is_never_run_holds_nothing(mark, book):
    marked = f"import pytest\n\n\n@pytest.mark.{mark}\ndef test_b():\n    pass\n"
    (book.root / "tests" / "test_a.py").write_text(marked)
    (complaint,) = equations.complaints(book.root)
    assert "book/equations.yml:1: the test test_b is marked" in complaint


def test_an_equation_may_have_several_tests(book):
    (book.root / "tests" / "test_a.py").write_text(TEST + "\n\ndef test_c():\n    pass\n")
    assert table(book, "eq-sum:\n  - tests/test_a.py::test_b\n  - tests/test_a.py::test_c\n") == []
    assert table(book, "eq-sum:\n  - tests/test_a.py::test_b\n  - tests/test_a.py::test_d\n") == [
        "book/equations.yml:3: there is no test tests/test_a.py::test_d"
    ]


@pytest.mark.parametrize("text", ["", "- a\n", "eq-sum:\n  a: b\n"])
def test_what_is_no_table_is_refused(text, book, refusal):
    with refusal("book/equations.yml:"):
        table(book, text)


def test_the_list_has_chapter_number_formula_and_a_link_to_the_tests_line(book):
    found = equations.listing(book.root, "https://github.com/org/repo", "v1")
    assert found == (
        "## 02 · The page\n\n"
        "Equation {eq}`eq-sum`, held by "
        "[`test_b`](https://github.com/org/repo/blob/v1/tests/test_a.py#L4)\n\n"
        "```{math}\n1 + 1 = 2\n```\n"
    )


def test_a_book_with_an_equation_that_has_no_test_is_not_built(book):
    (book.root / equations.TABLE).write_text("eq-else: tests/test_a.py::test_b\n")
    with pytest.raises(SystemExit, match="the equation 'eq-sum' has no test"):
        equations.require_tests(book.root)


def test_a_book_in_order_is_built(book):
    assert equations.require_tests(book.root) is None
