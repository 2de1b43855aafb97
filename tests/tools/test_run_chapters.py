"""Chapters run before Jupyter Book reads them, and are found by it."""

import pytest
import yaml
from jupyter_cache import get_cache
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig

import build_book
import run_chapters

COST = "**Cost:** {} s on two CPU cores, 500 MB of memory, nothing to download.\n"
JUPYTER_BOOK = MdParserConfig(enable_extensions={"colon_fence", "dollarmath", "amsmath", "linkify"})


@pytest.fixture
def place(book):
    """Three chapters, one of them broken, and a page without code; where they lie."""
    for number, (code, seconds) in enumerate(
        [("import os\nprint(os.getcwd(), os.environ['WORD'])", 5), ("1 / 0", 90), ("2 + 2", 25)]
    ):
        text = COST.format(seconds) + "\n$$x$$\n\n:::{note}\n```python\nno = code\n```\n:::\n"
        cell = f"\n```{{code-cell}} ipython3\n:tags: [a]\n{code}\n```\n"
        book.write(text, name=f"0{number}-chapter", code=cell)
    (book.root / "book" / "about.md").write_text("# About\n")
    return book.root


def seen_by_jupyter_book(path, cache_path):
    """What it finds in the cache for this chapter."""
    text = path.read_text()
    reader = create_nb_reader(str(path), JUPYTER_BOOK, NbParserConfig(), text)
    _, notebook = get_cache(cache_path).merge_match_into_notebook(reader.read(text))
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_those_that_take_longest_come_first_and_pages_without_code_not_at_all(place):
    found = run_chapters.unknown(place / "book", place / "cache")
    assert [path.stem for path in found] == ["01-chapter", "02-chapter", "00-chapter"]


def test_results_are_found_as_long_as_a_chapter_stays_and_those_of_a_broken_one_are_not_kept(
    place, capsys, monkeypatch
):
    monkeypatch.setattr(run_chapters, "ALONE", ("02-chapter",))
    environment = {**build_book.ENVIRONMENT, "WORD": "heard"}
    run_chapters.run(place / "book", place / "cache", environment)
    [[printed]] = seen_by_jupyter_book(place / "book" / "00-chapter.md", place / "cache")
    assert printed.text == f"{place / 'book'} heard\n"
    [[value]] = seen_by_jupyter_book(place / "book" / "02-chapter.md", place / "cache")
    assert value.data["text/plain"] == "4"
    with pytest.raises(KeyError):
        seen_by_jupyter_book(place / "book" / "01-chapter.md", place / "cache")
    assert [path.stem for path in run_chapters.unknown(place / "book", place / "cache")] == [
        "01-chapter"
    ]
    path = place / "book" / "02-chapter.md"
    path.write_text(path.read_text().replace("2 + 2", "2 + 3"))
    assert path in run_chapters.unknown(place / "book", place / "cache")
    *_, last = said = capsys.readouterr().out.splitlines()
    assert "01-chapter: failed, and is run again" in "\n".join(said)
    assert "02-chapter: " in last  # the one that runs alone


def test_a_chapter_that_runs_alone_is_there_and_starts_processes():
    for name in run_chapters.ALONE:
        text = (build_book.ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        assert "nproc" in text or "processes" in text


def test_a_cell_may_take_as_long_as_in_jupyter_book():
    settings = yaml.safe_load((build_book.ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert settings["execute"]["timeout"] == run_chapters.SECONDS_FOR_A_CELL
