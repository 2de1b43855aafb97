"""How long chapters take: counted from their text, and put onto the pages that say so."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import site_extension
from chapter_times import Amount, amount, complete, table
from myst import pages

ROOT = Path(__file__).resolve().parents[2]
COST = "**Cost:** 20 s on two CPU cores, 500 MB of memory, nothing to download."
SOLUTION = """\
```{solution-start} page-1
:class: dropdown
```
Words of a solution.

```{code-cell} ipython3
solved = 1
```

```{solution-end}
```
"""
QUESTION = ":::{quiz} Which one?\n- [x] this\n  Yes, indeed.\n- [ ] that\n  No, never.\n:::\n"


@pytest.fixture
def counted(book):
    """What there is to read on the page of this text, less its title and its one line of code."""

    def counted(text):
        book.write(text)
        path = book.root / "book" / "02-page.md"
        found = amount(pages.read(path, book.root))
        return Amount(found.words - 2, found.lines - 1, found.formulas)

    return counted


def test_words_are_those_of_prose_without_code_and_formulas(counted):
    assert counted("Three plain words, `no_code` and $x_0$, it’s.") == Amount(5, 0, 0)


def test_words_inside_notes_and_exercises_are_read_too(counted):
    text = (
        "```{note}\nTake note.\n```\n\n```{exercise} A title\n:label: page-1\nSolve this now.\n```"
    )
    assert counted(text) == Amount(5, 0, 0)


def test_a_formula_counts_where_it_stands_alone_however_it_is_written(counted):
    assert counted("```{math}\n:label: eq-a\nx = 1\n```\n\n$$y = 2$$\n") == Amount(0, 0, 2)


def test_lines_of_code_count_but_blank_ones_do_not(counted):
    assert counted("```{code-cell} ipython3\nx = 1\n\nx\n```") == Amount(0, 2, 0)


@pytest.mark.parametrize("folded", [SOLUTION, QUESTION], ids=["solution", "question"])
def test_what_is_folded_does_not_count_and_what_follows_does(counted, folded):
    assert counted(f"Before.\n\n{folded}\nAfter it.\n") == Amount(3, 0, 0)


def test_minutes_add_up_and_are_rounded_up_to_five():
    assert Amount(words=1500, lines=0, formulas=0).minutes == 10
    assert Amount(words=1501, lines=0, formulas=0).minutes == 15
    assert Amount(words=0, lines=75, formulas=0).minutes == 5
    assert Amount(words=0, lines=0, formulas=15).minutes == 5
    assert Amount(words=1500, lines=75, formulas=15).minutes == 20


def test_the_time_of_reading_stands_behind_the_cost_on_the_same_line(book):
    book.write(f"{COST}\n\n{'word ' * 1600}\n")
    text = (book.root / "book" / "02-page.md").read_text(encoding="utf-8")
    shown = complete("book/02-page", text, book.root)
    assert f"{COST} **Reading:** about 15 minutes, without the exercises.\n" in shown
    assert shown.count("\n") == text.count("\n")  # warnings name the lines of the file


def test_pages_that_are_no_chapters_stay_as_they_are(tmp_path):
    assert complete("book/intro", f"# Welcome\n\n{COST}\n", tmp_path) == f"# Welcome\n\n{COST}\n"


def test_the_table_has_a_row_for_each_chapter_with_what_its_cost_line_says(book):
    book.write(f"{COST}\n\n{'word ' * 1600}\n")
    book.write(COST.replace("20 s", "85 s").replace("500 MB", "1.2 GB"), name="03-more")
    rows = table(book.root).split("\n")[2:]
    assert rows == [
        "| 2 {doc}`The page <02-page>` | 15 min | 20 s | 500 MB |",
        "| 3 {doc}`The page <03-more>` | 5 min | 85 s | 1.2 GB |",
        "| all of them | 0 h | | |",
    ]


def test_a_chapter_without_a_cost_line_is_refused(book):
    book.write("No cost is said.")
    with pytest.raises(ValueError, match="02-page.md: expected a line"):
        table(book.root)


def test_a_page_for_teachers_without_a_place_for_the_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected the line"):
        complete("book/for-teachers", "# For teachers\n", tmp_path)


def test_sphinx_reads_every_chapter_with_its_time():
    app = SimpleNamespace(srcdir=ROOT)
    for path in sorted((ROOT / "book").glob("[0-9][0-9]-*.md")):
        source = [path.read_text(encoding="utf-8")]
        site_extension.add_times(app, f"book/{path.stem}", source)
        assert re.search(r"(?m)^\*\*Cost:\*\* .+ \*\*Reading:\*\* about \d+ minutes", source[0])


def test_sphinx_reads_the_page_for_teachers_with_a_row_for_each_chapter():
    source = [(ROOT / "book" / "for-teachers.md").read_text(encoding="utf-8")]
    site_extension.add_times(SimpleNamespace(srcdir=ROOT), "book/for-teachers", source)
    chapters = len(list((ROOT / "book").glob("[0-9][0-9]-*.md")))
    assert len(re.findall(r"(?m)^\| \d+ \{doc\}`.+ min \| \d+ s \| .+B \|$", source[0])) == chapters
