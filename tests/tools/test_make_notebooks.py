"""A notebook is its page of the book: unsolved, without outputs, the same bytes every time."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml

import make_notebooks
from edudiff.exercises import EXERCISES

ROOT = Path(__file__).resolve().parents[2]
FORMULA = "```{math}\n:label: e\nx = 1\n```"
EXERCISE = """\
```{exercise} By hand
:label: page-1
What is $x$?
```
"""
SOLUTION = """\
```{solution-start} page-1
:class: dropdown
```

The answer in words.

```{code-cell} ipython3
answer = 42
```

```{solution-end}
```
"""


def test_an_exercise_has_a_bold_heading_and_an_empty_cell(book):
    text, answer, *_ = book.cells(EXERCISE)
    assert text.source.endswith("**Exercise 2.1 (By hand).**\n\nWhat is $x$?")
    assert (answer.cell_type, answer.source) == ("code", "# Your answer")


def test_an_exercise_that_is_checked_has_a_cell_to_begin_with(book):
    checked = EXERCISE.replace("page-1", "forward-diffusion-2")
    _, answer, *_ = book.cells(checked)
    assert answer.source == EXERCISES["forward-diffusion.2"].starter


def test_an_exercise_without_a_title_has_its_number(book):
    assert "**Exercise 2.1.**" in book.cells(EXERCISE.replace(" By hand", ""))[0].source


def test_exercises_are_counted_within_their_chapter(book):
    made = book.cells(EXERCISE + "\n" + EXERCISE.replace("page-1", "page-2"))
    assert [cell.source for cell in made[1::2]][:2] == ["# Your answer"] * 2
    assert made[2].source.startswith("**Exercise 2.2 (By hand).**")


def test_a_solution_is_dropped_with_its_code(book):
    made = book.cells(EXERCISE + "\n" + SOLUTION + "\nAfterwards.")
    assert [cell.source for cell in made[1:]] == ["# Your answer", "Afterwards.", "1 + 1"]


def test_a_solution_in_words_is_dropped(book):
    made = book.cells(EXERCISE + "\n```{solution} page-1\nBecause.\n```\n\nAfterwards.")
    assert [cell.source for cell in made[1:]] == ["# Your answer", "Afterwards.", "1 + 1"]


def test_a_cell_break_begins_a_new_cell(book):
    made = book.cells('One.\n\n+++ {"tags": ["hide"]}\n\nTwo.')
    assert [cell.source for cell in made[:2]] == ["# The page\n\nOne.", "Two."]
    assert made[1].metadata == {"tags": ["hide"]}


def test_the_site_counts_formulas_page_by_page_as_the_notebooks_do():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["sphinx"]["config"]["math_numfig"] is False


def test_formulas_in_solutions_are_counted_as_on_the_site(book):
    solution = SOLUTION.replace("The answer in words.", FORMULA)
    made = book.cells(EXERCISE + "\n" + solution + "\n" + FORMULA.replace(": e", ": f"))
    assert made[-2].source == r"$$ x = 1 \tag{2} $$"


def opening(book):
    """The sources of the two cells at the top."""
    book.cells("")
    notebook = json.loads((book.root / "notebooks/02-page.ipynb").read_text())
    badge, setup = notebook["cells"][:2]
    assert (badge["cell_type"], setup["cell_type"]) == ("markdown", "code")
    return "".join(badge["source"]), "".join(setup["source"])


def test_the_first_cell_opens_the_notebook_in_colab_at_the_released_tag(book):
    badge, _ = opening(book)
    where = "https://colab.research.google.com/github/org/repo/blob/v1.2.3/notebooks/02-page.ipynb"
    assert badge.startswith("[![Open in Colab](")
    assert badge.endswith(f"]({where})")


@pytest.mark.parametrize("ending", ["/", ".git"])
def test_the_repositorys_address_may_end_as_git_writes_it(book, ending):
    config = book.root / "_config.yml"
    config.write_text(config.read_text().replace("org/repo", "org/repo" + ending))
    badge, _ = opening(book)
    assert "/github/org/repo/blob/" in badge


def test_the_set_up_cell_does_nothing_outside_colab(book, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it ran something"))
    exec(opening(book)[1], {})


def test_the_set_up_cell_installs_the_released_package_and_upgrades_nothing(book, monkeypatch):
    ran = []
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append((command, check)))
    exec(opening(book)[1], {})
    package = "edudiff @ git+https://github.com/org/repo@v1.2.3"
    assert ran == [([sys.executable, "-m", "pip", "install", "--quiet", package], True)]


def test_cells_keep_their_tags_and_mocks_and_nothing_else(book):
    options = ":tags: [hide-input]\n:nbmake: {mock: {x: 2}}\n:mystnb: {figure: {}}"
    made = book.cells(f"```{{code-cell}} ipython3\n{options}\nx = 1\n```")
    assert made[1].metadata == {"tags": ["hide-input"], "nbmake": {"mock": {"x": 2}}}


def test_the_notebook_keeps_its_time_limit(book):
    book.write("")
    page = book.root / "book/02-page.md"
    page.write_text(page.read_text().replace("---\n", "---\nexecution:\n  timeout: 600\n", 1))
    book.run()
    metadata = json.loads((book.root / "notebooks/02-page.ipynb").read_text())["metadata"]
    assert metadata["execution"] == {"timeout": 600}
    assert metadata["kernelspec"]["name"] == "python3"
    assert set(metadata) == {"execution", "kernelspec", "language_info"}


def test_a_notebook_is_valid_and_has_not_run(book):
    made = book.cells(EXERCISE)
    notebook = nbformat.read(book.root / "notebooks/02-page.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    code = [cell for cell in made if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_nbstripout_finds_nothing_to_strip(book):
    book.cells(EXERCISE + SOLUTION)
    command = [sys.executable, "-m", "nbstripout", "--verify"]
    subprocess.run([*command, str(book.root / "notebooks/02-page.ipynb")], check=True)


def test_two_runs_write_the_same_bytes(book):
    book.write(EXERCISE + SOLUTION)
    assert make_notebooks.make(book.root) == make_notebooks.make(book.root)


def test_keys_are_sorted_and_the_file_ends_with_one_newline(book):
    book.cells("Ümläut.")
    text = (book.root / "notebooks/02-page.ipynb").read_bytes().decode()
    again = json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False)
    assert text == again + "\n"


def test_a_page_without_code_has_no_notebook(book):
    book.write("", "intro", code="")
    book.cells("")
    assert [path.name for path in (book.root / "notebooks").iterdir()] == ["02-page.ipynb"]


def test_a_page_without_a_kernel_has_no_notebook(book):
    (book.root / "book/words.md").write_text("# Words\n\n```{code-cell} ipython3\n1\n```\n")
    book.cells("")
    assert not (book.root / "notebooks/words.ipynb").exists()


def test_check_accepts_what_was_just_written(book):
    book.cells("")
    assert book.run("--check") == 0


def test_check_names_a_notebook_that_differs_and_leaves_it(book, capsys):
    book.cells("")
    notebook = book.root / "notebooks/02-page.ipynb"
    notebook.write_text("{}")
    capsys.readouterr()
    assert book.run("--check") == 1
    assert capsys.readouterr().out == "notebooks/02-page.ipynb: out of step with the book\n"
    assert notebook.read_text() == "{}"


def test_check_names_a_notebook_that_is_missing_and_does_not_write_it(book, capsys):
    book.write("")
    assert book.run("--check") == 1
    assert "notebooks/02-page.ipynb" in capsys.readouterr().out
    assert not (book.root / "notebooks").exists()


def test_check_names_a_notebook_whose_page_is_gone(book, capsys):
    book.cells("")
    (book.root / "notebooks/09-gone.ipynb").write_text("{}")
    assert book.run("--check") == 1
    assert "notebooks/09-gone.ipynb" in capsys.readouterr().out


def test_writing_removes_a_notebook_whose_page_is_gone(book):
    book.cells("")
    (book.root / "notebooks/09-gone.ipynb").write_text("{}")
    assert book.run() == 0
    assert book.run("--check") == 0


def test_one_refused_page_leaves_all_notebooks_as_they_were(book):
    book.cells("Before.")
    before = (book.root / "notebooks/02-page.ipynb").read_bytes()
    book.write("After.")
    book.write("```{foo}\n```", "03-bad")
    assert book.run() == 2
    assert (book.root / "notebooks/02-page.ipynb").read_bytes() == before


def test_every_refused_page_is_named(book, capsys):
    book.write("{foo}`x`", "03-bad")
    book.write("{bar}`x`", "04-bad")
    assert book.run() == 2
    places = [line.split(": ")[0] for line in capsys.readouterr().err.splitlines()]
    assert places == [f"book/0{n}-bad.md:{book.first_line}" for n in (3, 4)]


def test_the_book_s_notebooks_are_in_step_with_the_book(capsys):
    code = make_notebooks.main(["--check"])
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
